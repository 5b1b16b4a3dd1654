"""What a file is, by its first bytes: a suffix may be missing, be one of a kind with several meanings, or lie."""

import struct
from pathlib import Path

_READ_BYTES = 4096  # as much as tells all kinds apart
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_PLACES = (0, 512, 1024, 2048)  # an HDF5 file may have a block of its user's before it
_EXPORT = "export the ECG itself as DICOM, SCP-ECG, aECG (HL7) XML, EDF or CSV"

_TAR = "a tar archive; unpack it"

# Files that hold no ECG that can be read: how they begin, what they are, what to do.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", f"a PDF document, a picture of an ECG at best; {_EXPORT}"),
    (b"\x89PNG", f"a PNG picture; {_EXPORT}"),
    (b"\xff\xd8\xff", f"a JPEG picture; {_EXPORT}"),
    (b"GIF8", f"a GIF picture; {_EXPORT}"),
    (b"BM", f"a BMP picture; {_EXPORT}"),
    (b"II*\0", f"a TIFF picture; {_EXPORT}"),
    (b"MM\0*", f"a TIFF picture; {_EXPORT}"),
    (b"%!PS", f"a PostScript document; {_EXPORT}"),
    (b"{\\rtf", f"an RTF document; {_EXPORT}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel or Word file of the old kind; save the table as CSV"),
    (b"PK\x03\x04", "a ZIP archive or an Office file; unpack it, or save the table as CSV"),
    (b"\x1f\x8b", "compressed with gzip; unpack it"),
    (b"BZh", "compressed with bzip2; unpack it"),
    (b"\xfd7zXZ\0", "compressed with xz; unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; unpack it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"PAR1", "a Parquet table; save it as CSV or NPZ"),
    (b"\x80\x04\x95", "a Python pickle, which could run any program when it is read; save it as NPZ"),
    (b"\x80\x05\x95", "a Python pickle, which could run any program when it is read; save it as NPZ"),
    (b"MSH|", f"an HL7 version 2 message; {_EXPORT}"),
    (b"ANN  1.0", "annotations in ISHNE's format; read the .ecg file that they belong to"),
    (b"ALIVE\0", f"an AliveCor recording of one or six leads; {_EXPORT}"),
    (b"\x40\x20MFR", f"an MFER file (Nihon Kohden, ISO 22077); {_EXPORT}"),
    (b"MFR ", f"an MFER file (Nihon Kohden, ISO 22077); {_EXPORT}"),
    (b"GDF 1", "a GDF file; convert it to EDF with BioSig"),
    (b"GDF 2", "a GDF file; convert it to EDF with BioSig"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "an SQLite database; export a recording as CSV"),
)
# Files known by their suffix alone, where the content says nothing.
_BY_SUFFIX = {
    ".mus": f"a GE MUSE binary file; {_EXPORT}",
    ".mwf": f"an MFER file (Nihon Kohden, ISO 22077); {_EXPORT}",
    ".xle": f"a Philips file for its own software; {_EXPORT}",
    ".atr": "annotations of a WFDB record; read its .hea file",
    ".qrs": "annotations of a WFDB record; read its .hea file",
    ".ecg": f"neither ISHNE nor SCP-ECG, the formats that share this suffix with annotations of WFDB; {_EXPORT}",
    ".scp": "not SCP-ECG: it has no section that lists the others",
    ".dcm": "not DICOM: it has neither a preamble nor the class of a DICOM object",
    ".dicom": "not DICOM: it has neither a preamble nor the class of a DICOM object",
    ".tar": _TAR,
    ".acq": f"a BIOPAC recording; {_EXPORT}",
}


def suffix_of_content(path: Path) -> str | None:
    """The suffix that the content should have (".dcm"), None if it has no mark of its own, as CSV. Raises `OSError`."""
    head = _head(path)
    if head.startswith(b"ISHNE1.0"):
        return ".ecg"
    if head.startswith(b"\x93NUMPY"):
        return ".npy"
    if head.startswith(b"PK\x03\x04") and _first_member(head).endswith(b".npy"):
        return ".npz"
    if head.startswith(b"MATLAB 5.0"):  # WFDB's own .mat files are of version 4
        return ".mat"
    if any(head[place : place + 8] == _HDF5 for place in _HDF5_PLACES) and not head.startswith(b"MATLAB"):
        return ".hdf5"
    if _is_dicom(head):
        return ".dcm"
    if _is_scp(head):
        return ".scp"
    if _is_edf(head):
        return ".bdf" if head[0] == 0xFF else ".edf"
    return ".xml" if _is_xml(head) else None


def what_else(path: Path) -> str | None:
    """What a file is that no reader reads, and what to do; None if that is not known. Raises `OSError`."""
    head = _head(path)
    if not head:
        return "an empty file; copy or export it again"
    if head[257:262] == b"ustar":
        return _TAR
    if head.startswith(b"MATLAB 7"):
        return "a MATLAB file of version 7.3; save it with -v7"
    # A table may begin with the letters that mark a binary file: "BMI".
    marks = [what for start, what in _OTHERS if head.startswith(start) and (b"\0" in head or not start.isalnum())]
    known = marks[0] if marks else None
    is_page = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:14].lower().startswith((b"<html", b"<!doctype html"))
    if known is None and is_page and path.suffix.lower() != ".xml":
        known = f"a web page; {_EXPORT}"
    return known or _BY_SUFFIX.get(path.suffix.lower())


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(_READ_BYTES)


def _first_member(head: bytes) -> bytes:
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length]


def _is_dicom(head: bytes) -> bool:
    """With its preamble; or without, if it begins like the groups 2 or 8 and names a class of DICOM."""
    if head[128:132] == b"DICM":
        return True
    return head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0" and b"1.2.840.10008." in head


def _is_scp(head: bytes) -> bool:
    """Section 0 comes first, with the number 0, and says so in its first entry; or it carries its mark."""
    if len(head) < 32:
        return False
    size, _, section, length = struct.unpack_from("<IHHI", head, 2)
    own, _, index = struct.unpack_from("<HII", head, 22)
    if section != 0 or length < 26 or size < 6 + length:
        return False
    return head[16:22] == b"SCPECG" or (own == 0 and index == 7)


def _is_edf(head: bytes) -> bool:
    """Version, and two numbers of the header that every EDF and BDF file has."""
    version = head[:8] == b"0       " or head[:8] == b"\xffBIOSEMI"
    return version and len(head) >= 256 and head[184:192].strip().isdigit() and head[252:256].strip().isdigit()


def _is_xml(head: bytes) -> bool:
    text = head.removeprefix(b"\xef\xbb\xbf")
    if text[:2] in (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"):  # UTF-16
        text = text.replace(b"\0", b"").lstrip(b"\xff\xfe")
    text = text.lstrip()
    if text[:14].lower().startswith((b"<html", b"<!doctype html")):
        return False
    return text[:1] == b"<" and (text[1:2].isalpha() or text[1:2] in (b"?", b"!"))

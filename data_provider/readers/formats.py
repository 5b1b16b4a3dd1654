"""The file formats: which reader a file belongs to, and which files make up a recording.

The content decides, where it has a mark of its own, and the suffix where it has none, as in CSV. Nothing outside this
package needs to know a suffix. A recording is named by a path: a WFDB record by its path without suffix, one of many
recordings in an HDF5 or NumPy file as ``exams.hdf5#id``, any other recording by its file.
"""

import hashlib
import logging
import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Literal, NamedTuple

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.content import suffix_of_content, what_else
from cardiolect.data_provider.readers.layout import LAYOUT_NAME, layout_names

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it may quote the file, see `_guarded`


def _few_samples(path: Path) -> int:
    """In this format a sample takes at least a byte, or its reader reads few: no need to count."""
    return 0


@dataclass(frozen=True)
class Format:
    """A file format. Its modules are imported for its first file: their libraries take long to import.

    reader: the module of this package that reads it.
    counter: the module that counts its samples, "" if the reader limits them or a sample takes at least a byte.
    signals: suffixes of separate signal files, in the order in which they are looked for.
    container: a file may hold many recordings, each named ``FILE#ID``; ``read`` takes the id as well, "" for none.
    """

    reader: str
    counter: str = ""
    signals: tuple[str, ...] = ()
    container: bool = False

    @property
    def read(self) -> Callable[..., Channels]:
        """File -> channels; WFDB takes the path without suffix, a container the id of the recording as well."""
        return import_module(f"{__package__}.{self.reader}").read

    @property
    def count_samples(self) -> Callable[[Path], int | None]:
        """File -> samples of all leads together according to its header; None if only decompressing would tell."""
        return import_module(f"{__package__}.{self.counter}").count_samples if self.counter else _few_samples


HEADER = ".hea"
WFDB = Format("wfdb_reader", "wfdb_header", signals=(".dat", ".mat"))
_CSV = Format("csv_reader")
_NUMPY = Format("numpy_reader", "numpy_reader", container=True)
_EDF = Format("edf_reader")
_DICOM = Format("dicom_reader", "dicom_reader")
_HDF5 = Format("hdf5_reader", "hdf5_reader", container=True)
MATLAB = ".mat"
_MAT = Format("mat_reader", "mat_reader")

# Suffix of the file that is opened -> its format. A .mat file is opened only if its content says so: most are the
# signals of a WFDB record.
FORMATS: dict[str, Format] = {
    HEADER: WFDB,
    ".csv": _CSV,
    ".tsv": _CSV,
    ".txt": _CSV,
    ".npy": _NUMPY,
    ".npz": _NUMPY,
    ".edf": _EDF,
    ".bdf": _EDF,
    ".dcm": _DICOM,
    ".dicom": _DICOM,
    ".scp": Format("scp_reader"),
    ".ecg": Format("ishne_reader"),
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".xml": Format("xml_reader"),
}
FORMAT_LIST = (
    f".hea with its .dat or .mat, {', '.join(suffix[1:].upper() for suffix in FORMATS if suffix != HEADER)}, "
    "MAT of CPSC-2018"
)

_CONTAINED = re.compile(
    rf"(.+?(?:{'|'.join(re.escape(suffix) for suffix, each in FORMATS.items() if each.container)}))#(.*)",
    re.IGNORECASE | re.DOTALL,
)

FileRole = Literal["recording", "signal", "layout"]


class RecordFile(NamedTuple):
    """A file of a recording. label: what distinguishes it within the recording, "" for a single file."""

    label: str
    path: str
    size: int
    mtime_ns: int


def read_channels(path: Path) -> Channels:
    """The channels of one recording. Raises `FileError`."""
    suffix = _suffix(path)
    if suffix == HEADER or (suffix in WFDB.signals and os.path.isfile(path.with_suffix(HEADER))):
        return _in_one_line(WFDB.read, path.with_suffix(""))
    name, recording = _split(path)
    # Like pathlib's is_file, but False if the folder may not be searched.
    if os.path.isfile(name) and not os.path.isfile(f"{name}{HEADER}"):
        return _read_file(Path(name), recording)
    if suffix in FORMATS:
        raise FileError("no such file")
    if os.path.isdir(path):
        raise FileError("a folder; name a recording in it")
    return _in_one_line(WFDB.read, path.with_suffix("") if suffix in WFDB.signals else path)


def _read_file(file: Path, recording: str) -> Channels:
    """The channels of a file that exists. recording: which one in it, "" if its format holds only one."""
    file_format = _format_of(file)
    if file_format is not None:
        read = file_format.read  # a library that is missing is not a fault of the file
        return _guarded((lambda path: read(path, recording)) if file_format.container else read, file)
    if file.suffix.lower() in WFDB.signals:
        raise FileError(f"its header {file.stem}{HEADER} is missing; put it next to the signal file")
    kind = f"{file.suffix} files" if file.suffix else "files without a suffix"
    raise FileError(f"{kind} are not supported, unless their content is one of the formats in docs/DATA.md")


def _format_of(file: Path) -> Format | None:
    """The format of an existing file by its content, or else by its suffix; None if neither tells.

    Raises `FileError` if the content shows another kind of file.
    """
    try:
        suffix = suffix_of_content(file)
        other = what_else(file) if suffix is None else None
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror or type(error).__name__})") from None
    if other:
        raise FileError(other)
    return _MAT if suffix == MATLAB else FORMATS.get(suffix or file.suffix.lower())


def count_samples(path: Path) -> int | None:
    """Samples of all leads together according to the file's header, before anything is decompressed.

    Each takes 8 bytes once read; larger elements, and elements of unknown size, count as several samples. 0 if the file
    is damaged, or its format stores a sample in at least a byte; None if only decompressing would tell. Raises
    `FileError` as the reader does.
    """
    try:
        file_format = WFDB if path.suffix.lower() == HEADER else _format_of(path)
        return file_format.count_samples(path) if file_format else 0
    except FileError:
        raise
    except Exception:  # parsers of binary formats raise whatever they stumble over
        return 0


def files_of(path: Path) -> list[RecordFile]:
    """The files of a recording on disk, first the one that is opened; empty if it is not there. Opens no file."""
    base = _split(path)[0]
    if header := _file(HEADER, f"{base}{HEADER}"):
        signals = (_file(suffix, f"{base}{suffix}") for suffix in WFDB.signals)
        return [header, *([signal] if (signal := next(filter(None, signals), None)) else [])]
    if single := _file("", base):
        folder = os.path.dirname(base)
        layouts = (_file(name, os.path.join(folder, name)) for name in layout_names(Path(base)))
        return [single, *filter(None, layouts)]
    return []


def is_on_disk(path: Path) -> bool:
    """Whether the header or the file of a recording exists."""
    return (path.parent / f"{path.name}{HEADER}").is_file() or os.path.isfile(_split(path)[0])


def content_hash(path: Path) -> str | None:
    """A hash that identifies a recording wherever it is stored; None if it is not on disk.

    For WFDB, of the header, which contains the checksums of the signals; for other formats, of the file's size, its
    first megabyte and the id of the recording in it.
    """
    header = path.with_name(f"{path.name}{HEADER}")
    if header.is_file():
        return hashlib.sha256(header.read_bytes()).hexdigest()[:16]
    file, recording = _split(path)
    start = _hash_of_start(Path(file))
    if start is None:
        return None
    whole = start.copy()
    whole.update(recording.encode())
    return whole.hexdigest()[:16]


def record_name(path: Path) -> str:
    """The name of a recording, for lack of a better id."""
    _, recording = _split(path)
    suffix = path.suffix.lower()
    return recording or (path.stem if suffix in FORMATS or suffix in WFDB.signals else path.name)


def record_path(text: str) -> str:
    """A recording's path as corpora write it, without the suffix of a WFDB header or signal file.

    ".mat" is kept, since files of other formats have that suffix too.
    """
    text = text.strip()
    return text if _split(text)[1] else text.removesuffix(HEADER).removesuffix(".dat")


def find_headers(folder: Path) -> Iterator[Path]:
    """The headers of all WFDB records below a folder, sorted."""
    yield from sorted(folder.rglob(f"*{HEADER}"))


def file_role(path: Path) -> FileRole | None:
    """What a file contributes to a recording: by its name, or by its content if that has no meaning; None if neither.

    A .mat file of MATLAB 5 counts as a recording: WFDB writes an older version.
    """
    suffix = path.suffix.lower()
    if suffix in FORMATS:
        return "recording"
    if path.name.lower().endswith(LAYOUT_NAME):
        return "layout"
    if path.is_file() and suffix_of_content(path):
        return "recording"
    return "signal" if suffix in WFDB.signals else None


def needs_signal_file(path: Path) -> bool:
    """Whether the file to open is a header whose signals are in a file of their own."""
    return path.suffix.lower() == HEADER


def _suffix(path: Path) -> str:
    return os.path.splitext(_split(path)[0])[1].lower()


def _split(path: Path | str) -> tuple[str, str]:
    """A container's file and the id of a recording in it, which may contain dots and slashes; "" if it is not given."""
    found = _CONTAINED.fullmatch(os.fspath(path))
    return (found[1], found[2]) if found else (os.fspath(path), "")


def _file(label: str, path: str) -> RecordFile | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return RecordFile(label, path, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


@lru_cache(maxsize=64)
def _hash_of_start(file: Path):
    """A hash object of a file's size and first megabyte, computed once for all recordings in it."""
    if not file.is_file():
        return None
    with open(file, "rb") as opened:
        return hashlib.sha256(f"{file.stat().st_size}#".encode() + opened.read(1_000_000))


def _in_one_line(read: Callable[[Path], Channels], path: Path) -> Channels:
    """``read(path)``; an error that quotes a damaged file stays one line."""
    try:
        return read(path)
    except FileError as error:
        raise type(error)("".join(letter if letter.isprintable() else " " for letter in str(error))) from None


def _guarded(read: Callable[[Path], Channels], path: Path) -> Channels:
    """``read(path)``; whatever a library raises on a damaged file becomes a `FileError`."""
    if not os.path.isfile(path):
        raise FileError("no such file")
    try:
        # What libraries print about a damaged file may quote it, including patient names.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _in_one_line(read, path)
    except (FileError, MemoryError):
        raise
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror or type(error).__name__})") from None
    except Exception as error:  # parsers of binary formats raise whatever they stumble over
        raise FileError(f"damaged, or not of the format that it seems ({type(error).__name__})") from None

"""ISHNE Holter files (Badilini 1998, "The ISHNE Holter standard output file format"); the patient is not read."""

import binascii
import struct
from pathlib import Path

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.lead_names import find_leads

MAX_SECONDS = 1800  # of a day or more, which fits in no memory; an answer needs seconds
MAX_LACKING = 0.01  # of the samples promised, and a second at most: more is missing only in a file that was cut off
_FIXED_BYTES = 522  # magic, checksum and the fields of fixed length
_MAX_LEADS = 12
_FAULT = -32768  # what the standard has recorders store while a lead is off
_NAMES = {2: "X", 3: "Y", 4: "Z", 5: "I", 6: "II", 7: "III", 8: "aVR", 9: "aVL", 10: "aVF"}
_NAMES |= {n: f"V{n - 10}" for n in range(11, 17)} | {17: "ES", 18: "AS", 19: "AI"}


def read(path: Path) -> Channels:
    """The first half hour of the recording; what follows is left out, with a note."""
    with open(path, "rb") as file:
        head = file.read(_FIXED_BYTES)
        if len(head) < _FIXED_BYTES:
            raise FileError(f"truncated: {len(head)} bytes are no ISHNE header")
        checksum, comment_bytes, stated, _, start = struct.unpack_from("<Hiiii", head, 8)
        (n_leads,) = struct.unpack_from("<h", head, 156)
        (fs,) = struct.unpack_from("<H", head, 272)
        size = path.stat().st_size
        if not 1 <= n_leads <= _MAX_LEADS or fs == 0 or not 0 <= comment_bytes <= size - _FIXED_BYTES:
            raise FileError(f"its ISHNE header gives {n_leads} leads, {fs} Hz and {comment_bytes} bytes of comment")
        notes = []
        # The signal follows the comment; some writers state another place for it.
        first = _FIXED_BYTES + comment_bytes
        if start != first:
            notes.append(f"the header places the signal at byte {start}; it is read where the comment ends")
        if checksum and not _matches(checksum, head[10:] + file.read(comment_bytes)):
            notes.append("the header does not match its checksum")
        n_samples, more_bytes = divmod(size - first, 2 * n_leads)
        # Some writers state the samples of all leads together, or a number that is a little too large.
        of_all = abs(stated / n_leads - n_samples) <= min(fs, MAX_LACKING * n_samples)
        promised = n_samples if stated <= 0 else stated / n_leads if of_all else stated
        lacking = promised - n_samples
        if lacking > min(fs, MAX_LACKING * promised):
            raise FileError(f"truncated: {n_samples} samples a lead of {stated} that its header promises")
        if more_bytes and (lacking > 0 or stated <= 0):
            raise FileError("truncated: it does not end with a sample of every lead")
        if lacking:
            notes.append(f"there are {n_samples} samples a lead, and the header states {stated}")
        if more_bytes:
            notes.append("it does not end with a sample of every lead; bytes are missing or too many")
        used = min(n_samples, MAX_SECONDS * fs)
        if used < n_samples:
            length = f"{n_samples / fs / 3600:.1f} h"
            notes.append(f"only the first {MAX_SECONDS // 60} min of {length} are read; cut out another part for more")
        file.seek(first)
        samples = np.frombuffer(file.read(2 * n_leads * used), "<i2").reshape(used, n_leads)
    codes = struct.unpack_from(f"<{n_leads}h", head, 158)
    nanovolts = struct.unpack_from(f"<{n_leads}h", head, 206)
    found = find_leads([_NAMES.get(code, f"code {code}") for code in codes])
    leads = {}
    for lead, row in found.rows.items():
        if nanovolts[row] <= 0:
            raise FileError(f"lead {lead} is uncalibrated (a step of {nanovolts[row]} nV)")
        values = samples[:, row].astype(float)
        values[samples[:, row] == _FAULT] = np.nan
        leads[lead] = values * nanovolts[row] * 1e-6
    scales = {lead: f"{nanovolts[row] / 1000:g} uV" for lead, row in found.rows.items()}
    return Channels(leads, float(fs), "ISHNE 1.0", found.names, found.ignored, scales, tuple(notes))


def _matches(checksum: int, header: bytes) -> bool:
    """The standard does not say which byte of the CRC comes first, and both are written."""
    computed = binascii.crc_hqx(header, 0xFFFF)
    return checksum in (computed, int.from_bytes(computed.to_bytes(2, "little"), "big"))

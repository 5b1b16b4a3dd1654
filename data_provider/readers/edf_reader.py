"""EDF, EDF+ and BDF files (Kemp et al. 1992; BioSemi), parsed by edfio."""

from pathlib import Path

import edfio
import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import find_leads

_HEADER_BYTES = 256


def read(path: Path) -> Channels:
    """The leads by label, scaled to the physical range given in the file."""
    _check_size(path)
    with open(path, "rb") as file:
        is_bdf = file.read(1) == b"\xff"
    edf = edfio.read_bdf(path) if is_bdf else edfio.read_edf(path)
    if edf.reserved.startswith(("EDF+D", "BDF+D")):
        raise FileError("a discontinuous recording; export it in one piece")
    found = find_leads([signal.label for signal in edf.signals])
    rates = {edf.signals[row].sampling_frequency for row in found.rows.values()}
    if len(rates) > 1:
        raise FileError("its leads have different sampling rates")
    leads = {}
    for lead, row in found.rows.items():
        signal = edf.signals[row]
        try:
            scale = mv_per_unit(signal.physical_dimension)
        except FileError as error:
            raise FileError(f"lead {lead} has {error}") from None
        leads[lead] = np.asarray(signal.data, dtype=float) * scale
    return Channels(leads, rates.pop(), "BDF" if is_bdf else "EDF", found.names, found.ignored)


def _check_size(path: Path) -> None:
    """Refuse a file with fewer data records than its header declares: libraries pad or truncate silently."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(_HEADER_BYTES)
        try:
            header_bytes, records, count = int(head[184:192]), int(head[236:244]), int(head[252:256])
        except ValueError:
            raise FileError("its EDF header does not parse") from None
        if count < 1 or header_bytes != _HEADER_BYTES * (count + 1) or size < header_bytes:
            raise FileError("its EDF header does not match its number of signals")
        file.seek(_HEADER_BYTES + 216 * count)
        fields = file.read(8 * count)
    try:
        samples = sum(int(fields[8 * i : 8 * i + 8]) for i in range(count))
    except ValueError:
        raise FileError("its EDF header does not parse") from None
    bytes_each = 3 if head[:1] == b"\xff" else 2
    needed = header_bytes + records * samples * bytes_each
    if records < 0:
        raise FileError("its header gives no number of data records: the recording was not closed")
    if size < needed:
        raise FileError(f"truncated: {size} of {needed} bytes")

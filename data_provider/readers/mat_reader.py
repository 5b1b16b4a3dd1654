"""MATLAB files without a WFDB header: the original files of CPSC-2018, and a matrix that a layout file describes."""

from pathlib import Path

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.layout import find_layout
from cardiolect.data_provider.readers.matlab_file import MAX_BYTES, Variable, variables
from cardiolect.data_provider.readers.tables import Meaning, lead_axis, meaning_of, table_channels
from cardiolect.data_provider.record import LEADS

# Liu et al. 2018, "An open access database for evaluating the algorithms of ECG rhythm and morphology abnormality
# detection": a struct ECG with sex, age and data (12, T).
_CPSC = Meaning(LEADS, "mV", 500)
_CPSC_NOTE = "rate, unit and order of leads are those of CPSC-2018; the file does not state them"


def read(path: Path) -> Channels:
    """The field ``data`` of a struct ECG, or the only matrix; with the rate, unit and leads of its layout, if any."""
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 10**6} MB; convert it to WFDB or NPY")
    found = variables(path.read_bytes())
    layout = find_layout(path)
    ecg = found.get("ECG")
    data = ecg.get("data") if isinstance(ecg, dict) else None
    if data is not None and layout is None:
        return _channels(data, _CPSC, "CPSC-2018 MAT", (_CPSC_NOTE,))
    matrices = [value for value in found.values() if isinstance(value, np.ndarray) and min(value.shape) > 1]
    matrices = [data] if data is not None else matrices
    if len(matrices) != 1 or layout is None or None in (layout.leads, layout.unit, layout.sampling_rate):
        held = ", ".join(found)[:60] or "no matrix of numbers"
        raise FileError(
            f"a MATLAB file with {held}; it needs a struct ECG as in CPSC-2018, its WFDB header {path.stem}.hea, or "
            f"one matrix and next to it {path.stem}.layout.json with sampling_rate, unit and leads"
        )
    return _channels(matrices[0], meaning_of(layout), "MAT", ())


def _channels(values: np.ndarray, meaning: Meaning, kind: str, notes: tuple[str, ...]) -> Channels:
    by_lead = values if lead_axis(values, len(meaning.leads)) == 0 else values.T
    return table_channels(by_lead, meaning, kind, notes)


def count_samples(path: Path) -> int:
    """Numbers in all matrices; the file is decompressed for it, up to the limit that reading it has too."""
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 10**6} MB; convert it to WFDB or NPY")
    found = [value for variable in variables(path.read_bytes()).values() for value in _arrays(variable)]
    return sum(value.size for value in found)


def _arrays(variable: Variable) -> list[np.ndarray]:
    return list(variable.values()) if isinstance(variable, dict) else [variable]

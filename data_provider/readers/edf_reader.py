"""EDF, EDF+ and BDF files: the header by `edf_header`, the samples by edfio."""

import re
from itertools import pairwise
from pathlib import Path

import edfio
import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.edf_header import Header, Signal, read_header
from cardiolect.data_provider.readers.lead_names import find_leads

_VOLT = re.compile(r"^([mun\u00b5\u03bc])volts?$", re.IGNORECASE)  # "uVolt"
_ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)\x14")


def read(path: Path) -> Channels:
    """The leads by label, scaled to the physical range given in the file."""
    header = read_header(path)
    if header.kind.endswith("+D"):
        _check_contiguous(path, header)
    signals = [signal for row, signal in enumerate(header.signals) if not header.is_annotations(row)]
    found = find_leads([signal.label for signal in signals])
    per_record = {signals[row].per_record for row in found.rows.values()}
    if len(per_record) > 1:
        raise FileError("its leads have different sampling rates")
    samples_each = per_record.pop()
    # edfio gives the stored numbers only: it leaves them unscaled where it cannot parse the limits, and takes what
    # follows the last record for more of them.
    edf = (edfio.read_bdf if header.kind.startswith("BDF") else edfio.read_edf)(path, header_encoding="latin-1")
    leads, scales = {}, {}
    for lead, row in found.rows.items():
        per_step, at_zero, factor = _scale(lead, signals[row])
        digital = edf.signals[row].digital[: header.records * samples_each]
        leads[lead] = (digital * per_step + at_zero) * factor
        scales[lead] = f"{abs(per_step):.4g} {signals[row].unit}"
    fs = samples_each / header.seconds
    return Channels(leads, fs, header.kind, found.names, found.ignored, scales, header.notes)


def _scale(lead: str, signal: Signal) -> tuple[float, float, float]:
    """Units per step, units at step 0, and mV per unit."""
    if not signal.unit:
        raise FileError(f"lead {lead} states no unit; write uV or mV as the physical dimension in the file's header")
    try:
        return *signal.calibration(), mv_per_unit(_VOLT.sub(r"\1V", signal.unit))
    except FileError as error:
        raise FileError(f"lead {lead} has {error}") from None


def _check_contiguous(path: Path, header: Header) -> None:
    """Refuse a recording with gaps (EDF+D) by the time stamps of its data records; many have none."""
    rows = [row for row in range(len(header.signals)) if header.is_annotations(row)]
    if not rows:
        raise FileError(f"{header.kind} without time stamps: whether it has gaps is not known; export it in one piece")
    each, size = header.bytes_per_sample, header.samples_per_record * header.bytes_per_sample
    records = np.memmap(path, np.uint8, "r", header.n_bytes, (header.records, size))
    start = sum(signal.per_record for signal in header.signals[: rows[0]]) * each
    stamps = records[:, start : start + header.signals[rows[0]].per_record * each]
    matches = [_ONSET.match(stamp.tobytes()) for stamp in stamps]
    if not all(matches):
        raise FileError(f"{header.kind} with a data record without time stamp; export it in one piece")
    onsets = [float(match[1]) for match in matches]
    sample = header.seconds / max(signal.per_record for signal in header.signals)
    for before, after in pairwise(onsets):
        gap = after - before - header.seconds
        if abs(gap) > max(sample, 0.001):
            seconds = before - onsets[0] + header.seconds
            what = f"{gap:.3g} s are missing" if gap > 0 else f"it goes back by {-gap:.3g} s"
            raise FileError(
                f"a recording with gaps ({header.kind}): {what} after {seconds:.3g} s; export one part of it"
            )

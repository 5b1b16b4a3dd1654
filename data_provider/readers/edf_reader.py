"""EDF, EDF+ and BDF files: the header by `edf_header`, the samples by edfio."""

import re
from itertools import pairwise
from pathlib import Path

import edfio
import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.edf_header import Header, Signal, read_header
from cardiolect.data_provider.readers.lead_names import find_leads
from cardiolect.data_provider.readers.scale import USUAL_MV

_VOLT = re.compile(r"^([mun\u00b5\u03bc])volts?$", re.IGNORECASE)  # "uVolt"
_ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)\x14")


def read(path: Path) -> Channels:
    """The leads by label, scaled to the physical range given in the file."""
    header = read_header(path)
    onsets = _onsets(path, header) if header.kind.endswith(("+C", "+D")) else []
    if header.kind.endswith("+D"):
        _check_contiguous(header, onsets)
    signals = [signal for row, signal in enumerate(header.signals) if not header.is_annotations(row)]
    found = find_leads([signal.label for signal in signals])
    per_record = {signals[row].per_record for row in found.rows.values()}
    if len(per_record) > 1:
        raise FileError("its leads have different sampling rates")
    samples_each = per_record.pop()
    # edfio gives the stored numbers only: it leaves them unscaled where it cannot parse the limits, and takes what
    # follows the last record for more of them.
    edf = (edfio.read_bdf if header.kind.startswith("BDF") else edfio.read_edf)(path, header_encoding="latin-1")
    values, steps, unstated = {}, {}, []
    for lead, row in found.rows.items():
        per_step, at_zero = _calibration(lead, signals[row])
        values[lead] = edf.signals[row].digital[: header.records * samples_each] * per_step + at_zero
        steps[lead] = abs(per_step)
        unstated += [] if signals[row].unit else [lead]
    notes, assumed = (*header.notes, *_contradictions(header, onsets)), ""
    if unstated:
        assumed = _unit_by_size([values[lead] for lead in unstated], unstated[0])
        notes = (*notes, f"{', '.join(unstated)} without a unit, taken as {assumed} by their size")
    units = {lead: signals[row].unit or assumed for lead, row in found.rows.items()}
    leads = {lead: values[lead] * _mv_per_unit(lead, unit) for lead, unit in units.items()}
    scales = {lead: f"{steps[lead]:.4g} {unit}" for lead, unit in units.items()}
    return Channels(leads, samples_each / header.seconds, header.kind, found.names, found.ignored, scales, notes)


def _calibration(lead: str, signal: Signal) -> tuple[float, float]:
    """Units per step, and units at step 0."""
    try:
        return signal.calibration()
    except FileError as error:
        raise FileError(f"lead {lead} has {error}") from None


def _mv_per_unit(lead: str, unit: str) -> float:
    try:
        return mv_per_unit(_VOLT.sub(r"\1V", unit))
    except FileError as error:
        raise FileError(f"lead {lead} has {error}") from None


def _unit_by_size(leads: list[np.ndarray], lead: str) -> str:
    """The unit that gives leads without a stated unit the size of an ECG. Raises `FileError` if none does."""
    size = np.median([np.ptp(np.percentile(values, (1, 99))) for values in leads])
    for unit in ("mV", "uV", "V"):
        if USUAL_MV[0] <= size * mv_per_unit(unit) <= USUAL_MV[1]:
            return unit
    raise FileError(f"lead {lead} states no unit; write uV or mV as the physical dimension in the file's header")


def _onsets(path: Path, header: Header) -> list[float | None]:
    """The time stamp of every data record of EDF+ in seconds, None for one without; empty if there are none at all."""
    rows = [row for row in range(len(header.signals)) if header.is_annotations(row)]
    if not rows:
        return []
    each, size = header.bytes_per_sample, header.samples_per_record * header.bytes_per_sample
    records = np.memmap(path, np.uint8, "r", header.n_bytes, (header.records, size))
    start = sum(signal.per_record for signal in header.signals[: rows[0]]) * each
    stamps = records[:, start : start + header.signals[rows[0]].per_record * each]
    matches = [_ONSET.match(stamp.tobytes()) for stamp in stamps]
    return [float(match[1]) if match else None for match in matches]


def _contradictions(header: Header, onsets: list[float | None]) -> list[str]:
    """A clause if the time stamps say that data records last longer or shorter than the header says."""
    known = [onset for onset in onsets if onset is not None]
    if len(known) < 2 or len(known) < len(onsets):
        return []
    apart = float(np.median(np.diff(known)))
    if abs(apart - header.seconds) <= max(1e-3, 1e-3 * header.seconds):
        return []
    return [
        f"its time stamps are {apart:.4g} s apart, and its header states data records of {header.seconds:.4g} s; check "
        "its sampling rate"
    ]


def _check_contiguous(header: Header, onsets: list[float | None]) -> None:
    """Refuse a recording with gaps (EDF+D) by the time stamps of its data records; many have none."""
    if not onsets:
        raise FileError(f"{header.kind} without time stamps: whether it has gaps is not known; export it in one piece")
    if None in onsets:
        raise FileError(f"{header.kind} with a data record without time stamp; export it in one piece")
    sample = header.seconds / max(signal.per_record for signal in header.signals)
    for before, after in pairwise(onsets):
        gap = after - before - header.seconds
        if abs(gap) > max(sample, 0.001):
            seconds = before - onsets[0] + header.seconds
            what = f"{gap:.3g} s are missing" if gap > 0 else f"it goes back by {-gap:.3g} s"
            raise FileError(
                f"a recording with gaps ({header.kind}): {what} after {seconds:.3g} s; export one part of it"
            )

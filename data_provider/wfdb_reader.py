"""WFDB files -> ECGRecord: leads by name, millivolts, gaps and missing leads masked, damage named."""

from pathlib import Path

import numpy as np
import wfdb

from data_provider.examples import RecordRef
from data_provider.leads import canonical_lead, complete_limb_leads
from data_provider.record import LEADS, ECGRecord
from data_provider.wfdb_header import Header, HeaderError, read_header
from utils.errors import UserError

MIN_LEADS = 6
MIN_SECONDS = 1.0
MAX_MV = 50.0  # ten times the largest QRS: beyond it, gain or unit is wrong
MAX_BRIDGED_SECONDS = 0.2
MIN_USABLE_FRACTION = 0.5  # a lead with fewer good samples does not count towards MIN_LEADS


class RecordError(UserError):
    """A recording cannot be used; the message names it and says why."""


def read_record(
    ref_or_path: RecordRef | Path | str, record_id: str | None = None, patient_id: str | None = None
) -> ECGRecord:
    """Read one WFDB record.

    ref_or_path: a reference, or the record's path with or without extension; ids given here win over the reference's.
    Limb leads that the file does not have are computed where two others are usable. A lead that never changes is
    zero and not good: its electrode was off. Gaps up to 0.2 s are bridged by a line, longer ones are zero; neither is
    good.

    Raises `RecordError` for files that are missing, truncated, damaged (checksum) or not a plausible ECG.
    """
    if isinstance(ref_or_path, RecordRef):
        path = ref_or_path.path
        record_id = record_id or ref_or_path.record_id
        patient_id = patient_id or ref_or_path.patient_id
    else:
        path = Path(ref_or_path)
    if path.suffix in (".hea", ".dat", ".mat"):
        path = path.with_suffix("")
    try:
        signal, good, fs = _read(path)
    except HeaderError as error:
        raise RecordError(f"record {path}: {error}") from None
    return ECGRecord(signal, fs, good, record_id or path.name, patient_id)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    header_path = path.with_name(path.name + ".hea")
    try:
        header = read_header(header_path)
    except FileNotFoundError:
        raise HeaderError("no such .hea file") from None
    except OSError as error:
        raise HeaderError(f"cannot be read ({error.strerror})") from None
    try:
        # Digital samples with every sample of a frame: what the checksums are about.
        record = wfdb.rdrecord(str(path), physical=False, smooth_frames=False, return_res=32)
        physical = record.dac(expanded=True)
    except Exception as error:  # wfdb raises whatever its parsing stumbles over
        raise HeaderError(f"wfdb cannot read it ({type(error).__name__}: {str(error)[:80]})") from None
    rows = _lead_rows([line.name for line in header.signals])
    per_frame = {header.signals[channel].per_frame for channel in rows.values()}
    if len(per_frame) > 1:
        raise HeaderError("its leads differ in sampling rate")
    fs = header.fs * per_frame.pop()
    _check_samples(record, header, rows)

    n_samples = len(record.e_d_signal[next(iter(rows.values()))])
    if n_samples < MIN_SECONDS * fs:
        raise HeaderError(f"{n_samples / fs:.2f} s long; at least {MIN_SECONDS:g} s are needed")
    signal = np.full((len(LEADS), n_samples), np.nan)
    for lead, channel in rows.items():
        values = physical[channel] * header.signals[channel].mv_per_unit
        known = values[np.isfinite(values)]
        if known.size == 0 or np.ptp(known) == 0:
            continue
        if np.abs(known).max() > MAX_MV:
            raise HeaderError(f"lead {lead} reaches {np.abs(known).max():.0f} mV; check gain and unit")
        signal[LEADS.index(lead)] = values
    complete_limb_leads(signal, _usable(signal), [lead not in rows for lead in LEADS])
    n_usable = sum(_usable(signal))
    if n_usable < MIN_LEADS:
        raise HeaderError(f"{n_usable} usable leads; at least {MIN_LEADS} are needed")
    filled = np.stack([bridge_gaps(lead, fs) for lead in signal])
    return filled.astype(np.float32), np.isfinite(signal), fs


def _usable(signal: np.ndarray) -> list[bool]:
    return (np.isfinite(signal).mean(axis=1) >= MIN_USABLE_FRACTION).tolist()


def _lead_rows(names: list[str]) -> dict[str, int]:
    """Canonical lead -> channel of the file."""
    rows: dict[str, int] = {}
    for channel, name in enumerate(names):
        lead = canonical_lead(name)
        if lead is None:
            continue
        if lead in rows:
            raise HeaderError(f"lead {lead} stands twice in the header")
        rows[lead] = channel
    if not rows:
        raise HeaderError(f"none of its signals is one of the 12 leads ({', '.join(names)[:60]})")
    return rows


def _check_samples(record: wfdb.Record, header: Header, rows: dict[str, int]) -> None:
    # Writers that compute no checksums leave 0 everywhere; a shift between leads (skew) changes what wfdb returns.
    has_checksums = any(line.checksum for line in header.signals) and not any(record.skew)
    for lead, channel in rows.items():
        line = header.signals[channel]
        if line.mv_per_unit is None:
            raise HeaderError(f"lead {lead} {line.unit_problem}")
        samples = record.e_d_signal[channel]
        if header.n_frames is not None and len(samples) != header.n_frames * line.per_frame:
            raise HeaderError(f"lead {lead} has {len(samples)} of {header.n_frames * line.per_frame} samples")
        if has_checksums and (int(samples.sum(dtype=np.int64)) - line.checksum) % 65536:
            raise HeaderError(f"lead {lead} does not match the header's checksum; the file is damaged")


def bridge_gaps(values: np.ndarray, fs: float) -> np.ndarray:
    """Values ``(T,)`` with NaN gaps of at most 0.2 s between two samples filled by a line, other gaps by 0."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    known = np.flatnonzero(finite)
    filled = np.where(finite, values, 0)
    longest = MAX_BRIDGED_SECONDS * fs
    steps = np.diff(known)
    for left, step in zip(known[:-1][steps > 1], steps[steps > 1], strict=True):
        if step - 1 <= longest:
            filled[left : left + step + 1] = np.linspace(values[left], values[left + step], step + 1)
    return filled

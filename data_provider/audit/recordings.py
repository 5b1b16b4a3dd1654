"""Reads every recording once for its sampling rate, length, leads, amplitudes and fingerprint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.audit.fingerprint import Fingerprint, fingerprint, sample_hash
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import LEADS
from cardiolect.utils.parallel import ordered_map
from cardiolect.utils.progress import progress


@dataclass(frozen=True)
class Reading:
    """spread: 1st to 99th percentile of each lead in mV, NaN if it is missing; reason: why it cannot be read.

    contradicts: the limb leads contradict one another. masked, computed: leads without a voltage at times, and those
    that were computed. offset: the largest of a lead in mV. sample_hash,
    fingerprint: as `audit.fingerprint` takes them.
    """

    fs: float = 0.0
    seconds: float = 0.0
    spread: tuple[float, ...] = ()
    reason: str = ""
    contradicts: bool = False
    masked: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    offset: float = 0.0
    sample_hash: str = ""
    fingerprint: Fingerprint | None = None


def read_all(refs: Sequence[RecordRef], workers: int, what: str) -> Iterator[Reading]:
    """The readings in the order of ``refs``; ``what`` labels the progress bar."""
    yield from progress(ordered_map(_read, refs, workers), total=len(refs), desc=what, unit="ecg", mininterval=1)


def _read(ref: RecordRef) -> Reading:
    try:
        record = read_record(ref, check_leads=False)
    except RecordError as error:
        return Reading(reason=str(error).split(": ")[-1])
    low, high = np.percentile(record.signal, (1, 99), axis=1)
    spread = np.where(record.lead_present, high - low, np.nan)
    offset = float(np.abs(np.median(record.signal, axis=1)).max())
    marks = record.contradicts, tuple(record.masked), record.computed, offset
    signal = sample_hash(record), fingerprint(record)
    return Reading(record.fs, record.seconds, tuple(map(float, spread)), "", *marks, *signal)


def amplitudes(readings: Sequence[Reading]) -> dict[str, dict[str, float]]:
    """Per lead: quartiles of the spread in mV, and the share of recordings that lack the lead."""
    spreads = np.array([r.spread for r in readings if r.spread]).reshape(-1, len(LEADS))
    found = {}
    for column, lead in enumerate(LEADS):
        known = spreads[:, column][np.isfinite(spreads[:, column])]
        quartiles = np.percentile(known, (25, 50, 75)) if len(known) else [float("nan")] * 3
        found[lead] = {
            **{name: round(float(v), 4) for name, v in zip(("q25_mv", "median_mv", "q75_mv"), quartiles, strict=True)},
            "missing": round(1 - len(known) / max(1, len(spreads)), 4),
        }
    return found

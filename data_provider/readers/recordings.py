"""One ECG out of the signals of a file that may hold several recordings: strips, rhythm leads, leads in parts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.lead_names import FoundLeads, canonical_lead, find_leads
from cardiolect.data_provider.record import LEADS, LIMB_LEADS

_ENOUGH_LEADS = 6
_ENOUGH_SECONDS = 10.0  # a longer strip of fewer leads is a rhythm strip


class Signal(NamedTuple):
    """A signal as stored. values: mV ``(T,)``; fs: Hz; start: equal for what was recorded together; scale: "5 uV"."""

    name: str
    values: np.ndarray
    fs: float
    start: object
    scale: str


class _Recording(NamedTuple):
    signals: list[Signal]
    found: FoundLeads

    @property
    def fs(self) -> float:
        return self.signals[0].fs

    @property
    def seconds(self) -> float:
        return len(self.signals[0].values) / self.fs

    @property
    def available(self) -> set[str]:
        """The leads stored, and the limb leads that follow from two of them."""
        leads = set(self.found.rows)
        return leads | set(LIMB_LEADS) if len(leads & set(LIMB_LEADS)) > 1 else leads

    @property
    def rank(self) -> tuple[bool, float, float, float]:
        n_leads = len(self.available)
        return n_leads >= _ENOUGH_LEADS, n_leads * min(self.seconds, _ENOUGH_SECONDS), self.seconds, self.fs


def one_recording(signals: Sequence[Signal], kind: str, notes: Sequence[str] = ()) -> Channels:
    """Signals of equal start, rate and length make a recording; the most complete, then the longest one is returned.

    A lead that is stored twice with equal values is one lead; one without samples was not recorded. Raises `FileError`
    if no signal is a lead, if the choice is open, or if the recording lacks a lead that another one has.
    """
    empty = [signal.name for signal in signals if not len(signal.values)]
    if len(empty) == len(signals):
        raise FileError("stores no samples")
    groups: dict[tuple, list[Signal]] = {}
    for signal in signals:
        if not len(signal.values):
            continue
        if not 0 < signal.fs < float("inf"):
            raise FileError(f"the sampling rate is {signal.fs:g} Hz")
        groups.setdefault((signal.start, round(signal.fs, 6), len(signal.values)), []).append(signal)
    recordings, others = [], []
    for group in groups.values():
        group = _without_repeats(group)
        names = [signal.name for signal in group]
        try:
            recordings.append(_Recording(group, find_leads(names)))
        except FileError:
            if any(map(canonical_lead, names)):
                raise
            others += names
    if not recordings:
        find_leads(others)  # raises with the reason
    best = max(recordings, key=lambda each: each.rank)
    lost = sorted({lead for each in recordings for lead in each.available} - best.available, key=LEADS.index)
    if lost:
        raise FileError(
            f"leads {', '.join(lost)} differ from the other leads in start, rate or length; export an ECG whose leads "
            "run together"
        )
    equal = [each for each in recordings if each.rank == best.rank and not _alike(each, best)]
    if equal:
        raise FileError(
            f"contains {len(equal) + 1} recordings of {best.seconds:g} s and {len(best.found.rows)} leads, made one "
            "after the other; split the file"
        )
    find_leads([signal.name for signal in best.signals] + others)  # raises if one of the others may be a missing lead
    without = [f"no samples are stored for {', '.join(empty)[:60]}"] if empty else []
    left_out = [
        f"left out: {len(each.found.rows)} leads of {each.seconds:g} s at {each.fs:g} Hz"
        for each in recordings
        if each is not best
    ]
    rows = {lead: best.signals[row] for lead, row in best.found.rows.items()}
    return Channels(
        {lead: signal.values for lead, signal in rows.items()},
        best.fs,
        kind,
        best.found.names,
        (*best.found.ignored, *others, *empty),
        {lead: signal.scale for lead, signal in rows.items()},
        (*notes, *without, *left_out),
    )


def _without_repeats(signals: list[Signal]) -> list[Signal]:
    """The signals but for leads that repeat an earlier one value by value."""
    kept: list[Signal] = []
    for signal in signals:
        lead = canonical_lead(signal.name)
        same = (each for each in kept if lead is not None and canonical_lead(each.name) == lead)
        if not any(np.array_equal(each.values, signal.values, equal_nan=True) for each in same):
            kept.append(signal)
    return kept


def _alike(one: _Recording, other: _Recording) -> bool:
    """Whether two recordings of equal rate and length have the same leads with the same values."""
    return one.found.rows.keys() == other.found.rows.keys() and all(
        np.array_equal(one.signals[row].values, other.signals[other.found.rows[lead]].values, equal_nan=True)
        for lead, row in one.found.rows.items()
    )

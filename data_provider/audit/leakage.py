"""Finds leakage: a patient or a signal in more than one split."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Placed:
    """A recording and its split, "" if it has none."""

    corpus: str
    record_id: str
    patient_id: str | None
    split: str
    signal_hash: str


def leaks(placed: Sequence[Placed]) -> list[str]:
    """One line for each kind of leak, naming recordings but never patients; empty if there is none.

    Patients are compared within a corpus: the ids of different corpora are unrelated.
    """
    by_patient, by_signal = defaultdict(list), defaultdict(list)
    for one in placed:
        if one.patient_id is not None:
            by_patient[one.corpus, one.patient_id].append(one)
        if one.signal_hash:
            by_signal[one.signal_hash].append(one)
    kinds = (("patient", "patients", by_patient), ("signal", "signals", by_signal))
    return [line for singular, plural, groups in kinds if (line := _line(singular, plural, list(groups.values())))]


def duplicates(placed: Sequence[Placed]) -> list[list[str]]:
    """Groups of recordings with the same signal, as ``corpus/record``, including those within one split."""
    groups = defaultdict(list)
    for one in placed:
        if one.signal_hash:
            groups[one.signal_hash].append(f"{one.corpus}/{one.record_id}")
    return [sorted(group) for group in groups.values() if len(group) > 1]


def _line(singular: str, plural: str, groups: list[list[Placed]]) -> str:
    crossing = [group for group in groups if len({one.split for one in group} - {""}) > 1]
    if not crossing:
        return ""
    first: dict[str, Placed] = {one.split: one for one in reversed(crossing[0]) if one.split}
    example = " and ".join(f"{one.corpus}/{one.record_id} ({one.split})" for one in sorted(first.values(), key=str))
    verb = f"{singular} is" if len(crossing) == 1 else f"{plural} are"
    return f"{len(crossing)} {verb} in more than one split, for example {example}"

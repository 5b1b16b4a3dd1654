"""Finds leakage: a patient, a signal or a rare report in more than one split."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cardiolect.data_provider.audit.report_texts import Report
from cardiolect.data_provider.corpora.databases import likely_database


@dataclass(frozen=True)
class Placed:
    """A recording and its split, "" if it has none.

    signal: equal for recordings of the same ECG, "" if unknown. database: whose patients the corpus has; if it is not
    given, the one that its name suggests.
    """

    corpus: str
    record_id: str
    patient_id: str | None
    split: str
    signal: str
    database: str = ""

    @property
    def record(self) -> str:
        return f"{self.corpus}/{self.record_id}"

    @property
    def patient(self) -> tuple[str, str]:
        return self.database or likely_database(self.corpus), self.patient_id or ""


def leaks(placed: Sequence[Placed]) -> list[str]:
    """One line for each kind of leak, naming recordings but never patients; empty if there is none.

    Patients are compared within a database: the ids of different databases are unrelated.
    """
    by_patient, by_signal = defaultdict(list), defaultdict(list)
    for one in placed:
        if one.patient_id is not None:
            by_patient[one.patient].append(one)
        if one.signal:
            by_signal[one.signal].append(one)
    kinds = (("patient", "patients", by_patient), ("signal", "signals", by_signal))
    return [line for singular, plural, groups in kinds if (line := _line(singular, plural, list(groups.values())))]


def duplicates(placed: Sequence[Placed]) -> list[list[str]]:
    """Groups of recordings with the same signal, as ``corpus/record``, including those within one split."""
    groups = defaultdict(list)
    for one in placed:
        if one.signal:
            groups[one.signal].append(one.record)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def report_leaks(groups: list[list[Report]]) -> list[str]:
    """The same for groups of equal reports."""
    return [line] if (line := _line("long rare report", "long rare reports", groups)) else []


def _line(singular: str, plural: str, groups: Sequence[Sequence[Placed | Report]]) -> str:
    crossing = [group for group in groups if len({one.split for one in group} - {""}) > 1]
    if not crossing:
        return ""
    first = {one.split: one for one in reversed(crossing[0]) if one.split}
    example = " and ".join(sorted(f"{one.record} ({split})" for split, one in first.items()))
    verb = f"{singular} is" if len(crossing) == 1 else f"{plural} are"
    return f"{len(crossing)} {verb} in more than one split, for example {example}"

"""Contradictions between the report on a recording, its truth and the answers to questions about it, read as text."""

from collections.abc import Iterator, Sequence
from itertools import combinations

from cardiolect.data_provider.ecgqa.findings import (
    ABNORMAL,
    AV_BLOCK,
    AXES,
    LBBB,
    LOW_VOLTAGE,
    LVH,
    NAMES,
    NOISES,
    NORMAL,
    RBBB,
    RENAMED,
    RHYTHMS,
)
from cardiolect.data_provider.ecgqa.ranges import ABOVE, BELOW, FEATURES, TEXTBOOK_RANGES_MS, WITHIN, range_of
from cardiolect.data_provider.simulator.truth import UNCORRECTED, Truth
from cardiolect.data_provider.texts.lexicon import findings_in

SINUS, BRADYCARDIA, TACHYCARDIA, FIBRILLATION, FLUTTER = RHYTHMS
PACED, ARRHYTHMIA = NAMES["PACE"], NAMES["SARRH"]
# What a reader would never say of one ECG; sinus rhythm with a rate or with arrhythmia is a matter of words.
EXCLUSIVE = {
    frozenset(pair)
    for group in (
        AXES,
        (LBBB, RBBB, NAMES["IRBBB"]),
        (NORMAL, ABNORMAL),
        (SINUS, BRADYCARDIA, TACHYCARDIA, FIBRILLATION, FLUTTER, PACED),
    )
    for pair in combinations(group, 2)
} | {
    frozenset(pair)
    for pair in (
        *((AV_BLOCK, rhythm) for rhythm in (FIBRILLATION, FLUTTER, PACED)),
        *((ARRHYTHMIA, rhythm) for rhythm in (FIBRILLATION, FLUTTER, PACED)),
        (LOW_VOLTAGE, LVH),
        (LOW_VOLTAGE, NAMES["VCLVH"]),
    )
}
HARMLESS = {SINUS, ARRHYTHMIA, AXES[0], NORMAL, *NOISES}  # may stand in a report with "Normal ECG"
FINDING_TEMPLATES = (1, 20, 27, 36)  # "Does this ECG show X?"
RANGE_TEMPLATES = {39, 40, 41, 42}


def report_contradictions(text: str) -> Iterator[str]:
    """What a report says that excludes each other."""
    stated = findings_in(text)
    yield from _exclusive(stated)
    if NORMAL in stated:
        yield from (f"a normal ECG with {finding}" for finding in sorted(stated - HARMLESS))
        if BELOW in text or ABOVE in text:
            yield "a normal ECG with an interval out of range"


def interval_contradictions(truth: Truth, text: str) -> Iterator[str]:
    """Intervals that a report calls out of range and a textbook does not, or that no reader reports."""
    for feature in FEATURES:
        for place in (BELOW, ABOVE):
            if f"{feature} {place}." not in text.lower():
                continue
            value = truth.intervals[feature]
            if feature == UNCORRECTED:
                yield f"{feature} {place} in a report, which states the corrected one"
            elif value is None or range_of(feature, value, TEXTBOOK_RANGES_MS) != place:
                yield f"{feature} {place} in a report, at {value} ms"


def _exclusive(stated: set[str]) -> Iterator[str]:
    pairs = (frozenset(pair) for pair in combinations(sorted(stated), 2))
    yield from (" with ".join(sorted(pair)) for pair in pairs if pair in EXCLUSIVE)


def answer_contradictions(truth: Truth, rows: Sequence[dict]) -> Iterator[str]:
    """What the answers about one recording, in ECG-QA's form, say against each other, the report and the truth."""
    yes: set[str] = set()
    out: dict[str, bool] = {}
    for row in rows:
        attribute = (row["attribute"] or [""])[0]
        if row["template_id"] in FINDING_TEMPLATES:
            name = {NAMES[code]: finding for code, finding in RENAMED.items()}.get(attribute, attribute)
            says = row["answer"] == ["yes"]
            yes |= {name} if says else set()
            if says != (name in truth.findings):
                yield f"'{row['question']}' {row['answer'][0]}, against the truth"
        if row["template_id"] in RANGE_TEMPLATES:
            for feature, outside in _ranges_said(row):
                if out.setdefault(feature, outside) != outside:
                    yield f"{feature} both within and out of the normal range"
    yield from _exclusive(yes)
    if NORMAL in truth.findings:
        yield from (f"a normal ECG with its {feature} out of range" for feature, outside in out.items() if outside)
        yield from (f"a normal ECG, and yes to {finding}" for finding in sorted(yes - HARMLESS))


def _ranges_said(row: dict) -> Iterator[tuple[str, bool]]:
    """(interval, whether it is out of range) for what an answer says about ranges."""
    named = [feature for feature in FEATURES if f" {feature} " in f" {row['question']} "]
    if row["template_id"] == 42:
        yield from ((feature, True) for feature in row["answer"] if feature in FEATURES)
    elif row["template_id"] == 39:
        yield from ((feature, row["answer"] == ["no"]) for feature in named)
    elif row["answer"] != ["none"]:
        yield from ((feature, row["answer"] != [WITHIN]) for feature in named)


def text_contradictions(truth: Truth, report: str, rows: Sequence[dict]) -> list[str]:
    """Everything that is said about one recording and excludes each other; a `Truth` itself cannot."""
    missing = set(truth.findings) ^ findings_in(report)
    return [
        *report_contradictions(report),
        *interval_contradictions(truth, report),
        *(f"{finding} in the truth or the report only" for finding in sorted(missing)),
        *answer_contradictions(truth, rows),
    ]

"""Scores reports by the statements they share rather than by their words."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.findings import finding_scores
from cardiolect.utils.metrics.scores import Scores
from cardiolect.utils.metrics.statements.codes import INFARCT
from cardiolect.utils.metrics.statements.extraction import extract, read, sentences
from cardiolect.utils.scp_codes import SUPERCLASS_OF

_COMMON = 20  # unrecognised statements listed
_CLASS_OF = SUPERCLASS_OF | {INFARCT: "MI"}


def stated(text: str) -> set[str]:
    """The codes that a report states as present or possible."""
    return {code for code, status in extract(text).items() if status != "absent"}


def content_scores(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """F1 of statements over the corpus (micro), 0 if neither side states anything.

    ``content_f1``, ``content_precision``, ``content_recall``: codes stated as present or possible. ``content_f1_sure``:
    the same, but present and possible must agree too. ``content_f1_class``: infarction, ST-T change, conduction
    disturbance and hypertrophy count once each, so that an infarct of another wall is a hit; other codes are unchanged.
    """
    predicted, gold = [extract(text) for text in predictions], [extract(text) for text in references]
    if len(predicted) != len(gold):
        raise UserError(f"{len(predicted)} predictions for {len(gold)} references")
    views = {
        "content": lambda found: {code for code, status in found.items() if status != "absent"},
        "content_sure": lambda found: {item for item in found.items() if item[1] != "absent"},
        "content_class": lambda found: {_CLASS_OF.get(c, c) for c, status in found.items() if status != "absent"},
    }
    columns: dict[str, list[int]] = {}
    for view, of in views.items():
        pairs = [(of(one), of(other)) for one, other in zip(predicted, gold, strict=True)]
        columns[f"{view}:hits"] = [len(one & other) for one, other in pairs]
        columns[f"{view}:claims"] = [len(one) for one, _ in pairs]
        columns[f"{view}:support"] = [len(other) for _, other in pairs]
    formulas = {
        "content_f1": lambda means, _: _f1(means, "content"),
        "content_f1_sure": lambda means, _: _f1(means, "content_sure"),
        "content_f1_class": lambda means, _: _f1(means, "content_class"),
        "content_precision": lambda means, _: _ratio(means["content:hits"], means["content:claims"]),
        "content_recall": lambda means, _: _ratio(means["content:hits"], means["content:support"]),
    }
    return Scores(Scores.per_sample(columns).columns, formulas)


def content_table(predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """The counts of `content_scores` by code, and how much of the references was understood.

    ``per_code``, ``micro_f1`` and ``macro_f1`` (over codes that references state) are as in `finding_scores`; a score
    without any statement to count is left out. ``coverage``: `coverage` of the references.
    """
    scores = finding_scores([stated(text) for text in predictions], [stated(text) for text in references])
    return {"per_code": scores.pop("per_finding"), **scores, "coverage": coverage(references)}


def coverage(texts: Collection[str]) -> dict[str, Any]:
    """How much of the texts the lexicons recognise.

    ``statements`` and ``reports``: share of sentences, and of non-empty reports, in which anything was recognised,
    including known statements without a code ("Trace only requested"). ``coded``: share of these reports with a code.
    ``unrecognised``: the most common other sentences; ``beside``: the most common words of recognised sentences outside
    their statements, ``{text: count}``.
    """
    unknown: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    total, reports, known, coded = 0, 0, 0, 0
    for text in texts:
        readings = [(sentence, read(sentence)) for sentence in sentences(text)]
        total += len(readings)
        reports += bool(readings)
        known += any(reading.known for _, reading in readings)
        coded += any(reading.codes for _, reading in readings)
        for sentence, reading in readings:
            if reading.known:
                beside.update(reading.rest)
            else:
                unknown[sentence] += 1
    return {
        "statements": _ratio(total - unknown.total(), total),
        "reports": _ratio(known, reports),
        "coded": _ratio(coded, reports),
        "unrecognised": dict(unknown.most_common(_COMMON)),
        "beside": dict(beside.most_common(_COMMON)),
    }


def _f1(means: Mapping[str, float], view: str) -> float:
    return _ratio(2 * means[f"{view}:hits"], means[f"{view}:claims"] + means[f"{view}:support"])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0

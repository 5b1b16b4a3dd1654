"""Questions about simulated ECGs with ECG-QA's templates and in its JSON form, balanced over a split.

Left out because readers disagree: the axis in right bundle branch block, hypertrophy in left bundle branch block,
inverted T waves in bundle branch block, acute infarction or flutter, and undefined intervals.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from cardiolect.data_provider.ecgqa.balance import balanced
from cardiolect.data_provider.ecgqa.findings import (
    AV_BLOCK,
    AXES,
    ECTOPIES,
    INVERTED_T,
    LBBB,
    LONG_QT,
    LOW_VOLTAGE,
    LVH,
    NOISES,
    RBBB,
    RHYTHMS,
    TERRITORIES,
)
from cardiolect.data_provider.ecgqa.ranges import ABOVE, BELOW, FEATURES, RANGES, WITHIN
from cardiolect.data_provider.ecgqa.templates import ANY_EXTRASYSTOLE, ANY_NOISE, NOISE_IN_LEAD, TEMPLATES
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.truth import Truth

INFARCTIONS = tuple(f"myocardial infarction in {t} leads" for t in TERRITORIES)
DIAGNOSES = (AV_BLOCK, LBBB, RBBB, LVH, *INFARCTIONS, LONG_QT)
SYMPTOMS = (*RHYTHMS, *DIAGNOSES, LOW_VOLTAGE, INVERTED_T)
# How often each verify attribute, pair to choose from and query is asked, as a share of the ECGs in the split.
VERIFY_SHARE, RARE_VERIFY_SHARE, CHOOSE_SHARE, QUERY_SHARE = 0.18, 0.10, 0.06, 0.45
TOP_SHARE = 0.35  # limit on the share of the most common answer to a choose or query question

Answer = tuple[str, ...]
Judge = Callable[[Truth, str], bool | None]


@dataclass(frozen=True)
class Question:
    """A question and how to answer it; ``answer`` returns None for ECGs that it is not asked about.

    per_ecg: how often it may be asked, as a share of the ECGs.
    top_share: limit on the share of the most common answer (1/2 for yes and no).
    """

    template_id: int
    question_type: str
    attribute_type: str
    text: str
    attribute: list[str] | None
    answer: Callable[[Truth], Answer | None]
    per_ecg: float
    top_share: float = TOP_SHARE


def questions(has: Judge | None = None) -> Iterator[Question]:
    """All questions in the order of template and attribute.

    has: whether an ECG shows a finding; None if that cannot be judged.
    """
    has = has or _has
    yield from _verify(has)
    yield from _choose(has)
    yield from _query()


def _in_order(present: Iterable[str], names: Iterable[str]) -> Answer:
    """The ``names`` that are present, in their order, or "none"."""
    present = set(present)
    return tuple(name for name in names if name in present) or ("none",)


def _yes_no(value: bool | None) -> Answer | None:
    return None if value is None else ("yes",) if value else ("no",)


def _has(truth: Truth, finding: str) -> bool | None:
    """Whether the ECG shows a finding; None if that cannot be judged."""
    if finding in AXES and truth.axis is None:
        return None
    if finding == LVH and truth.conduction == LBBB:
        return None
    if finding == INVERTED_T and (truth.conduction or truth.infarction or truth.flutter_ratio):
        return None
    if finding in (LONG_QT, AV_BLOCK) and truth.intervals["qt interval"] is None:
        return False if finding == AV_BLOCK else None
    return finding in truth.findings


def _verify(has: Judge) -> Iterator[Question]:
    def ask(
        template_id: int,
        attribute: str,
        judge: Callable[[Truth], bool | None],
        share: float = VERIFY_SHARE,
        text: str = "",
    ):
        text = text or TEMPLATES[template_id].text(attribute)
        return _question(template_id, text, [attribute], lambda truth: _yes_no(judge(truth)), share, top_share=0.5)

    for s in SYMPTOMS:
        yield ask(1, s, lambda t, s=s: has(t, s))
    for a in AXES:
        yield ask(20, a, lambda t, a=a: has(t, a))
    for n in NOISES[:3]:
        for lead in LEADS:
            yield ask(
                NOISE_IN_LEAD,
                n,
                # Asked only if some lead has the noise, so that the question requires looking at the lead.
                lambda t, n=n, lead=lead: lead in t.noise[n] if n in t.noise else None,
                0.01,
                TEMPLATES[NOISE_IN_LEAD].text(n, lead),
            )
    for n in NOISES:
        yield ask(27, n, lambda t, n=n: n in t.noise)
    yield ask(29, ANY_NOISE, lambda t: bool(t.noise))
    yield ask(35, ANY_EXTRASYSTOLE, lambda t: bool(t.ectopy))
    for e in ECTOPIES:
        yield ask(36, e, lambda t, e=e: t.ectopy == e)
    for f in FEATURES:
        yield ask(39, f, lambda t, f=f: None if (r := t.range_of(f)) is None else r == WITHIN, RARE_VERIFY_SHARE)


def _choose(has: Judge) -> Iterator[Question]:
    def ask(template_id: int, pair: tuple[str, str], judge: Judge, *attributes: str):
        def answer(truth: Truth) -> Answer | None:
            present = [judge(truth, name) for name in pair]
            return None if None in present else _in_order((n for n, p in zip(pair, present, strict=True) if p), pair)

        text = TEMPLATES[template_id].text(*attributes, *pair)
        return _question(template_id, text, list(pair), answer, CHOOSE_SHARE)

    for pair in (*combinations(INFARCTIONS, 2), (LBBB, RBBB), (AV_BLOCK, LVH), (LVH, RBBB), (RBBB, AV_BLOCK)):
        yield ask(4, pair, has)
    for pair in combinations(RHYTHMS, 2):
        yield ask(10, pair, has)
    for pair in combinations(AXES, 2):
        yield ask(21, pair, has)
    for pair in combinations(NOISES, 2):
        yield ask(30, pair, lambda t, n: n in t.noise)
    yield ask(37, ECTOPIES, lambda t, e: t.ectopy == e)
    for f in ("rr interval", "qt interval", "qt corrected", "pr interval"):
        for pair in combinations(RANGES, 2):
            yield ask(40, pair, lambda t, r, f=f: None if t.range_of(f) is None else t.range_of(f) == r, f)


def _query() -> Iterator[Question]:
    def ask(
        template_id: int,
        answer: Callable[[Truth], Answer | None],
        *attributes: str,
        attribute: list[str] | None = None,
        share: float = QUERY_SHARE,
    ):
        return _question(template_id, TEMPLATES[template_id].text(*attributes), attribute, answer, share)

    def features_in(truth: Truth, wanted: str) -> Answer | None:
        if truth.intervals["qt interval"] is None:
            return None
        return _in_order((f for f in FEATURES if truth.range_of(f) == wanted), FEATURES)

    yield ask(5, lambda t: _in_order(t.findings, DIAGNOSES))
    yield ask(7, lambda t: _in_order(t.findings, RHYTHMS))
    yield ask(22, lambda t: (t.axis,) if t.axis else None)
    yield ask(32, lambda t: _in_order(t.noise, NOISES))
    yield ask(38, lambda t: _in_order([t.ectopy or ""], ECTOPIES))
    for f in FEATURES:
        yield ask(41, lambda t, f=f: None if (r := t.range_of(f)) is None else (r,), f, attribute=[f], share=0.08)
    for wanted in (ABOVE, BELOW):
        yield ask(42, lambda t, w=wanted: features_in(t, w), wanted, share=0.3)


def _question(
    template_id: int,
    text: str,
    attribute: list[str] | None,
    answer: Callable[[Truth], Answer | None],
    share: float,
    top_share: float = TOP_SHARE,
) -> Question:
    template = TEMPLATES[template_id]
    return Question(
        template_id, template.question_type, template.attribute_type, text, attribute, answer, share, top_share
    )


def ask_all(
    truths: list[Truth], rng: np.random.Generator, first_sample_id: int = 0, asked: Iterable[Question] | None = None
) -> list[dict[str, Any]]:
    """The questions of one split in ECG-QA's JSON form, sorted by record.

    Questions with a single answer in the split are dropped. asked: questions to choose from; None: `questions`.
    """
    rows = []
    for question_id, q in enumerate(questions() if asked is None else asked):
        groups: dict[Answer, list[int]] = {}
        for i, truth in enumerate(truths):
            answer = q.answer(truth)
            if answer is not None:
                groups.setdefault(answer, []).append(i)
        if len(groups) < 2:
            continue
        answers = {i: answer for answer, items in groups.items() for i in items}
        want = max(round(q.per_ecg * len(truths)), 2)
        for i in balanced(groups, want, q.top_share, rng):
            rows.append((i, question_id, q, answers[i]))
    rows.sort(key=lambda row: row[:2])
    return [
        {
            "template_id": q.template_id,
            "question_id": question_id,
            "sample_id": first_sample_id + n,
            "question_type": q.question_type,
            "attribute_type": q.attribute_type,
            "question": q.text,
            "answer": list(answer),
            "ecg_id": [truths[i].record_id],
            "attribute": q.attribute,
        }
        for n, (i, question_id, q, answer) in enumerate(rows)
    ]

"""Questions about simulated ECGs in the form and with the templates of ECG-QA, balanced over a split.

Template numbers are those whose answer list fits in ``answers_for_each_template.csv``; wordings of templates that could
not be verified against the published files are written in their style. Not asked, because readers disagree: the axis in
right bundle branch block, hypertrophy in left bundle branch block, inverted T waves in bundle branch block, acute
infarction or flutter, and intervals that are undefined.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.truth import (
    AV_BLOCK,
    AXES,
    ECTOPIES,
    INVERTED_T,
    LBBB,
    LONG_QT,
    LOW_VOLTAGE,
    LVH,
    NOISES,
    NORMAL_RANGES_MS,
    RANGES,
    RBBB,
    RHYTHMS,
    TERRITORIES,
    Truth,
)

FEATURES = tuple(NORMAL_RANGES_MS)
INFARCTIONS = tuple(f"myocardial infarction in {t} leads" for t in TERRITORIES)
DIAGNOSES = (AV_BLOCK, LBBB, RBBB, LVH, *INFARCTIONS, LONG_QT)
SYMPTOMS = (*RHYTHMS, *DIAGNOSES, LOW_VOLTAGE, INVERTED_T)
# Asked per ECG of the split: each verify attribute, choose pair and query at most this often.
VERIFY, VERIFY_RARE, CHOOSE, QUERY = 0.18, 0.10, 0.06, 0.45
TOP_SHARE = 0.35  # of the most common answer to a choose or query question

Answer = tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """One question text and how to answer it; ``answer`` gives None for ECGs it is not asked about.

    per_ecg: how many times it may be asked, as a share of the ECGs.
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


def questions(has: Callable[[Truth, str], bool | None] | None = None) -> Iterator[Question]:
    """All questions in the order of template and attribute. has: whether an ECG shows a finding; None: not judged."""
    has = has or _has
    yield from _verify(has)
    yield from _choose(has)
    yield from _query()


def _listed(present: Iterable[str], among: Iterable[str]) -> Answer:
    present = set(present)
    return tuple(name for name in among if name in present) or ("none",)


def _yes_no(value: bool | None) -> Answer | None:
    return None if value is None else ("yes",) if value else ("no",)


def _has(truth: Truth, finding: str) -> bool | None:
    """Whether the ECG shows a finding; None where it cannot be judged."""
    if finding in AXES and truth.axis is None:
        return None
    if finding == LVH and truth.conduction == LBBB:
        return None
    if finding == INVERTED_T and (truth.conduction or truth.infarction or truth.flutter_ratio):
        return None
    if finding in (LONG_QT, AV_BLOCK) and truth.intervals["qt interval"] is None:
        return False if finding == AV_BLOCK else None
    return finding in truth.findings


def _verify(has: Callable[[Truth, str], bool | None]) -> Iterator[Question]:
    def ask(template: int, kind: str, text: str, attribute: str, judge: Callable[[Truth], bool | None], share: float):
        answer = lambda truth: _yes_no(judge(truth))  # noqa: E731
        return Question(template, "single-verify", kind, text, [attribute], answer, share, top_share=0.5)

    for s in SYMPTOMS:
        yield ask(1, "scp_code", f"Does this ECG show symptoms of {s}?", s, lambda t, s=s: has(t, s), VERIFY)
    for a in AXES:
        yield ask(20, "heart_axis", f"Does this ECG show {a}?", a, lambda t, a=a: has(t, a), VERIFY)
    for n in NOISES[:3]:
        for lead in LEADS:
            yield ask(
                26,
                "noise",
                f"Does this ECG show {n} in lead {lead}?",
                n,
                # Asked only where the noise is somewhere, so that the lead has to be looked at.
                lambda t, n=n, lead=lead: lead in t.noise[n] if n in t.noise else None,
                0.01,
            )
    for n in NOISES:
        yield ask(27, "noise", f"Does this ECG show {n}?", n, lambda t, n=n: n in t.noise, VERIFY)
    any_noise = "Does this ECG show any kind of noises?"
    yield ask(29, "noise", any_noise, "any kind of noises", lambda t: bool(t.noise), VERIFY)
    any_beat = "Does this ECG show any kind of extra systoles?"
    yield ask(35, "extra_systole", any_beat, "any kind of extra systoles", lambda t: bool(t.ectopy), VERIFY)
    for e in ECTOPIES:
        yield ask(36, "extra_systole", f"Does this ECG show {e}?", e, lambda t, e=e: t.ectopy == e, VERIFY)
    for f in FEATURES:
        yield ask(
            39,
            "numeric_feature",
            f"Does the {f} of this ECG fall within the normal range?",
            f,
            lambda t, f=f: None if t.range_of(f) is None else t.range_of(f) == RANGES[1],
            VERIFY_RARE,
        )


def _choose(has: Callable[[Truth, str], bool | None]) -> Iterator[Question]:
    def ask(template: int, kind: str, stem: str, pair: tuple[str, str], judge: Callable[[Truth, str], bool | None]):
        def answer(truth: Truth) -> Answer | None:
            shown = [judge(truth, name) for name in pair]
            return None if None in shown else _listed((n for n, s in zip(pair, shown, strict=True) if s), pair)

        text = f"{stem}, {pair[0]} or {pair[1]}?"
        return Question(template, "single-choose", kind, text, list(pair), answer, CHOOSE)

    for pair in (*combinations(INFARCTIONS, 2), (LBBB, RBBB), (AV_BLOCK, LVH), (LVH, RBBB), (RBBB, AV_BLOCK)):
        yield ask(4, "scp_code", "Which diagnostic symptom does this ECG show", pair, has)
    for pair in combinations(RHYTHMS, 2):
        yield ask(10, "scp_code", "Which rhythm-related symptom does this ECG show", pair, has)
    for pair in combinations(AXES, 2):
        yield ask(21, "heart_axis", "Which cardiac axis does this ECG show", pair, has)
    for pair in combinations(NOISES, 2):
        yield ask(30, "noise", "Which noise does this ECG show", pair, lambda t, n: n in t.noise)
    kind = "Which kind of extra systole does this ECG show"
    yield ask(37, "extra_systole", kind, ECTOPIES, lambda t, e: t.ectopy == e)
    for f in ("rr interval", "qt interval", "qt corrected", "pr interval"):
        for pair in combinations(RANGES, 2):
            yield ask(
                40,
                "numeric_feature",
                f"Which range does the {f} of this ECG fall in",
                pair,
                lambda t, r, f=f: None if t.range_of(f) is None else t.range_of(f) == r,
            )


def _query() -> Iterator[Question]:
    def ask(
        template: int,
        kind: str,
        text: str,
        answer: Callable[[Truth], Answer | None],
        attribute: list[str] | None = None,
        share: float = QUERY,
    ):
        return Question(template, "single-query", kind, text, attribute, answer, share)

    def features_in(truth: Truth, wanted: str) -> Answer | None:
        if truth.intervals["qt interval"] is None:
            return None
        return _listed((f for f in FEATURES if truth.range_of(f) == wanted), FEATURES)

    what = "does this ECG show?"
    yield ask(5, "scp_code", f"What diagnostic symptoms {what}", lambda t: _listed(t.findings, DIAGNOSES))
    yield ask(7, "scp_code", f"What rhythm-related symptoms {what}", lambda t: _listed(t.findings, RHYTHMS))
    yield ask(22, "heart_axis", "What direction is this ECG deviated to?", lambda t: (t.axis,) if t.axis else None)
    yield ask(32, "noise", f"What kinds of noises {what}", lambda t: _listed(t.noise, NOISES))
    kinds = f"What kinds of extra systoles {what}"
    yield ask(38, "extra_systole", kinds, lambda t: _listed([t.ectopy or ""], ECTOPIES))
    for f in FEATURES:
        yield ask(
            41,
            "numeric_feature",
            f"What range does the {f} of this ECG fall in?",
            lambda t, f=f: None if (r := t.range_of(f)) is None else (r,),
            [f],
            0.08,
        )
    for wanted in (RANGES[2], RANGES[0]):
        yield ask(
            42,
            "numeric_feature",
            f"What numeric features of this ECG fall {wanted}?",
            lambda t, w=wanted: features_in(t, w),
            share=0.3,
        )


def balanced(groups: dict[Answer, list[int]], want: int, top_share: float, rng: np.random.Generator) -> list[int]:
    """Choose up to ``want`` of the grouped items, evenly over groups; no group beyond ``top_share`` of the choice.

    Where two groups are all there is, the limit is one half.
    """
    top_share = max(top_share, 1 / len(groups)) if groups else 1.0
    left = {key: len(items) for key, items in groups.items()}
    take = dict.fromkeys(left, 0)
    room = want
    while room > 0 and any(left[k] > take[k] for k in left):
        open_keys = [k for k in left if left[k] > take[k]]
        step = max(room // len(open_keys), 1)
        for key in open_keys[:room]:
            gain = min(step, left[key] - take[key])
            take[key] += gain
            room -= gain
    for key in sorted(take, key=lambda k: (-take[k], k)):
        rest = sum(take.values()) - take[key]
        take[key] = min(take[key], int(rest * top_share / (1 - top_share) + 1e-9)) if top_share < 1 else take[key]
    return [int(i) for key in sorted(groups) for i in rng.permutation(groups[key])[: take[key]]]


def ask_all(
    truths: list[Truth], rng: np.random.Generator, first_sample_id: int = 0, among: Iterable[Question] | None = None
) -> list[dict[str, Any]]:
    """The questions of one split in ECG-QA's JSON form, by record; questions with one possible answer are dropped.

    among: which to ask; None: `questions`.
    """
    rows = []
    for question_id, q in enumerate(questions() if among is None else among):
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

"""Comparison questions about two simulated ECGs of different patients, with ECG-QA's templates 68, 69 and 70."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cardiolect.data_provider.ecgqa.balance import balanced
from cardiolect.data_provider.ecgqa.ranges import FEATURES, WITHIN
from cardiolect.data_provider.ecgqa.templates import TEMPLATES
from cardiolect.data_provider.simulator.questions import TOP_SHARE, Answer
from cardiolect.data_provider.simulator.truth import Truth

# Template -> whether its answer names a feature, given (abnormal in the first ECG, abnormal in the second).
COMPARED: dict[int, Callable[[bool, bool], bool]] = {
    68: lambda first, second: first and not second,
    69: lambda first, second: second and not first,
    70: lambda first, second: first and second,
}


def abnormal(truth: Truth) -> dict[str, bool] | None:
    """Feature -> whether it is outside its normal range; None if any of them is undefined."""
    ranges = {feature: truth.range_of(feature) for feature in FEATURES}
    return None if None in ranges.values() else {feature: r != WITHIN for feature, r in ranges.items()}


def compare_all(truths: list[Truth], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Comparisons in ECG-QA's JSON form: each ECG with defined intervals is the first of a pair."""
    judged = [(t, found) for t in truths if (found := abnormal(t)) is not None]
    order = rng.permutation(len(judged))
    pairs = [
        (judged[a], judged[b])
        for a, b in zip(order, np.roll(order, -1), strict=True)
        if judged[a][0].patient_id != judged[b][0].patient_id
    ]
    rows = []
    for template_id, names in COMPARED.items():
        template = TEMPLATES[template_id]
        groups: dict[Answer, list[int]] = {}
        for i, ((_, first), (_, second)) in enumerate(pairs):
            found = tuple(f for f in FEATURES if names(first[f], second[f])) or ("none",)
            groups.setdefault(found, []).append(i)
        answers = {i: answer for answer, members in groups.items() for i in members}
        for i in sorted(balanced(groups, len(pairs), TOP_SHARE, rng)):
            (first, _), (second, _) = pairs[i]
            rows.append(
                {
                    "template_id": template_id,
                    "question_type": template.question_type,
                    "attribute_type": template.attribute_type,
                    "question": template.text(),
                    "answer": list(answers[i]),
                    "ecg_id": [first.record_id, second.record_id],
                }
            )
    return [{"sample_id": n, **row} for n, row in enumerate(rows)]

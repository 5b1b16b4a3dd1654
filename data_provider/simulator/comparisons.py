"""Comparison questions about two simulated ECGs of different patients, with ECG-QA's templates 68, 69 and 70."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cardiolect.data_provider.simulator.questions import FEATURES, TOP_SHARE, Answer, balanced
from cardiolect.data_provider.simulator.truth import RANGES, Truth

# Template -> its text, and which features it names from (abnormal in the first, abnormal in the second).
TEMPLATES: dict[int, tuple[str, Callable[[bool, bool], bool]]] = {
    68: (
        "What numeric features of the second ECG now have become normal as compared to the first ECG?",
        lambda first, second: first and not second,
    ),
    69: (
        "What numeric features of the second ECG are now considered abnormal values as compared to the first ECG?",
        lambda first, second: second and not first,
    ),
    70: (
        "What numeric features of the second ECG are still abnormal as compared to the first ECG?",
        lambda first, second: first and second,
    ),
}


def abnormal(truth: Truth) -> dict[str, bool] | None:
    """Feature -> outside its normal range; None where one is undefined."""
    ranges = {feature: truth.range_of(feature) for feature in FEATURES}
    return None if None in ranges.values() else {feature: r != RANGES[1] for feature, r in ranges.items()}


def compare_all(truths: list[Truth], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Every ECG with defined intervals as the first of a pair, each template asked about it; ECG-QA's JSON form."""
    judged = [(t, found) for t in truths if (found := abnormal(t)) is not None]
    order = rng.permutation(len(judged))
    pairs = [
        (judged[a], judged[b])
        for a, b in zip(order, np.roll(order, -1), strict=True)
        if judged[a][0].patient_id != judged[b][0].patient_id
    ]
    rows = []
    for template, (text, names) in TEMPLATES.items():
        groups: dict[Answer, list[int]] = {}
        for i, ((_, first), (_, second)) in enumerate(pairs):
            found = tuple(f for f in FEATURES if names(first[f], second[f])) or ("none",)
            groups.setdefault(found, []).append(i)
        answers = {i: answer for answer, members in groups.items() for i in members}
        for i in sorted(balanced(groups, len(pairs), TOP_SHARE, rng)):
            (first, _), (second, _) = pairs[i]
            rows.append(
                {
                    "template_id": template,
                    "question_type": "comparison_irrelevant-query",
                    "attribute_type": "numeric_feature",
                    "question": text,
                    "answer": list(answers[i]),
                    "ecg_id": [first.record_id, second.record_id],
                }
            )
    return [{"sample_id": n, **row} for n, row in enumerate(rows)]

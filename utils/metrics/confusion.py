"""Confusion matrix of answers."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cardiolect.utils.errors import UserError

OTHER = "other"


def confusion(gold: Sequence[str], predicted: Sequence[str], most: int = 12) -> dict[str, Any]:
    """``{"labels": [...], "counts": [[...]]}``: how often each gold answer (row) was given each label (column).

    The ``most`` most common gold answers have their own row and column, in order of frequency, ties in alphabetical
    order. ``other`` comes last if it is needed; it combines the rarer gold answers, and its column also has predictions
    that are never gold. The diagonal thus counts right answers, except in its last cell, where one rare answer may have
    been given for another.
    """
    if len(gold) != len(predicted):
        raise UserError(f"{len(predicted)} predictions for {len(gold)} gold answers")
    if most < 1:
        raise UserError(f"a confusion matrix needs at least one label, not {most}")
    counted = Counter(answer for answer in gold if answer != OTHER)
    labels = sorted(counted, key=lambda answer: (-counted[answer], answer))[:most]
    if not {*gold, *predicted} <= set(labels):
        labels.append(OTHER)
    place = {label: k for k, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    for truth, answer in zip(gold, predicted, strict=True):
        counts[place.get(truth, -1), place.get(answer, -1)] += 1
    return {"labels": labels, "counts": counts.tolist()}

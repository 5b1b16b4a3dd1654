"""Confusion matrix of answers."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from cardiolect.utils.errors import UserError

OTHER = "other"


def confusion(gold: Sequence[str], said: Sequence[str], most: int = 12) -> dict[str, Any]:
    """``{"labels": [...], "counts": [[...]]}``: how often each gold answer (row) was answered by each label (column).

    The ``most`` commonest gold answers have a row and column of their own, the commonest first, equally common ones in
    alphabetical order. ``other`` comes last where it is needed; it joins the rarer gold answers, and in its column also
    what is no gold answer at all. So the diagonal counts what is right but for its last cell: there a rare answer may
    stand for another one.
    """
    if len(gold) != len(said):
        raise UserError(f"{len(said)} predictions for {len(gold)} gold answers")
    if most < 1:
        raise UserError(f"a confusion matrix needs at least one label, not {most}")
    counted = Counter(answer for answer in gold if answer != OTHER)
    labels = sorted(counted, key=lambda answer: (-counted[answer], answer))[:most]
    if not {*gold, *said} <= set(labels):
        labels.append(OTHER)
    place = {label: k for k, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    for truth, answer in zip(gold, said, strict=True):
        counts[place.get(truth, -1), place.get(answer, -1)] += 1
    return {"labels": labels, "counts": counts.tolist()}

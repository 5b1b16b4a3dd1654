"""Selective answers: how often a model is right if it may leave open what it is least sure of."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.bootstrap import bootstrap_ci

COVERAGES = (0.9, 0.8, 0.5)
_CURVE = 50  # points at most


def selective(
    confidences: Sequence[float],
    correct: Sequence[bool],
    patients: Sequence[Hashable | tuple[Hashable, ...]],
    n_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy of the surest answers; fractions of 1.

    confidences: probability, 0 to 1, that the model gave its answer, ``(n,)``. correct: whether it is right. patients:
    as in `bootstrap_ci`.

    Returns ``n``; ``accuracy`` of all answers; ``at``, for each of `COVERAGES`, the ``threshold``, which is the
    confidence of the least sure answer that is kept, ``coverage``, the share kept, and their ``accuracy`` with
    ``accuracy_ci95`` at this threshold (None if too few patients are left); ``aurc``, the area under the curve of risk
    (share of wrong answers) over coverage, 0 at best (Geifman & El-Yaniv, NeurIPS 2017); ``aurc_random``, that of a
    random order, the risk of all; and ``curve``, pairs of coverage and accuracy.

    Answers of the same confidence are kept or left open together, so the share kept may be larger than asked for. In
    the area they count as if in random order.
    """
    sure, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.shape != right.shape or sure.ndim != 1 or not len(sure) or len(patients) != len(sure):
        raise UserError(
            f"selective accuracy needs a confidence and a patient for every answer: {sure.shape} and {len(patients)} "
            f"for {right.shape} answers"
        )
    levels, first = np.unique(-sure, return_inverse=True)  # the surest first
    sizes, hits = np.bincount(first), np.bincount(first, right)
    kept, found = np.cumsum(sizes), np.cumsum(hits)
    n = len(sure)
    at = {}
    for asked in COVERAGES:
        level = int(np.searchsorted(kept, asked * n - 1e-9))
        mask = (first <= level).astype(np.float64)
        interval = bootstrap_ci(
            lambda means: means["right"] / means["kept"] if means["kept"] else np.nan,
            {"right": mask * right, "kept": mask},
            patients,
            n_resamples,
            seed,
        )
        at[f"{asked:g}"] = {
            "threshold": float(-levels[level]),
            "coverage": float(kept[level] / n),
            "accuracy": float(found[level] / kept[level]),
            "accuracy_ci95": None if interval.low is None or np.isnan(interval.low) else [interval.low, interval.high],
        }
    shown = np.unique(np.linspace(0, len(levels) - 1, min(_CURVE, len(levels))).round().astype(int))
    return {
        "n": n,
        "accuracy": float(right.mean()),
        "at": at,
        "aurc": _area(sizes, hits),
        "aurc_random": float(1 - right.mean()),
        "curve": [[float(kept[i] / n), float(found[i] / kept[i])] for i in shown],
    }


def _area(sizes: np.ndarray, hits: np.ndarray) -> float:
    """Mean over k of the risk among the k surest.

    sizes, hits: answers, and right ones, of each confidence, the surest first.
    """
    before, before_hits, total = 0, 0.0, 0.0
    for size, hit in zip(sizes.tolist(), hits.tolist(), strict=True):
        k = np.arange(1, size + 1)
        total += float((1 - (before_hits + hit * k / size) / (before + k)).sum())
        before, before_hits = before + size, before_hits + hit
    return total / before

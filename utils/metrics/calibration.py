"""Calibration: whether a model is right as often as its confidence says."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.proportions import wilson

FEWEST = 10  # samples per bin at least; with fewer, the calibration error is mostly noise


def calibration(
    confidences: Sequence[float],
    correct: Sequence[bool],
    n_bins: int = 10,
    weights: Sequence[float] | None = None,
) -> dict[str, Any]:
    """How well the probabilities that a model gives its answers match how often these are right; fractions of 1.

    confidences: probability, 0 to 1, that the model gave its answer, ``(n,)``. correct: whether the answer is right.
    n_bins: maximum number of bins of equal mass; there is at most one per `FEWEST` samples. weights: how much each
    sample counts, positive; for instance so that yes is as common as in another population. Every figure but ``n`` is
    weighted.

    Returns ``n``, ``accuracy``, ``mean_confidence``; ``brier``, the mean squared difference between confidence and
    correctness (Brier 1950), 0 at best; ``ece``, the expected calibration error: the mean over samples of the absolute
    difference between mean confidence and accuracy of their bin, with bins of equal mass; ``ece_equal_width``, the same
    with ``n_bins`` bins of equal width (Naeini et al., AAAI 2015; Guo et al., ICML 2017), for comparison with other
    work; ``auroc`` of confidence for correctness, 0.5 by guessing, absent if all answers are right or all are wrong;
    and ``bins``, those of equal mass: ``n``, ``confidence``, ``accuracy`` and its Wilson interval ``accuracy_ci95``,
    which assumes independent samples.

    Bins have equal mass because language models are mostly confident: of bins of equal width, the last then has nearly
    all samples, so that opposite errors cancel, and the others single ones (Nixon et al., Measuring Calibration in Deep
    Learning, CVPR workshops 2019). Equal confidences share a bin, so the order of samples does not matter. With few
    samples the error is above 0 even if calibration is perfect.
    """
    sure, right = np.asarray(confidences, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if sure.shape != right.shape or sure.ndim != 1 or not len(sure):
        raise UserError(f"calibration needs a confidence for every answer: {sure.shape} for {right.shape} answers")
    if n_bins < 1:
        raise UserError(f"calibration needs at least one bin, not {n_bins}")
    if not ((sure >= 0) & (sure <= 1)).all():
        raise UserError(f"the confidence of sample {int(np.argmin((sure >= 0) & (sure <= 1)))} is not a probability")
    if not np.isin(right, (0, 1)).all():
        raise UserError("correctness must be 0 or 1")
    weight = np.ones(len(sure)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != sure.shape or not (np.isfinite(weight) & (weight > 0)).all():
        raise UserError("calibration needs a positive weight for every answer")
    n = len(sure)
    mass = max(1, min(n_bins, int(_effective_size(weight) // FEWEST)))
    by_mass = (_weight_below(sure, weight) * mass / weight.sum()).astype(int)
    by_width = np.digitize(sure, np.linspace(0, 1, n_bins + 1)[1:-1], right=True)
    bins = _binned(sure, right, weight, by_mass)
    found = {
        "n": n,
        "accuracy": float(np.average(right, weights=weight)),
        "mean_confidence": float(np.average(sure, weights=weight)),
        "brier": float(np.average((sure - right) ** 2, weights=weight)),
        "ece": _error(bins),
        "ece_equal_width": _error(_binned(sure, right, weight, by_width)),
        "bins": [
            {
                "n": each.n,
                "confidence": each.confidence,
                "accuracy": each.accuracy,
                "accuracy_ci95": wilson(each.accuracy * each.effective_n, each.effective_n),
            }
            for each in bins
        ],
    }
    if 0 < right.sum() < n:
        found["auroc"] = float(roc_auc_score(right, sure, sample_weight=weight))
    return found


class _Bin(NamedTuple):
    n: int
    weight: float
    confidence: float
    accuracy: float
    effective_n: float


def _effective_size(weight: np.ndarray) -> float:
    """The number of samples of equal weight whose mean is as uncertain (Kish, Survey Sampling, 1965)."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def _weight_below(sure: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The weight of the samples less sure than each, and half of that of its ties, ``(n,)``."""
    values, places = np.unique(sure, return_inverse=True)
    tied = np.bincount(places, weights=weight, minlength=len(values))
    return (np.cumsum(tied) - tied / 2)[places]


def _binned(sure: np.ndarray, right: np.ndarray, weight: np.ndarray, bins: np.ndarray) -> list[_Bin]:
    found = []
    for rows in (bins == b for b in np.unique(bins)):
        w = weight[rows]
        means = (float(np.average(column[rows], weights=w)) for column in (sure, right))
        found.append(_Bin(len(w), float(w.sum()), *means, _effective_size(w)))
    return found


def _error(bins: Sequence[_Bin]) -> float:
    return sum(each.weight * abs(each.confidence - each.accuracy) for each in bins) / sum(each.weight for each in bins)

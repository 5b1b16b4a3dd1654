"""Calibration: whether a model is right as often as its confidence says."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.proportions import wilson

FEWEST = 10  # samples per bin at least; with fewer, the calibration error is mostly noise


def calibration(confidences: Sequence[float], correct: Sequence[bool], n_bins: int = 10) -> dict[str, Any]:
    """How well the probabilities that a model gives its answers match how often these are right; fractions of 1.

    confidences: probability, 0 to 1, that the model gave its answer, ``(n,)``. correct: whether the answer is right.
    n_bins: maximum number of bins of equal mass; there is at most one per `FEWEST` samples.

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
    n = len(sure)
    mass = max(1, min(n_bins, n // FEWEST))
    by_mass = ((rankdata(sure) - 0.5) * mass / n).astype(int)  # ties share their mean rank
    by_width = np.digitize(sure, np.linspace(0, 1, n_bins + 1)[1:-1], right=True)
    bins = _binned(sure, right, by_mass)
    found = {
        "n": n,
        "accuracy": float(right.mean()),
        "mean_confidence": float(sure.mean()),
        "brier": float(np.mean((sure - right) ** 2)),
        "ece": _error(bins, n),
        "ece_equal_width": _error(_binned(sure, right, by_width), n),
        "bins": [
            {
                "n": len(s),
                "confidence": float(s.mean()),
                "accuracy": float(r.mean()),
                "accuracy_ci95": wilson(int(r.sum()), len(r)),
            }
            for s, r in bins
        ],
    }
    if 0 < right.sum() < n:
        found["auroc"] = float(roc_auc_score(right, sure))
    return found


def _binned(sure: np.ndarray, right: np.ndarray, bins: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(sure[bins == b], right[bins == b]) for b in np.unique(bins)]


def _error(bins: list[tuple[np.ndarray, np.ndarray]], n: int) -> float:
    return float(sum(abs(s.sum() - r.sum()) for s, r in bins) / n)

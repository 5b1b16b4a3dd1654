"""Scores of classes against labels: AUROC, and F1, sensitivity and specificity at thresholds of other patients."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

RAW = "raw"  # the kind of features that the others are compared with
AT_THRESHOLDS = ("f1", "balanced_accuracy", "sensitivity", "specificity")


class Validation(NamedTuple):
    """Scores ``(records, classes)`` by kind and labels of the recordings that thresholds are chosen on."""

    scores: Mapping[str, np.ndarray]
    labels: np.ndarray


def judge(
    scores: Mapping[str, np.ndarray],
    labels: np.ndarray,
    patients: np.ndarray,
    names: Sequence[str],
    seed: int = 0,
    resamples: int = 500,
    validation: Validation | None = None,
) -> dict:
    """Means over classes and each class's own figures, with 95 % intervals over patients, by kind.

    scores: kind -> ``(records, classes)``; labels: the same shape, 0 or 1, each class with and without; names: of the
    classes. Differences in AUROC to ``raw``, if that is a kind, are paired. With ``validation`` the figures
    `AT_THRESHOLDS` as well: F1 at the threshold that has the best F1 there, the others at that of the best balanced
    accuracy. A class that validation recordings all have, or none, has no threshold and does not count in their means;
    a class that a resample lacks does not count in its mean. Empty if no resample has a class to judge.
    """
    people, whose = np.unique(patients, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(len(people), size=len(people)), minlength=len(people)) for _ in range(resamples)]
    weights = np.concatenate([np.ones((1, len(labels))), np.stack(drawn)[:, whose]])  # the first: as they are
    figures = {}
    for kind, each in scores.items():
        columns = {"auroc": np.stack([auroc(*pair, weights) for pair in zip(labels.T, each.T, strict=True)], 1)}
        if validation:
            pairs = zip(labels.T, each.T, validation.labels.T, validation.scores[kind].T, strict=True)
            at = np.stack([_at_thresholds(*pair, weights) for pair in pairs], 2)
            columns |= dict(zip(AT_THRESHOLDS, at, strict=True))
        figures[kind] = columns
    if not np.isfinite(next(iter(figures.values()))["auroc"][1:]).any():
        return {}
    found: dict = {"classes": list(names)}
    for kind, columns in figures.items():
        means = {name: _mean(values) for name, values in columns.items()}
        if RAW in figures:
            means["minus_raw"] = means["auroc"] - _mean(figures[RAW]["auroc"])
        found[kind] = _with_intervals(means) | {"by_class": {}}
        for k, label in enumerate(names):
            own = _with_intervals({name: values[:, k] for name, values in columns.items()})
            found[kind]["by_class"][label] = {"recordings": int(labels[:, k].sum()), **own}
    return found


def auroc(truth: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``(resamples,)`` for weights ``(resamples, records)``; NaN if a resample has only one of both labels."""
    order = np.argsort(scores, kind="stable")
    starts = np.unique(scores[order], return_index=True)[1]  # equal scores count half
    positive, negative = (
        np.add.reduceat(weights[:, order] * side[order], starts, axis=1) for side in (truth, 1 - truth)
    )
    below = np.cumsum(negative, axis=1) - negative / 2
    return _ratio((positive * below).sum(1), positive.sum(1) * negative.sum(1))


def best_thresholds(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """The thresholds with the best F1 and with the best balanced accuracy, halfway to the next lower score.

    NaN if there is only one of both labels.
    """
    positives, negatives = truth.sum(), (1 - truth).sum()
    if not positives or not negatives:
        return np.nan, np.nan
    order = np.argsort(-scores, kind="stable")
    values, starts = np.unique(-scores[order], return_index=True)
    ends = np.append(starts[1:], len(scores)) - 1  # of equal scores, which are all above a threshold or none
    hits, false = (np.cumsum(side[order])[ends] for side in (truth, 1 - truth))
    halfway = -np.append((values[:-1] + values[1:]) / 2, values[-1])
    f1 = 2 * hits / (hits + false + positives)
    balanced = hits / positives - false / negatives
    return float(halfway[np.argmax(f1)]), float(halfway[np.argmax(balanced)])


def _at_thresholds(
    truth: np.ndarray, scores: np.ndarray, valid_truth: np.ndarray, valid_scores: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """`AT_THRESHOLDS`, ``(4, resamples)``; NaN if the class has no threshold, or a resample one of both labels only."""
    for_f1, for_balance = best_thresholds(valid_truth, valid_scores)
    if np.isnan(for_f1):
        return np.full((len(AT_THRESHOLDS), len(weights)), np.nan)
    stated = (scores >= for_f1).astype(float)
    hits, claims, positives = weights @ (stated * truth), weights @ stated, weights @ truth
    stated = (scores >= for_balance).astype(float)
    sensitivity = _ratio(weights @ (stated * truth), positives)
    specificity = _ratio(weights @ ((1 - stated) * (1 - truth)), weights @ (1 - truth))
    f1 = np.where(positives > 0, _ratio(2 * hits, claims + positives), np.nan)
    return np.stack([f1, (sensitivity + specificity) / 2, sensitivity, specificity])


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the classes that a resample has, ``(resamples,)``."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0).sum(1), known.sum(1))


def _with_intervals(columns: Mapping[str, np.ndarray]) -> dict:
    """The first value of each, and the interval of its other values; None if they are not known."""
    found: dict = {}
    for name, values in columns.items():
        others = values[1:][np.isfinite(values[1:])]
        found[name] = float(values[0]) if np.isfinite(values[0]) else None
        interval = np.quantile(others, [0.025, 0.975]).tolist() if len(others) else None
        found["ci95" if name == "auroc" else f"{name}_ci95"] = interval
    return found

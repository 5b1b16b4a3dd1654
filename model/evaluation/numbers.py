"""Scores of answers that are numbers: how far off they are, and whether what cannot be measured is left unmeasured.

They stay out of exact match: "71 bpm" for 72 is a good answer that no text comparison would count.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from cardiolect.data_provider.examples import Example
from cardiolect.data_provider.texts.numbers import BY_TEMPLATE, NOT_MEASURABLE, NUMBER, Quantity, value_of
from cardiolect.model.evaluation.samples import Sample
from cardiolect.utils.metrics.bootstrap import Clusters
from cardiolect.utils.metrics.normalised_match import answer_set

Asked = TypeVar("Asked", Sample, Example)


def is_number(asked: Sample | Example) -> bool:
    """Whether a question asks for a number."""
    return asked.question_type == NUMBER


def in_exact_match(asked: Sequence[Asked]) -> list[Asked]:
    """What exact match counts: all but numbers, unless there is nothing else."""
    return [each for each in asked if not is_number(each)] or list(asked)


def number_scores(samples: Sequence[Sample], n_resamples: int, seed: int) -> dict[str, Any]:
    """``numbers``: figures by quantity and condition; ``numbers_left_out``: samples that no quantity explains.

    Empty if no question asks for a number. Left out are samples whose template is no quantity, or whose right answer is
    neither a number in its unit nor "not measurable".

    A quantity has ``unit``, ``within`` (the largest error that is close, in this unit), ``n`` samples and
    ``measurable``, the number of those whose truth is a number, and for every condition in ``conditions``:

    - ``answered``: share answered with a number, of the measurable
    - ``median_error``: median of the absolute errors of these answers, in the unit
    - ``close``: share within ``within``, of the measurable; what is not answered with a number is not close
    - ``sensitivity``: share answered "not measurable", of those that are not
    - ``specificity``: share not answered so, of the measurable

    each with ``..._ci95``, percentiles over resampled patients (as `bootstrap_ci`; None if all are of one patient), and
    None if there is nothing to measure it on.
    """
    asked: dict[Quantity, list[tuple[Sample, float | None]]] = {}
    left_out = 0
    for sample in filter(is_number, samples):
        quantity = BY_TEMPLATE.get(sample.template_id)
        truth = None if quantity is None else _read(sample.answers, quantity.unit)
        if truth is None:
            left_out += 1
        else:
            asked.setdefault(quantity, []).append((sample, truth))
    found: dict[str, Any] = {"numbers": {}, "numbers_left_out": left_out} if asked or left_out else {}
    for quantity, rows in sorted(asked.items(), key=lambda item: item[0].template_id):
        truths = np.array([truth for _, truth in rows])
        found["numbers"][quantity.name] = {
            "unit": quantity.unit,
            "within": quantity.close,
            "n": len(rows),
            "measurable": int(np.isfinite(truths).sum()),
            "conditions": _by_condition(quantity, [sample for sample, _ in rows], truths, n_resamples, seed),
        }
    return found


def _read(answers: Sequence[str], unit: str) -> float | None:
    """The number in an answer, NaN for "not measurable", None for anything else."""
    if answer_set(answers) == {NOT_MEASURABLE}:
        return np.nan
    return value_of(answers[0], unit) if len(answers) == 1 else None


def _by_condition(
    quantity: Quantity, samples: Sequence[Sample], truths: np.ndarray, n_resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    clusters = Clusters.of([sample.patients for sample in samples])
    once = np.ones((1, len(samples)), dtype=int)
    counts = None
    if clusters.n_patients > 1:
        resamples = clusters.resamples(seed)
        counts = np.stack([next(resamples)[clusters.of_samples] for _ in range(n_resamples)])
    found: dict[str, dict[str, Any]] = {}
    for name in samples[0].predictions:
        said = [_read([sample.predictions[name]], quantity.unit) for sample in samples]
        found[name] = row = {}
        for figure, column in _columns(said, truths, quantity.close).items():
            known = ~np.isnan(column)
            middle = _medians if figure == "median_error" else _means
            row[figure] = float(middle(column[known], once[:, known])[0]) if known.any() else None
            row[f"{figure}_ci95"] = None
            if known.any() and counts is not None:
                drawn = middle(column[known], counts[:, known])
                row[f"{figure}_ci95"] = np.nanquantile(drawn, [0.025, 0.975]).tolist()
    return found


def _columns(said: Sequence[float | None], truths: np.ndarray, close: float) -> dict[str, np.ndarray]:
    """For every figure, per sample: the error, or hit and miss; NaN if the sample does not count in it.

    said: as from `_read`.
    """
    measurable = np.isfinite(truths)
    refused = np.array([value is not None and np.isnan(value) for value in said])
    errors = np.abs(np.array([np.nan if value is None else value for value in said]) - truths)  # NaN without a number
    return {
        "answered": np.where(measurable, np.isfinite(errors), np.nan),
        "median_error": errors,
        "close": np.where(measurable, np.nan_to_num(errors, nan=np.inf) <= close, np.nan),
        "sensitivity": np.where(measurable, np.nan, refused),
        "specificity": np.where(measurable, ~refused, np.nan),
    }


def _means(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The mean of the values in each resample, NaN for an empty one; counts: how often each is in it, ``(r, n)``."""
    with np.errstate(invalid="ignore"):
        return counts @ values / counts.sum(axis=1)


def _medians(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The same for the median."""
    return np.array([np.median(np.repeat(values, each)) if each.any() else np.nan for each in counts])

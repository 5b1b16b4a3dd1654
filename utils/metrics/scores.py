"""Scores as functions of means over samples, so that even corpus BLEU can be bootstrapped over patients."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.bootstrap import Interval, bootstrap_ci

Formula = Callable[[Mapping[str, float], float], float]


@dataclass(frozen=True)
class Scores:
    """Scores of the same samples.

    columns: name -> float64 ``(n,)``. A column named like a score holds that score per sample; other columns are
        sums behind a corpus score, such as n-gram counts.
    formulas: score -> function of ``({column: mean}, number of samples)``.
    notes: text to print with a score, such as sacreBLEU's signature.
    """

    columns: Mapping[str, np.ndarray]
    formulas: Mapping[str, Formula]
    notes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def per_sample(cls, columns: Mapping[str, Sequence[float]], notes: Mapping[str, str] | None = None) -> Self:
        """Scores that are each the mean of a column."""
        arrays = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
        return cls(arrays, {name: _mean_of(name) for name in arrays}, notes or {})

    def __or__(self, other: "Scores") -> "Scores":
        """The scores of both."""
        return Scores(
            {**self.columns, **other.columns}, {**self.formulas, **other.formulas}, {**self.notes, **other.notes}
        )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @property
    def values(self) -> dict[str, float]:
        """Every score over all samples; ``{}`` if there are none."""
        if not len(self):
            return {}
        means = {name: float(column.mean()) for name, column in self.columns.items()}
        return {name: float(formula(means, len(self))) for name, formula in self.formulas.items()}

    def of_samples(self, name: str) -> np.ndarray | None:
        """A score per sample, ``(n,)``; None if it is only defined for the corpus."""
        return self.columns[name] if name in self.formulas and name in self.columns else None

    def over(self, kept: Sequence[bool], suffix: str) -> "Scores":
        """The same scores over the ``kept`` samples only, named with ``suffix``; 0 if no sample is kept."""
        weight = np.asarray(kept, dtype=np.float64)
        columns = {f"{name}/{suffix}": column * weight for name, column in self.columns.items()}
        columns[f"kept/{suffix}"] = weight
        formulas = {f"{name}_{suffix}": _over(formula, suffix) for name, formula in self.formulas.items()}
        return Scores(columns, formulas, self.notes)


def bootstrap_score(
    name: str,
    conditions: Mapping[str, Scores],
    patients: Sequence[Hashable | tuple[Hashable, ...]],
    statistic: Callable[[dict[str, float]], float],
    n_resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """`bootstrap_ci` of a score, which may be a corpus score such as BLEU.

    conditions: condition -> scores of the same samples. statistic: maps ``{condition: value of the score}`` to a
    number, for instance the value with the ECG minus the best floor. If an order of n-grams has no match at all, corpus
    BLEU depends on the number of samples; a resample of patients is assumed to have as many as the corpus.
    """
    for condition, scores in conditions.items():
        if name not in scores.formulas:
            raise UserError(f"no score {name!r}; there are {', '.join(scores.formulas)}")
        if len(scores) != len(patients):
            raise UserError(f"{len(scores)} samples in condition {condition!r}, {len(patients)} patients")
    columns = {
        (condition, column): values
        for condition, scores in conditions.items()
        for column, values in scores.columns.items()
        if column == name or scores.of_samples(name) is None
    }

    def of_means(means: dict[tuple[str, str], float]) -> float:
        split: dict[str, dict[str, float]] = {condition: {} for condition in conditions}
        for (condition, column), mean in means.items():
            split[condition][column] = mean
        return statistic({c: float(s.formulas[name](split[c], len(s))) for c, s in conditions.items()})

    return bootstrap_ci(of_means, columns, patients, n_resamples, seed)


def _mean_of(name: str) -> Formula:
    return lambda means, _: means[name]


def _over(formula: Formula, suffix: str) -> Formula:
    def of_kept(means: Mapping[str, float], n: float) -> float:
        kept = means[f"kept/{suffix}"]
        if kept == 0:
            return 0.0
        ending = f"/{suffix}"
        own = {name.removesuffix(ending): mean / kept for name, mean in means.items() if name.endswith(ending)}
        return formula(own, n * kept)

    return of_kept

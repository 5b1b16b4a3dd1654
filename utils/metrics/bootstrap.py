"""Confidence intervals by resampling patients."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.utils.errors import UserError


@dataclass(frozen=True)
class Interval:
    """A statistic with its confidence interval; ``low`` and ``high`` are None if all samples are from one patient."""

    value: float
    low: float | None
    high: float | None
    level: float
    n_samples: int
    n_patients: int


@dataclass(frozen=True)
class Clusters:
    """The samples of each patient, or of each set of patients whose ECGs a sample compares.

    of_samples: the cluster of every sample, ``(n,)``. members: the patients of every cluster, ``(clusters, most)``,
    padded with ``n_patients``.
    """

    of_samples: np.ndarray
    members: np.ndarray
    n_patients: int

    @classmethod
    def of(cls, patients: Sequence[Hashable | tuple[Hashable, ...]]) -> "Clusters":
        numbers: dict[Hashable, int] = {}
        units: dict[tuple[int, ...], int] = {}  # sets of patients that samples are about
        of_samples = [
            units.setdefault(tuple(sorted(numbers.setdefault(p, len(numbers)) for p in _each(patient))), len(units))
            for patient in patients
        ]
        most = max(map(len, units))
        members = np.array([[*unit, *[len(numbers)] * (most - len(unit))] for unit in units])
        return cls(np.array(of_samples), members, len(numbers))

    def resamples(self, seed: int) -> Iterator[np.ndarray]:
        """How often each cluster is in a resample of the patients, ``(clusters,)``, without end."""
        rng = np.random.default_rng(seed)
        while True:
            drawn = np.bincount(rng.integers(self.n_patients, size=self.n_patients), minlength=self.n_patients)
            yield np.append(drawn, 1)[self.members].prod(axis=1)


def bootstrap_ci(
    statistic: Callable[[dict[str, float]], float],
    scores: Mapping[str, np.ndarray],
    patients: Sequence[Hashable | tuple[Hashable, ...]],
    n_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a function of mean scores, resampling whole patients with replacement.

    scores: name -> float ``(n,)``, such as the correctness of a system and of its floors on the same samples.
    statistic: maps ``{name: mean}`` to a number; the signal-use gap is
        ``lambda m: m["em"] - max(m["no_ecg"], m["other_ecg"], m["majority"])``.
    patients: the patient of every sample, ``(n,)``, or a tuple of the patients whose ECGs it compares; if unknown, the
        record. A comparison is weighted by the product of its patients' counts in a resample (Owen 2007, The pigeonhole
        bootstrap, Annals of Applied Statistics 1:386), because comparisons that share a patient are dependent.

    All scores use the same resamples, so intervals of differences are paired. Questions about one ECG, and ECGs of one
    person, are not independent: resampling samples instead of patients would make intervals too narrow.

    Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13; the cluster bootstrap is in
    Davison & Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
    """
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
    _check(columns, patients)
    if not 0 < level < 1:
        raise UserError(f"the level of a confidence interval must be between 0 and 1, not {level}")
    if n_resamples < 1:
        raise UserError(f"a bootstrap needs at least one resample, not {n_resamples}")

    clusters = Clusters.of(patients)
    cluster, units, n_patients = clusters.of_samples, len(clusters.members), clusters.n_patients
    value = float(statistic({name: float(values.mean()) for name, values in columns.items()}))
    if units < 2:
        return Interval(value, None, None, level, len(cluster), n_patients)

    # A mean over resampled patients needs only each unit's sums and count: (units, scores + 1).
    sums = [np.bincount(cluster, weights=values) for values in columns.values()]
    totals = np.stack([*sums, np.bincount(cluster).astype(np.float64)], axis=1)
    resamples = clusters.resamples(seed)
    draws = np.empty(n_resamples)
    for i in range(n_resamples):
        count = 0.0
        while not count:  # with few comparisons, a resample may contain none
            *sampled, count = next(resamples) @ totals
        draws[i] = statistic({name: float(total / count) for name, total in zip(columns, sampled, strict=True)})
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level, len(cluster), n_patients)


def _each(patient: Hashable) -> tuple[Hashable, ...]:
    return tuple(dict.fromkeys(patient)) if isinstance(patient, tuple) else (patient,)


def _check(columns: Mapping[str, np.ndarray], patients: Sequence[Hashable]) -> None:
    if not columns or len(patients) == 0:
        raise UserError("a confidence interval needs at least one sample")
    for name, values in columns.items():
        if values.shape != (len(patients),):
            raise UserError(f"score {name!r} has shape {values.shape}, expected ({len(patients)},), one per sample")
        if not np.isfinite(values).all():
            raise UserError(f"score {name!r} of sample {int(np.argmin(np.isfinite(values)))} is not a number")
    if None in patients:
        raise UserError(f"sample {list(patients).index(None)} has no patient; give its record instead")

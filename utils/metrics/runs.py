"""The mean over several training runs, with intervals over runs, over patients, and over both."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, sqrt

import numpy as np
from scipy.stats import t as student_t

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.scores import Scores, bootstrap_score

Ends = tuple[float, float] | tuple[None, None]


@dataclass(frozen=True)
class RunsSummary:
    """A statistic of several runs with 95 % intervals of its mean; those over patients are None for a single one.

    sd: standard deviation between runs (n - 1). over_runs: other seeds, these patients. over_patients: other patients,
    these runs.
    over_both: other seeds and other patients.
    """

    values: tuple[float, ...]
    mean: float
    sd: float
    over_runs: Ends
    over_patients: Ends
    over_both: Ends


def summarise_runs(
    statistic: Callable[[dict[str, float]], float],
    name: str,
    runs: Sequence[Mapping[str, Scores]],
    patients: Sequence[Hashable | tuple[Hashable, ...]],
    n_resamples: int = 1000,
    seed: int = 0,
) -> RunsSummary:
    """Summarise a function of one score under several conditions, such as the signal-use gap, over runs.

    statistic: maps ``{condition: value of the score}`` of one run to a number. runs: condition -> scores of the same
    samples in the same order. patients: as in `bootstrap_score`. Raises `UserError` for fewer than two runs.

    The interval over runs is Student's t (1908) of their values. The interval over patients resamples patients, with
    the same resamples for all runs. The interval over both combines the two: at each end, the squares of their
    distances from the mean are added (Howe 1974, JASA 69:789; Zou & Donner 2008, Statistics in Medicine 27:1693).
    Drawing runs with replacement, as is done for patients, would be too narrow: with three runs, resamples have two
    thirds of the variance and no heavy tails. A run's luck with single patients is in both parts, so the interval is if
    anything too wide.
    """
    if len(runs) < 2:
        raise UserError(f"a spread over runs needs at least two of them, not {len(runs)}")
    conditions = {f"run {k}: {c}": scores for k, run in enumerate(runs) for c, scores in run.items()}

    def mean_of(values: dict[str, float]) -> float:
        return float(np.mean([statistic({c: values[f"run {k}: {c}"] for c in run}) for k, run in enumerate(runs)]))

    resampled = bootstrap_score(name, conditions, patients, mean_of, n_resamples, seed)
    values = [statistic({c: scores.values[name] for c, scores in run.items()}) for run in runs]
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(student_t.ppf(0.975, len(values) - 1)) * sd / sqrt(len(values))
    over_patients: Ends = (None, None)
    over_both: Ends = (None, None)
    if resampled.low is not None and resampled.high is not None:
        over_patients = resampled.low, resampled.high
        over_both = mean - hypot(reach, mean - resampled.low), mean + hypot(reach, resampled.high - mean)
    return RunsSummary(tuple(values), mean, sd, (mean - reach, mean + reach), over_patients, over_both)

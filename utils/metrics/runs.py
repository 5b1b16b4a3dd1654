"""The mean over several training runs, with intervals for other runs, other patients, or both."""

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
    """A figure of several runs, with 95 % intervals of its mean; those over patients are None where there is one.

    sd: between runs, n - 1. over_runs: other seeds, these patients. over_patients: other patients, these runs.
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
    samples in the same order. patients: as of `bootstrap_score`.

    The interval over runs is Student's (1908) of their values. That over patients resamples them, all runs sharing each
    resample. That over both adds the distances of the two from the mean as squares, end by end (Howe 1974, JASA 69:789;
    Zou & Donner 2008, Statistics in Medicine 27:1693). Drawing runs with replacement instead, as one draws patients,
    would be too narrow: of three runs, draws have two thirds of the variance, and no heavy tails. Luck of a run with
    single patients is in both parts, so the interval is rather wide than narrow.
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

"""Intervals of proportions and AUROC that hold for few independent samples too, and predictive values."""

from collections.abc import Sequence
from math import hypot, sqrt

from scipy.optimize import brentq
from scipy.stats import norm

Ends = list[float]
_Z = float(norm.ppf(0.975))
_TINY = 1e-12


def wilson(hits: float, n: float) -> Ends:
    """95 % interval of the proportion ``hits`` / ``n`` (Wilson 1927, JASA 22:209); also valid for small n.

    Both may be fractions, as the effective size of a weighted sample is.
    """
    share, z2 = hits / n, _Z**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = _Z * sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return [0.0 if hits <= 0 else max(0.0, centre - reach), 1.0 if hits >= n else min(1.0, centre + reach)]


def auroc_interval(auroc: float, positives: float, negatives: float) -> Ends:
    """95 % interval of an AUROC; unlike DeLong's it has a width if the ranking is perfect.

    Source: Newcombe 2006, Statistics in Medicine 25:559, method 5, with the variance of Hanley & McNeil 1982.
    """
    extra = (positives + negatives) / 2 - 1

    def beyond(theta: float) -> float:
        spread = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(auroc - theta) - _Z * sqrt(theta * (1 - theta) * spread / (positives * negatives))

    low = 0.0 if auroc <= 0 else brentq(beyond, 0.0, min(auroc, 1 - _TINY))  # 1 itself is a root as well, if auroc is 1
    high = 1.0 if auroc >= 1 else brentq(beyond, max(auroc, _TINY), 1.0)
    return [float(low), float(high)]


def mean_interval(values: Sequence[float], intervals: Sequence[Ends]) -> Ends:
    """95 % interval of the mean of independent estimates, from the interval of each.

    At each end the squares of the distances are added, which keeps asymmetric intervals within their range (Zou &
    Donner 2008, Statistics in Medicine 27:1693).
    """
    n, mean = len(values), sum(values) / len(values)
    pairs = list(zip(values, intervals, strict=True))
    below, above = (hypot(*(value - ends[k] for value, ends in pairs)) / n for k in (0, 1))
    return [mean - below, mean + above]


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float | None, float | None]:
    """``(PPV, NPV)`` by Bayes' rule; None if the answer is never given.

    PPV: how often a yes is true; NPV: how often a no is.
    """
    true_yes, false_yes = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_no, false_no = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    said_yes, said_no = true_yes + false_yes, true_no + false_no
    return true_yes / said_yes if said_yes else None, true_no / said_no if said_no else None

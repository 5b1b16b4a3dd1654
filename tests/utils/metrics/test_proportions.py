"""Intervals of few samples, against published formulas and by simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm
from sklearn.metrics import roc_auc_score

from cardiolect.utils.metrics.proportions import auroc_interval, mean_interval, predictive_values, wilson


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (1, 3), (37, 120)])
def test_wilson_is_that_of_scipy(hits, n):
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(hits, n), list(expected), atol=1e-12)


def test_a_perfect_ranking_of_few_is_uncertain():
    low, high = auroc_interval(1.0, 2, 100)
    assert high == 1 and low < 0.7
    assert auroc_interval(1.0, 50, 100)[0] > 0.95
    np.testing.assert_allclose(auroc_interval(0.0, 5, 5), [1 - end for end in reversed(auroc_interval(1.0, 5, 5))])


@pytest.mark.parametrize(("n_yes", "n_no", "separation"), [(5, 5, 0.0), (5, 50, 1.5), (5, 50, 3.0), (30, 30, 1.0)])
def test_the_interval_of_auroc_holds_the_truth(n_yes, n_no, separation):
    rng, truth, covered = np.random.default_rng(0), norm.cdf(separation / np.sqrt(2)), 0
    is_yes = np.repeat([1, 0], [n_yes, n_no])
    for _ in range(300):
        low, high = auroc_interval(roc_auc_score(is_yes, rng.normal(separation * is_yes)), n_yes, n_no)
        covered += low <= truth <= high
    assert covered / 300 >= 0.93


def test_the_interval_of_a_mean_stays_in_range():
    assert mean_interval([1.0, 1.0], [[0.8, 1.0], [0.8, 1.0]]) == [pytest.approx(1 - 0.2 / np.sqrt(2)), 1.0]
    assert mean_interval([0.5], [[0.4, 0.7]]) == pytest.approx([0.4, 0.7])


def test_predictive_values_by_hand():
    """Of 1000 recordings 70 have the finding: 63 are found, and 93 of the other 930 are called as well."""
    ppv, npv = predictive_values(0.9, 0.9, 0.07)
    assert ppv == pytest.approx(63 / (63 + 93)) and npv == pytest.approx(837 / (837 + 7))
    assert predictive_values(0.0, 1.0, 0.07) == (None, pytest.approx(0.93)), "a model that never says yes"
    assert predictive_values(1.0, 0.0, 0.5) == (0.5, None)

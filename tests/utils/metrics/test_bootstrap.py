"""Intervals by resampling patients: they cover what they should, and comparisons tie patients together."""

import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import (
    bootstrap_ci,
)


def gap(means):
    return means["em"] - max(means["no_ecg"], means["majority"])


def test_gap_of_equal_systems_covers_zero():
    correct = np.random.default_rng(1).integers(0, 2, 400)
    interval = bootstrap_ci(gap, dict(em=correct, no_ecg=correct, majority=correct), np.arange(400))
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_interval_matches_theory_and_shrinks():
    def width(n):
        correct = np.arange(n) % 2
        interval = bootstrap_ci(lambda m: m["em"], {"em": correct}, np.arange(n))
        assert interval.low < interval.value == 0.5 < interval.high
        return interval.high - interval.low

    assert width(400) == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.15)
    assert width(6400) == pytest.approx(2 * 1.96 * 0.5 / 80, rel=0.15)


def test_clusters_widen_the_interval():
    correct = np.repeat(np.arange(40) % 2, 10)  # ten questions of a patient are all right or all wrong
    apart = bootstrap_ci(lambda m: m["em"], {"em": correct}, np.arange(400))
    together = bootstrap_ci(lambda m: m["em"], {"em": correct}, [f"patient {i // 10}" for i in range(400)])
    assert together.n_patients == 40
    assert together.high - together.low == pytest.approx(np.sqrt(10) * (apart.high - apart.low), rel=0.2)


def test_bootstrap_over_comparisons_knows_that_they_share_patients():
    """Forty comparisons with one normal ECG are not forty independent ones; pairs of strangers nearly are."""
    rng = np.random.default_rng(0)
    correct = (rng.random(40) < 0.5).astype(float)

    def width(patients):
        interval = bootstrap_ci(lambda m: m["em"], {"em": correct}, patients)
        return interval.high - interval.low

    strangers = width([(f"a{i}", f"b{i}") for i in range(40)])
    singles = width([f"a{i}" for i in range(40)])
    few = width([(f"a{i % 4}", f"b{i % 5}") for i in range(40)])
    assert singles < strangers < few
    assert bootstrap_ci(lambda m: m["em"], {"em": correct}, [("a", "b")] * 40).low is None  # all of one pair
    assert width([(f"a{i}", f"a{i}") for i in range(40)]) == singles  # two ECGs of one patient are one patient


def test_bootstrap_is_reproducible_and_checks_its_input():
    scores = {"em": np.arange(20) % 3 == 0}
    assert bootstrap_ci(lambda m: m["em"], scores, range(20)) == bootstrap_ci(lambda m: m["em"], scores, range(20))
    single = bootstrap_ci(lambda m: m["em"], {"em": [1, 0]}, ["a", "a"])
    assert (single.value, single.low, single.high) == (0.5, None, None)
    for bad_scores, patients, message in [
        ({"em": [1.0]}, [1, 2], "shape"),
        ({"em": [1.0, np.nan]}, [1, 2], "sample 1 is not a number"),
        ({"em": [1.0, 0.0]}, [1, None], "sample 1 has no patient"),
        ({"em": []}, [], "at least one sample"),
    ]:
        with pytest.raises(UserError, match=message):
            bootstrap_ci(lambda m: m["em"], bad_scores, patients)

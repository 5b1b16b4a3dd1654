"""The surest answers should be right more often than all."""

import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.selective import selective


def test_accuracy_and_threshold_of_the_surest_answers():
    sure = np.linspace(0.99, 0.5, 10)
    found = selective(sure, [True] * 8 + [False] * 2, range(10), 50)
    assert (found["n"], found["accuracy"]) == (10, 0.8)
    assert found["at"]["0.8"] == {
        "threshold": pytest.approx(sure[7]),
        "coverage": 0.8,
        "accuracy": 1.0,
        "accuracy_ci95": [1.0, 1.0],
    }
    assert found["at"]["0.9"]["accuracy"] == pytest.approx(8 / 9) and found["at"]["0.5"]["coverage"] == 0.5
    assert found["curve"][0] == [0.1, 1.0] and found["curve"][-1] == [1.0, 0.8]


def test_the_area_is_the_mean_risk_over_all_shares():
    found = selective([0.9, 0.8, 0.7, 0.6], [True, False, True, False], list("abcd"), 20)
    assert found["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4) and found["aurc_random"] == 0.5


def test_equal_confidences_are_kept_together_and_their_order_does_not_matter():
    right = [True, False, True, False, False, True]
    one, other = (selective([0.7] * 6, order, range(6), 20) for order in (right, right[::-1]))
    assert one["aurc"] == other["aurc"] == pytest.approx(0.5)
    assert one["curve"] == other["curve"] == [[1.0, 0.5]]
    assert {at["coverage"] for at in one["at"].values()} == {1.0}


def test_one_patient_has_no_interval_and_unequal_lists_are_refused():
    assert selective([0.9, 0.8], [True, False], [1, 1])["at"]["0.5"]["accuracy_ci95"] is None
    with pytest.raises(UserError, match="a confidence and a patient for every answer"):
        selective([0.9], [True, False], [1, 2])

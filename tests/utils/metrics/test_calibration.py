"""Calibration figures by hand."""

import json

import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import calibration


def test_the_figures_are_those_computed_by_hand():
    """Ten answers at 0.6, of which four are right, and ten at 0.9, of which all are."""
    sure, right = [0.6] * 10 + [0.9] * 10, [1] * 4 + [0] * 6 + [1] * 10
    found = calibration(sure, right, n_bins=2)
    assert found["accuracy"] == 0.7 and found["mean_confidence"] == pytest.approx(0.75)
    assert found["ece"] == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)
    assert found["ece_equal_width"] == pytest.approx(0.05)  # both in (0.5, 1], where the errors cancel
    assert found["brier"] == pytest.approx((4 * 0.4**2 + 6 * 0.6**2 + 10 * 0.1**2) / 20)
    assert found["auroc"] == pytest.approx((10 * 6 + 4 * 6 / 2) / (14 * 6))
    first, second = found["bins"]
    assert (first["n"], first["confidence"], first["accuracy"]) == (10, pytest.approx(0.6), 0.4)
    assert first["accuracy_ci95"] == pytest.approx([0.168, 0.687], abs=1e-3)  # Wilson, 4 of 10
    assert second["accuracy"] == 1 and second["accuracy_ci95"][1] == pytest.approx(1)
    assert json.loads(json.dumps(found)) == found


def test_a_model_that_is_right_as_often_as_it_says_has_no_error():
    rng = np.random.default_rng(0)
    sure = rng.beta(8, 1, 20_000)
    right = rng.random(20_000) < sure
    found = calibration(sure, right)
    assert found["ece"] < 0.01 and found["ece_equal_width"] < 0.01
    assert [row["n"] for row in found["bins"]] == [2000] * 10
    boastful = calibration(np.sqrt(sure), right)
    assert boastful["ece"] == pytest.approx(boastful["mean_confidence"] - boastful["accuracy"], abs=0.01)
    assert boastful["auroc"] == found["auroc"]  # the order is the same


def test_equal_mass_sees_what_equal_width_averages_away():
    """All answers between 0.9 and 1: too sure below, not sure enough above."""
    sure = np.repeat([0.92, 0.98], 100)
    right = np.concatenate([np.arange(100) < 100 * share for share in (0.86, 1.0)])
    found = calibration(sure, right)
    assert found["ece"] == pytest.approx(0.04) and found["ece_equal_width"] == pytest.approx(0.02)


def test_the_order_of_equally_sure_answers_does_not_matter():
    rng = np.random.default_rng(1)
    sure, right = rng.integers(0, 4, 100) / 4, rng.integers(0, 2, 100)
    order = rng.permutation(100)
    assert calibration(sure, right)["bins"] == calibration(sure[order], right[order])["bins"]
    assert len(calibration([0.5] * 100, right)["bins"]) == 1


def test_few_samples_share_a_bin_and_one_sided_ones_have_no_auroc():
    found = calibration([0.2, 0.8, 0.9], [1, 1, 1])
    assert [row["n"] for row in found["bins"]] == [3] and "auroc" not in found
    assert calibration([0.2], [0])["ece"] == pytest.approx(0.2)
    assert len(calibration(np.linspace(0, 1, 35), np.arange(35) % 2)["bins"]) == 3


def test_what_is_no_confidence_is_named():
    for sure, right, n_bins, message in [
        ([], [], 10, "for every answer"),
        ([0.5], [1, 0], 10, "for every answer"),
        ([0.5, 1.5], [1, 0], 10, "sample 1 is not a probability"),
        ([float("nan")], [1], 10, "sample 0 is not a probability"),
        ([0.5], [0.5], 10, "0 or 1"),
        ([0.5], [1], 0, "at least one bin"),
    ]:
        with pytest.raises(UserError, match=message):
            calibration(sure, right, n_bins)


def test_a_weight_counts_like_as_many_samples():
    rng = np.random.default_rng(1)
    sure, right, weights = rng.random(200).round(2), rng.random(200) < 0.6, rng.integers(1, 4, 200)
    weighted, repeated = (
        calibration(sure, right, n_bins=5, weights=weights),
        calibration(np.repeat(sure, weights), np.repeat(right, weights), n_bins=5),
    )
    for key in ("accuracy", "mean_confidence", "brier", "ece", "ece_equal_width", "auroc"):
        assert weighted[key] == pytest.approx(repeated[key]), key
    assert weighted["n"] == 200
    assert calibration(sure, right, weights=[2.0] * 200)["ece"] == pytest.approx(calibration(sure, right)["ece"])
    for wrong in ([1.0] * 199, [0.0] * 200, [float("nan")] * 200):
        with pytest.raises(UserError, match="positive weight"):
            calibration(sure, right, weights=wrong)

"""AUROC, thresholds chosen elsewhere, and intervals over patients."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score, roc_auc_score

from cardiolect.ecg_tokenizer.fidelity.judging import Validation, auroc, best_thresholds, judge


@pytest.fixture
def judged_sides():
    """Two classes of 200 recordings of 100 patients, and others for the thresholds, whose scores lie 3 higher."""
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=(200, 2))
    scores = labels + rng.normal(size=(200, 2))
    of_valid = rng.integers(2, size=(150, 2))
    return labels, scores, of_valid, of_valid + rng.normal(size=(150, 2))


def test_auroc_is_that_of_recordings_repeated_by_their_weights():
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(2, size=60), rng.integers(6, size=60).astype(float)  # many are equal
    weights = np.stack([np.ones(60), rng.integers(3, size=60), truth])
    found = auroc(truth, scores, weights)
    rows = np.repeat(np.arange(60), weights[1].astype(int))
    expected = [roc_auc_score(truth, scores), roc_auc_score(truth[rows], scores[rows])]
    np.testing.assert_allclose(found[:2], expected)
    assert np.isnan(found[2]), "only recordings with the class"


def test_no_other_threshold_is_better_on_validation():
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(2, size=80), np.round(rng.normal(size=80), 1)
    scores += truth
    for_f1, for_balance = best_thresholds(truth, scores)
    others = np.linspace(scores.min() - 1, scores.max() + 1, 500)
    for measure, chosen in ((f1_score, for_f1), (balanced_accuracy_score, for_balance)):
        assert measure(truth, scores >= chosen) >= max(measure(truth, scores >= other) for other in others) - 1e-12
    assert np.isnan(best_thresholds(np.ones(5, int), np.arange(5.0))).all()


def test_thresholds_come_from_validation_whatever_the_test_recordings_are(judged_sides):
    labels, scores, of_valid, valid_scores = judged_sides
    found = judge(
        {"raw": scores}, labels, np.arange(200) // 2, ["A", "B"], 0, 50, Validation({"raw": valid_scores}, of_valid)
    )["raw"]
    for k, name in enumerate("AB"):
        for_f1, for_balance = best_thresholds(of_valid[:, k], valid_scores[:, k])
        own, truth = found["by_class"][name], labels[:, k]
        assert own["f1"] == pytest.approx(f1_score(truth, scores[:, k] >= for_f1))
        assert own["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, scores[:, k] >= for_balance))
        assert own["sensitivity"] == pytest.approx(recall_score(truth, scores[:, k] >= for_balance))
        assert own["recordings"] == truth.sum() and own["f1_ci95"][0] < own["f1"] < own["f1_ci95"][1]
    assert found["f1"] == pytest.approx(np.mean([found["by_class"][name]["f1"] for name in "AB"]))
    moved = Validation({"raw": valid_scores + 3}, of_valid)
    shifted = judge({"raw": scores}, labels, np.arange(200) // 2, ["A", "B"], 0, 50, moved)["raw"]
    assert shifted["auroc"] == found["auroc"] and shifted["sensitivity"] < 0.2


def test_without_validation_there_is_auroc_only_and_a_class_without_a_threshold_does_not_count(judged_sides):
    labels, scores, of_valid, valid_scores = judged_sides
    patients = np.arange(200) // 2
    alone = judge({"raw": scores, "other": -scores}, labels, patients, ["A", "B"], 0, 50)
    assert "f1" not in alone["raw"] and alone["raw"]["auroc"] == pytest.approx(roc_auc_score(labels, scores))
    assert alone["other"]["minus_raw"] == pytest.approx(1 - 2 * alone["raw"]["auroc"])
    of_valid[:, 1] = 0
    found = judge({"x": scores}, labels, patients, ["A", "B"], 0, 50, Validation({"x": valid_scores}, of_valid))["x"]
    assert "minus_raw" not in found and found["by_class"]["B"]["f1"] is None
    assert found["f1"] == found["by_class"]["A"]["f1"]

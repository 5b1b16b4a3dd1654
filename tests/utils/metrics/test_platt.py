"""Margins of many questions become probabilities, and rare findings are not fitted to noise."""

import numpy as np
import pytest
from scipy.special import expit

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import calibration
from cardiolect.utils.metrics.platt import PENALTIES, fit_platt

OFFSETS = {"common": 0.0, "rare": -4.0, "usual": 2.0}


@pytest.fixture(scope="module")
def drawn():
    """Margins, truths, questions and patients with log-odds ``2 * margin + offset``."""
    rng = np.random.default_rng(0)
    margins, questions = rng.normal(1, 1, 3000), np.repeat(list(OFFSETS), 1000)
    offsets = np.array([OFFSETS[question] for question in questions])
    return margins, rng.random(3000) < expit(2 * margins + offsets), questions, np.tile(np.arange(1000), 3)


def test_slope_and_intercepts_are_found(drawn):
    found = fit_platt(*drawn)
    assert found.slope == pytest.approx(2, rel=0.1)
    assert found.intercepts == pytest.approx(OFFSETS, abs=0.4)
    assert found.penalty in PENALTIES and found.penalty < 100
    assert found.intercept == pytest.approx(np.mean(list(found.intercepts.values())), abs=0.01)


def test_probabilities_of_patients_left_out_are_calibrated(drawn):
    margins, truth, *_ = drawn
    before, after = (
        calibration(np.maximum(expit(z), expit(-z)), (z >= 0) == truth) for z in (margins, fit_platt(*drawn).held_out)
    )
    assert after["ece"] < 0.03 < before["ece"] and after["accuracy"] > before["accuracy"]


def test_a_question_with_few_answers_is_shrunk_towards_the_others(drawn):
    margins, truth, questions, patients = drawn
    few = np.append(np.flatnonzero(questions != "rare"), np.flatnonzero(questions == "rare")[:20])
    found = fit_platt(margins[few], truth[few] & (questions[few] != "rare"), questions[few], patients[few])
    assert -20 < found.intercepts["rare"] < found.intercept, "20 answers of no alone would be minus infinity"


def test_the_order_of_margins_is_kept_even_if_they_are_worse_than_chance(drawn):
    margins, truth, questions, patients = drawn
    assert fit_platt(-margins, truth, questions, patients).slope > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patients": ["a"] * 3000}, "at least 5 patients, not 1"),
        ({"is_yes": [True] * 3000}, "samples with yes and samples with no"),
        ({"margins": [np.nan] * 3000}, "sample 0: its margin is not a number"),
    ],
)
def test_what_cannot_be_fitted_is_refused(drawn, change, message):
    given = dict(zip(("margins", "is_yes", "questions", "patients"), drawn, strict=True))
    with pytest.raises(UserError, match=message):
        fit_platt(**given | change)

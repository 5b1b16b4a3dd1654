"""Yes-or-no questions: a model that reads is told from one that always says yes."""

import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import (
    verify_scores,
)


def test_verify_scores_tell_a_model_that_always_says_yes_from_one_that_reads():
    asked, truth = ["AF?"] * 4 + ["only yes?"], [("yes",), ("yes",), ("no",), ("no",), ("yes",)]
    always = verify_scores(asked, truth, ["yes"] * 5)
    assert always.keys() == {"AF?"}  # of a question that is always true there is no specificity
    assert (always["AF?"]["sensitivity"], always["AF?"]["specificity"]) == (1, 0)
    assert always["AF?"]["balanced_accuracy"] == 0.5 and "auroc" not in always["AF?"]
    for said in ("yes, probably", "yes.no"):  # neither yes nor no is wrong, and so is both
        wordy = verify_scores(asked, truth, [said, "yes", "no", "", "yes"])["AF?"]
        assert (wordy["sensitivity"], wordy["specificity"]) == (0.5, 0.5)


def test_verify_scores_rank_without_a_threshold():
    """A model that never says yes, but is less sure of no where yes is true."""
    asked, truth = ["AF?"] * 4, [("yes",), ("yes",), ("no",), ("no",)]
    found = verify_scores(asked, truth, ["no"] * 4, [-1.0, -2.0, -3.0, -2.0])["AF?"]
    assert (found["sensitivity"], found["specificity"], found["auroc"]) == (0, 1, 0.875)
    low, high = found["specificity_ci95"]
    np.testing.assert_allclose([low, high], [0.342, 1.0], atol=1e-3)  # Wilson, 2 of 2
    with pytest.raises(UserError, match="3 predictions for 4"):
        verify_scores(asked, truth, ["no"] * 3)


def test_yes_or_no_is_read_as_the_strict_match_reads_it():
    found = verify_scores(["q", "q"], [("yes",), ("no",)], ["Yes.", "no "], [1.0, None])["q"]
    assert found["balanced_accuracy"] == 1 and "auroc" not in found, "a margin that is not known ranks nothing"

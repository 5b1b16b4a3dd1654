"""Yes-or-no questions: a model that reads is told from one that always says yes."""

import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import bootstrap_ci, verify_means, verify_scores


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


@pytest.mark.parametrize("gold", [("Yes",), ("YES.",), (" yes!",), ("yes", "Yes")])
def test_a_gold_answer_counts_however_it_is_written(gold):
    found = verify_scores(["q", "q"], [gold, ["no"]], ["yes", "No"])
    assert found["q"]["yes"] == 1 and found["q"]["balanced_accuracy"] == 1
    assert verify_scores(["q", "q"], [["not sure"], ["no"]], ["yes", "no"]) == {}


def asked(n_yes: int, n_no: int, each: int = 1, separation: float = 2.0, seed: int = 0, question: str = "AF?"):
    """Arguments of `verify_means`: ``each`` recordings of every patient, whose margins are much alike."""
    rng = np.random.default_rng(seed)
    is_yes = np.repeat([True, False], [n_yes, n_no])
    margins = np.repeat(separation * (is_yes - 0.5) + rng.normal(0, 1, n_yes + n_no), each)
    margins = margins + rng.normal(0, 0.1, len(margins))
    answers = [("yes",) if yes else ("no",) for yes in np.repeat(is_yes, each)]
    said = ["yes" if margin > 0 else "no" for margin in margins]
    patients = np.repeat(np.arange(n_yes + n_no), each).tolist()
    return [question] * len(said), answers, said, margins.tolist(), patients


def test_many_recordings_of_a_patient_are_not_many_patients():
    questions, answers, said, margins, patients = asked(20, 20, each=10)
    apart, together = (
        verify_scores(questions, answers, said, margins, each)["AF?"] for each in (list(range(400)), patients)
    )
    assert (together["yes"], together["yes_patients"]) == (200, 20)
    for key in ("sensitivity", "specificity", "balanced_accuracy", "auroc"):
        wide, narrow = (row[f"{key}_ci95"][1] - row[f"{key}_ci95"][0] for row in (together, apart))
        assert together[key] == apart[key] and wide > 2 * narrow


def test_a_perfect_score_of_few_patients_has_an_interval():
    found = verify_scores(*asked(2, 100, separation=20))["AF?"]
    assert found["auroc"] == found["balanced_accuracy"] == 1
    assert found["auroc_ci95"][0] < 0.75 and found["balanced_accuracy_ci95"][0] < 0.75


def test_means_are_over_questions_with_five_patients_of_each_answer():
    parts = [
        asked(5, 30, question="enough"),
        asked(4, 30, separation=-9, question="few yes"),
        asked(30, 4, separation=-9, question="few no"),
        asked(2, 30, each=10, separation=-9, question="many recordings of two"),
    ]
    joined = [[value for part in parts for value in part[k]] for k in range(5)]
    rows, means = verify_means(*joined)
    assert {question for question, row in rows.items() if row["in_mean"]} == {"enough"} and len(rows) == 4
    assert (means["counted"], means["left_out"]) == (1, 3)
    for key in ("balanced_accuracy", "auroc"):
        assert means[key] == rows["enough"][key]
        low, high = means[f"{key}_ci95"]
        assert low <= means[key] <= high
    assert "auroc" not in verify_means(*joined[:3], None, joined[4])[1]
    assert verify_means(*asked(3, 30))[1] == {"counted": 0, "left_out": 1}


def test_comparisons_of_few_patients_do_not_count_as_many():
    """Twelve comparisons of one recording with twelve others, six of them changed."""
    pairs = [(0, k) for k in range(1, 13)]
    answers, said = [("yes",)] * 6 + [("no",)] * 6, ["yes"] * 5 + ["no"] * 7
    found = verify_scores(["changed?"] * 12, answers, said, None, pairs)["changed?"]
    alone = verify_scores(["changed?"] * 12, answers, said, None, list(range(12)))["changed?"]
    assert found["yes_patients"] == 6
    width, other = (row["sensitivity_ci95"][1] - row["sensitivity_ci95"][0] for row in (found, alone))
    assert width >= other
    with pytest.raises(UserError, match="sample 2 has no patient"):
        verify_scores(["q"] * 3, [("yes",)] * 3, ["yes"] * 3, None, ["a", "b", None])


def test_predictive_values_are_those_at_half_and_at_the_prevalence():
    questions, answers, said, margins, patients = asked(40, 40)
    row = verify_means(questions, answers, said, margins, patients, {"AF?": 0.07})[0]["AF?"]
    sensitivity, specificity = row["sensitivity"], row["specificity"]
    assert row["ppv"] == pytest.approx(sensitivity / (sensitivity + 1 - specificity))
    called = 0.07 * sensitivity + 0.93 * (1 - specificity)
    assert row["prevalence"] == 0.07 and row["ppv_at_prevalence"] == pytest.approx(0.07 * sensitivity / called)
    assert row["ppv_at_prevalence"] < row["ppv"] and row["npv_at_prevalence"] > row["npv"]
    for key in ("ppv", "npv", "ppv_at_prevalence", "npv_at_prevalence"):
        low, high = row[f"{key}_ci95"]
        assert low < row[key] < high
    never = verify_means(["q"] * 2, [("yes",), ("no",)], ["no"] * 2, None, [1, 2], {"q": 0.1})[0]["q"]
    assert never["ppv"] is None and never["ppv_ci95"] == [0.0, 1.0] and "prevalence" not in verify_scores(*asked(5, 5))


@pytest.mark.parametrize(("separation", "truth"), [(0.0, 0.5), (2.0, 0.841)])
def test_intervals_of_five_positives_hold_the_truth_where_the_bootstrap_alone_does_not(separation, truth):
    """Under the null and with a finding: 5 patients of 65 with yes, one recording each; python -m bench.uncertainty."""
    covered = np.zeros(2)
    for seed in range(120):
        questions, answers, said, margins, patients = asked(5, 60, separation=separation, seed=seed)
        row = verify_means(questions, answers, said, margins, patients, n_resamples=100)[0]["AF?"]
        is_yes, right = (
            np.array([a == b for a, b in pairs])
            for pairs in (
                [(gold, ("yes",)) for gold in answers],
                [(gold, (text,)) for gold, text in zip(answers, said, strict=True)],
            )
        )
        parts = {"yes": is_yes, "no": ~is_yes, "hit": is_yes & right, "rejected": ~is_yes & right}
        alone = bootstrap_ci(
            lambda m: (m["hit"] / (m["yes"] or 1) + m["rejected"] / m["no"]) / 2, parts, patients, n_resamples=100
        )
        covered += [low <= truth <= high for low, high in (row["balanced_accuracy_ci95"], (alone.low, alone.high))]
    assert covered[0] / 120 >= 0.92 and covered[0] > covered[1] and (covered[1] / 120 < 0.9 or separation == 0)


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), -float("inf")])
def test_a_margin_that_is_not_finite_is_refused_and_an_unknown_one_leaves_out_the_auroc(margin):
    given = ["q"] * 4, [("yes",), ("yes",), ("no",), ("no",)], ["yes"] * 4
    with pytest.raises(UserError, match=f"sample 1: a margin of {margin} cannot be ranked"):
        verify_scores(*given, [1.0, margin, 0.0, -1.0])
    assert "auroc" not in verify_scores(*given, [1.0, None, 0.0, -1.0])["q"]

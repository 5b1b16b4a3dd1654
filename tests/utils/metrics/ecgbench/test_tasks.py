"""ECGBench's scorers by hand: strict, and bug for bug."""

import csv
import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, hamming_loss, roc_auc_score

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.ecgbench import (
    TASKS,
    find_labels,
    find_letter,
    find_options,
    label_scores,
    options_of,
    score_task,
)
from cardiolect.utils.metrics.ecgbench.letters import find_letter_legacy
from cardiolect.utils.metrics.ecgbench.tasks import Task

PTB, CPSC = TASKS["ptb-test"].labels, TASKS["cpsc-test"].labels


def samples(*pairs, question: str = "") -> list[dict]:
    return [
        {"id": f"s{i}", "gold": gold, "prediction": said, "question": question} for i, (gold, said) in enumerate(pairs)
    ]


def score(name: str, form: str, *pairs, **options) -> dict:
    return score_task(name, samples(*pairs, **options), form, expected=len(pairs))


# Labels


@pytest.mark.parametrize(
    ("labels", "text", "strict", "legacy"),
    [
        (PTB, "NORM", {"NORM"}, {"NORM"}),
        (PTB, "MI, STTC.", {"MI", "STTC"}, {"MI", "STTC"}),
        (PTB, "An ABNORMAL ECG", set(), {"NORM"}),
        (PTB, "600 MICROVOLT", set(), {"MI"}),
        (PTB, "non-NORM; CD/HYP", {"CD", "HYP"}, {"NORM", "CD", "HYP"}),
        (PTB, "normal", set(), set()),  # case is kept
        (CPSC, "II-AVB", set(), {"I-AVB"}),
        (CPSC, "I-AVB and a PACED rhythm", {"I-AVB"}, {"I-AVB", "PAC"}),
        (CPSC, "no AF", {"AF"}, {"AF"}),  # neither understands negation
    ],
)
def test_labels_are_words_or_by_legacy_substrings(labels, text, strict, legacy):
    assert find_labels(text, labels) == strict
    assert find_labels(text, labels, "legacy") == legacy


def test_labels_of_code15_stand_behind_answer():
    labels = TASKS["code15-test"].labels
    text = "It could be AF or SB. Answer: ABNORMAL, ST"
    assert find_labels(text, labels, after="Answer:") == {"ABNORMAL", "ST"}
    assert find_labels(text, labels, "legacy", "Answer:") == {"ABNORMAL", "ST"}  # here alone ABNORMAL is no NORM
    assert find_labels(f"Answer: LBBB? No. {text}", labels, after="Answer:") == {"ABNORMAL", "ST"}  # the last one
    assert find_labels("RBBB", labels, after="Answer:") == {"RBBB"}  # a bare list of labels
    assert score("code15-test", "strict", ("Answer: AF", text))["macro_f1"] == 0


def test_label_scores_by_hand():
    """NORM: one of two found, none too many. MI: both found, one too many."""
    pairs = [("NORM", "NORM"), ("NORM", "MI"), ("MI", "MI"), ("MI", "MI")]
    for form in ("strict", "legacy"):
        found = score("ptb-test", form, *pairs)
        assert found["n"] == 4
        assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
        assert found["macro_auc"] == pytest.approx(((1 / 2 + 1) / 2 + (1 + 1 / 2) / 2) / 2)
    # Two wrong decisions, of 4 x 5 labels and of the 4 x 2 that gold knows
    assert score("ptb-test", "strict", *pairs)["hamming"] == pytest.approx(2 / 20)
    assert score("ptb-test", "legacy", *pairs)["hamming"] == pytest.approx(2 / 8)


def test_abnormal_and_microvolt_earn_only_legacy_points():
    pairs = [("NORM", "ABNORMAL"), ("MI", "300 MICROVOLT")]
    legacy = score("ptb-test", "legacy", *pairs)
    assert (legacy["macro_f1"], legacy["macro_auc"], legacy["hamming"]) == (1, 1, 0)
    strict = score("ptb-test", "strict", *pairs)
    assert (strict["macro_f1"], strict["macro_auc"], strict["hamming"], strict["unparsed"]) == (0, 0.5, 1, 2)


def test_claims_outside_the_gold_labels_count_and_by_legacy_are_dropped():
    pairs = [("NORM", "NORM, HYP"), ("MI", "MI, HYP")]
    legacy = score("ptb-test", "legacy", *pairs)
    assert (legacy["macro_f1"], legacy["hamming"]) == (1, 0)
    strict = score("ptb-test", "strict", *pairs)
    assert strict["macro_f1"] == pytest.approx(2 / 3)  # NORM 1, MI 1, HYP 0
    assert strict["hamming"] == pytest.approx(2 / 10)
    assert strict["macro_auc"] == 1
    assert strict["not_judged"] == ["STTC", "CD", "HYP"]


def test_a_label_true_of_all_has_no_auc_and_by_legacy_the_mean_has_none():
    pairs = [("NORM, MI", "NORM, MI"), ("NORM", "NORM, MI"), ("NORM", "NORM")]
    legacy = score("ptb-test", "legacy", *pairs)
    assert math.isnan(legacy["macro_auc"])
    assert legacy["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    strict = score("ptb-test", "strict", *pairs)
    assert strict["macro_auc"] == pytest.approx((1 + 1 / 2) / 2)  # of MI alone
    assert strict["not_judged"] == ["NORM", "STTC", "CD", "HYP"]
    assert "macro_auc" not in score("ptb-test", "strict", ("NORM", "NORM"))


def test_silence_earns_no_hamming():
    """Of nine labels a silent model has eight right: as good a loss as published ones."""
    pairs = [("AF", "I cannot tell."), ("PVC", "PVC")]
    assert score("cpsc-test", "strict", *pairs)["hamming"] == pytest.approx(9 / 18)
    assert score("cpsc-test", "legacy", *pairs)["hamming"] == pytest.approx(1 / 4)


def test_label_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    true, claimed = rng.random((2, 200, 5)) < 0.4
    claimed[:, 0] |= ~claimed.any(axis=1)  # none silent
    names = [[{n for n, it in zip(PTB, row, strict=True) if it} for row in rows] for rows in (true, claimed)]
    for form in ("strict", "legacy"):
        found = label_scores(*names, PTB, form)
        assert found["macro_f1"] == pytest.approx(f1_score(true, claimed, average="macro"))
        assert found["macro_auc"] == pytest.approx(roc_auc_score(true, claimed.astype(float), average="macro"))
        assert found["hamming"] == pytest.approx(hamming_loss(true, claimed))


def test_gold_labels_may_be_a_list():
    assert score("cpsc-test", "strict", (["I-AVB"], "I-AVB"), (["AF"], "AF"))["macro_f1"] == 1
    for gold in ("none", [], ["LVH"]):
        with pytest.raises(UserError, match="sample s0: gold"):
            score("cpsc-test", "strict", (gold, "AF"))


# Letters


@pytest.mark.parametrize(
    ("text", "strict", "legacy"),
    [
        ("C", "C", "C"),
        (" C\n", "C", "C"),
        ("**c**", "C", None),
        ("C. Sinus rhythm", "C", "C"),
        ("(C) Sinus rhythm", "C", None),
        ("The correct option is C", "C", "C"),
        ("The correct option is C because V1 shows it", "C", "C"),
        ("The correct option is A because V1 shows it", "A", "A"),
        ("**Answer:** **D**", "D", "D"),
        ("The answer is option B.", "B", "B"),
        # Alphabetic, not textual order
        ("D. Not B.", None, "B"),
        ("The correct option is C. It is not A.", "C", "A"),
        # Present anywhere, within words too
        ("By the AHA. The answer is C", "C", "A"),
        ("ECG. D.", "D", "D"),
        ("Answer: C, Atrial fibrillation", "C", "A"),
        ("Answer: Atrial fibrillation", None, "A"),
        ("Answer: A normal ECG", None, "A"),  # the article
        # Nothing to read
        ("The correct option is unclear", None, None),
        ("I cannot tell.", None, None),
        ("A normal ECG", None, None),
        ("Lead I. Axis normal", None, None),
        ("", None, None),
        ("ABCDEFGH", None, None),
    ],
)
def test_letters(text, strict, legacy):
    assert find_letter(text) == strict
    assert find_letter_legacy(text) == legacy


@pytest.mark.parametrize("name", ["csn-test-no-cot", "g12-test-no-cot", "mmmu-ecg"])
def test_unread_letters_are_wrong_and_by_legacy_guessed(name):
    pairs = [("A", "A"), ("B. AF", "C"), *[("A", "I cannot tell")] * 398]
    assert score(name, "strict", *pairs) == {"n": 400, "accuracy": 1 / 400, "unparsed": 398}
    legacy = score(name, "legacy", *pairs)
    chance = 1 / 4 if name == "mmmu-ecg" else 1 / 8
    assert legacy["guessed"] == 398
    assert legacy["accuracy"] == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 398))


def test_guesses_hang_on_the_seed_and_the_sample_alone():
    asked = samples(*[("A", "?")] * 60)
    it = [score_task("mmmu-ecg", part, "legacy", len(part), seed) for part, seed in [(asked, 1), (asked[::-1], 1)]]
    assert it[0] == it[1]
    assert len({score_task("mmmu-ecg", asked, "legacy", 60, seed)["accuracy"] for seed in range(9)}) > 1


def test_a_gold_answer_that_is_no_letter_is_an_error():
    for gold in ("Atrial fibrillation", "", ["A"]):
        with pytest.raises(UserError, match="sample s0: gold"):
            score("csn-test-no-cot", "strict", (gold, "A"))


# Options


@pytest.mark.parametrize(
    ("options", "text", "strict", "legacy"),
    [
        ("yes, no", "Yes.", {"yes"}, {"yes"}),
        ("yes, no", "It is normal: yes", {"yes"}, {"yes", "no"}),
        ("yes, no, not sure", "not sure", {"not sure"}, {"no", "not sure"}),
        ("lead i, lead ii, lead iii", "Lead II", {"lead ii"}, {"lead i", "lead ii"}),
        ("lead I, lead II, none", "Lead II, none", {"lead ii", "none"}, {"none"}),  # only the answer loses its case
        (
            "complete right bundle branch block, incomplete right bundle branch block",
            "incomplete right bundle branch block",
            {"incomplete right bundle branch block"},
            {"complete right bundle branch block", "incomplete right bundle branch block"},
        ),
        (
            "left bundle branch block, incomplete left bundle branch block",
            "incomplete left bundle branch block",
            {"incomplete left bundle branch block"},
            {"left bundle branch block", "incomplete left bundle branch block"},
        ),
        ("yes, no", "unclear", set(), set()),
    ],
)
def test_options_are_words_or_by_legacy_substrings(options, text, strict, legacy):
    question = f"Which one? Options: {options}"
    assert find_options(text, options_of(question)) == strict
    assert find_options(text, options_of(question, "legacy"), "legacy") == legacy


def test_options_of_a_question():
    assert options_of("AF? Options: yes, no.") == ["yes", "no"]
    assert options_of("AF? Options:\n- yes\n- no\n") == ["yes", "no"]
    assert options_of(list("AF? Options: yes, no")) == ["yes", "no"]  # as the file stores it
    asked = "Which lead? Options: lead I, none\n\nOnly answer based on the given Options without any explanation."
    assert options_of(asked) == ["lead i", "none"]
    assert options_of(asked, "legacy") == ["lead I", "none"]
    assert options_of("AF?") == []
    pattern = "bigeminal pattern (unknown origin, supraventricular, or ventricular)"
    assert options_of(f"Which? Options: {pattern}, none") == [pattern, "none"]
    assert len(options_of(f"Which? Options: {pattern}, none", "legacy")) == 4


def test_options_of_ecg_qa_survive(shared_data):
    """Every answer of ECG-QA is found again among all the others."""
    with (shared_data / "ecg-qa" / "ecgqa" / "ptbxl" / "answers.csv").open() as file:
        answers = [row["class"].lower() for row in csv.DictReader(file)]
    options = options_of(f"Which? Options: {', '.join(answers)}")
    assert options == answers
    assert [find_options(answer, options) for answer in answers] == [{answer} for answer in answers]
    assert sum(find_options(answer, answers, "legacy") != {answer} for answer in answers) > 10


def test_options_are_right_as_a_set():
    pairs = [("lead i, lead ii", "Lead II and lead I"), ("lead i, lead ii", "lead II"), ("lead ii", "unclear")]
    question = "Which? Options: lead i, lead ii"
    assert score("ecgqa-test", "strict", *pairs, question=question) == {"n": 3, "accuracy": 1 / 3, "unparsed": 1}
    # "lead II" holds "lead I": of legacy the second is right as well, and not the third
    assert score("ecgqa-test", "legacy", *pairs, question=question) == {"n": 3, "accuracy": 2 / 3}
    capitals = "Which? Options: lead I, lead II"
    for gold in ("lead II", ["lead II"]):
        assert score("ecgqa-test", "strict", (gold, "lead II"), question=capitals)["accuracy"] == 1
        assert score("ecgqa-test", "legacy", (gold, "lead II"), question=capitals)["accuracy"] == 0
    with pytest.raises(UserError, match="sample s0: gold 'V1' is not one of the options"):
        score("ecgqa-test", "strict", ("V1", "V1"), question=question)
    with pytest.raises(UserError, match="not one of the options"):
        score("ecgqa-test", "strict", ("yes", "yes"), question="AF?")


# Sizes and input


def test_wrong_counts_are_an_error_and_by_legacy_skipped():
    asked = samples(("A", "A"))
    with pytest.raises(UserError, match="csn-test-no-cot has 1611 samples, not 1"):
        score_task("csn-test-no-cot", asked)
    assert score_task("csn-test-no-cot", asked, "legacy") == {}
    assert score_task("csn-test-no-cot", asked * 1611, "legacy") == {"n": 1611, "accuracy": 1, "guessed": 0}
    # PULSE's scorer checks no other sizes
    with pytest.raises(UserError, match="ptb-test has 2082 samples"):
        score_task("ptb-test", samples(("MI", "MI")))
    assert score_task("ptb-test", samples(("MI", "MI")), "legacy")["n"] == 1


def test_tasks_are_those_of_ecgbench():
    assert {name: task.size for name, task in TASKS.items() if task.enforced} == {
        "csn-test-no-cot": 1611,
        "g12-test-no-cot": 2026,
        "mmmu-ecg": 200,
        "ptb-test-report": 500,
    }
    assert len(TASKS) == 9 and all(isinstance(task, Task) for task in TASKS.values())


@pytest.mark.parametrize(
    ("name", "asked", "form", "message"),
    [
        ("ptb", [], "strict", "tasks with a scorer are ptb-test"),
        ("arena", [], "strict", "not 'arena'"),
        ("ptb-test", [], "lenient", "strict or legacy"),
        ("ptb-test", [{"id": 1, "gold": "MI"}], "strict", "sample 0 has no prediction"),
        ("ecgqa-test", [{"id": 1, "gold": "a", "prediction": "a"}], "legacy", "sample 0 has no question"),
        ("ptb-test", [{"id": 1, "gold": "MI", "prediction": None}], "legacy", "sample 1: the prediction is not text"),
        ("ptb-test", samples(("MI", "MI")) * 2, "strict", "sample s0 is repeated"),
    ],
)
def test_bad_input_is_named(name, asked, form, message):
    with pytest.raises(UserError, match=message):
        score_task(name, asked, form, expected=len(asked))

"""Reasoning chains: matching, scores, floors, and an evaluation from its env file."""

import json
import os
from collections import Counter
from unittest import mock

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.texts.reasoning.loading import chain_of
from cardiolect.model.entry import run_stage
from cardiolect.model.evaluation.reasoning.blind import blind_scores
from cardiolect.model.evaluation.reasoning.floors import (
    FLOORS,
    NO_ECG_BY_TEXT,
    commonest_chains,
    fixed_paths,
    text_only,
    times_by_text,
)
from cardiolect.model.evaluation.reasoning.matching import MATCHES
from cardiolect.model.evaluation.reasoning.result import check_result, is_reasoning
from cardiolect.model.evaluation.reasoning.scores import AnsweredChain, depth, score
from cardiolect.model.evaluation.result import read_result
from cardiolect.utils.errors import UserError
from tests.helpers.chains import leads, loop, measured, negative, positive, row, wave


def chain(made: dict):
    return chain_of(made, Counter())


EVIDENCE = [leads("V2", "V3"), wave("[1.00s - 1.10s]"), measured("Below 100ms")]
WHOLE = chain(row(1, 7, True, loop("Yes", "Yes", EVIDENCE)))
INITIAL, CRITERION, FINDING, LEAD, WAVE, MEASUREMENT, DECISION = WHOLE.steps


@pytest.mark.parametrize(
    ("text", "step", "strict", "published"),
    [
        ("yes.", FINDING, True, True),
        ("Yes, it does", FINDING, False, True),
        ("It is met: yes", DECISION, False, True),
        ("Lead V3 and lead V2", LEAD, True, True),
        ("V2, V3 and perhaps more", LEAD, False, True),
        ("Lead V2", LEAD, False, False),
        ("ST Depression", CRITERION, True, False),
        ("It is below 100ms, not above 120ms", MEASUREMENT, False, True),
        ("1.00s - 1.10s", WAVE, False, False),
    ],
)
def test_texts_are_matched_by_either_definition(text, step, strict, published):
    assert [MATCHES[name](text, step) for name in ("strict", "published")] == [strict, published]


def test_by_the_published_rule_normal_and_not_sure_are_a_no():
    no = chain(negative(1, 7)).steps[2]
    assert [MATCHES["published"](text, no) for text in ("normal sinus rhythm", "not sure", "none")] == [True] * 3
    assert not any(MATCHES["strict"](text, no) for text in ("normal sinus rhythm", "not sure", "none"))


def test_gold_answers_match_under_both_definitions():
    assert all(match(step.answer, step) for match in MATCHES.values() for step in WHOLE.steps)


def test_depth_counts_steps_before_the_first_error_and_grounding_by_its_share():
    right = [True] * 6  # criterion, finding, three grounding questions, decision
    wrong_at = {place: depth([*right[:place], False, *right[place + 1 :]]) for place in range(6)}
    assert wrong_at == {0: 0, 1: 1, 2: 2, 3: pytest.approx(2 + 1 / 3), 4: pytest.approx(2 + 2 / 3), 5: 3}
    assert depth(right) == 4


def test_completion_does_not_count_the_initial_answer_and_depth_only_loops_with_grounding():
    def answered(number: int, made: dict, wrong: int) -> AnsweredChain:
        found = chain(made)
        texts = ["?" if i == wrong else step.answer for i, step in enumerate(found.steps)]
        return AnsweredChain(found, number, {"with_ecg": texts, "no_ecg": ["?"] * len(texts)})

    rows = [answered(0, negative(1, 3), wrong=0), answered(1, negative(2, 4), wrong=6), answered(2, positive(3, 5), 4)]
    result = score(rows, "strict", 20, 0)
    found = result["conditions"]["with_ecg"]
    assert {key: found[key] for key in ("ida", "completion", "gt_reasoning", "depth", "lead", "wave")} == {
        "ida": pytest.approx(2 / 3),
        "completion": pytest.approx(1 / 3),
        "gt_reasoning": pytest.approx(2 / 3),
        "depth": 2.5,
        "lead": 1,
        "wave": 0,
    }
    assert result["gap"] == {"value": pytest.approx(1 / 3), "ci95": [0, 1], "best_floor": "no_ecg"}
    assert result["groups"]["grounding questions"]["0"]["completion"]["with_ecg"] == 0.5


def completed(answer, made: dict) -> bool:
    found = chain(made)
    return answer(found)[1:] == [step.answer for step in found.steps][1:]


def test_one_fixed_chain_completes_what_has_nothing_to_locate():
    fixed = commonest_chains([chain(made) for made in (positive(2, 2), negative(1, 1), negative(3, 3))])
    assert completed(fixed, negative(4, 4)) and not completed(fixed, positive(5, 5, "[3.00s - 3.09s]"))
    assert fixed(chain(positive(6, 6)))[3:5] == ["", ""]


def test_the_length_of_a_time_range_gives_the_wave_away():
    training = [chain(positive(number, number, f"[{number}.00s - {number}.10s]")) for number in (3, 4, 5)]
    unseen = positive(9, 9, "[7.00s - 7.09s]")
    assert completed(text_only(training), unseen) and completed(fixed_paths(training), unseen)
    assert not completed(commonest_chains(training), unseen)


def test_right_answers_earlier_in_a_chain_give_later_time_ranges_away():
    training = [chain(positive(number, number, f"[{number}.00s - {number}.10s]")) for number in (3, 4, 5)]
    first = wave("[1.00s - 1.09s]", "[0.50s - 0.70s]")
    again = wave("[1.00s - 1.09s]", "[2.00s - 2.10s]", "[3.00s - 3.20s]")  # by length alone the second
    as_long = wave("[6.00s - 6.08s]", "[1.50s - 1.61s]")  # nearer to the one before than to the usual length
    for later in (again, as_long):
        unseen = chain(row(9, 9, True, loop("Yes", "Yes", [first, later])))
        assert text_only(training)(unseen)[4] == later["answer"]
        alone = chain(row(9, 9, True, loop("Yes", "Yes", [later])))
        assert text_only(training)(alone)[3] != later["answer"]


def test_a_floor_has_the_answers_without_the_ecg_but_time_ranges_by_text():
    training = [chain(positive(number, number, f"[{number}.00s - {number}.10s]")) for number in (3, 4, 5)]
    unseen = positive(9, 9, "[7.00s - 7.09s]")
    given = [f"answer {number}" for number in range(len(chain(unseen).steps))]
    timed = [" - " in step.answer for step in chain(unseen).steps]
    assert times_by_text(training)(chain(unseen), given) == [
        step.answer if is_timed else text
        for step, is_timed, text in zip(chain(unseen).steps, timed, given, strict=True)
    ]
    assert sum(timed) == 1 and NO_ECG_BY_TEXT in FLOORS


@pytest.fixture
def chains_file(tmp_path, corpus):
    """Chains about the simulated corpus: three of fold 10, and one of each of folds 1 to 4."""
    folds = {ref.record_id: ref.fold for ref in load_database(corpus).values()}
    test = [i for i, fold in folds.items() if fold == 10][:3]
    train = [next(i for i, fold in folds.items() if fold == number) for number in range(1, 5)]
    rows = [negative(1, test[0]), positive(2, test[1]), negative(3, test[2]), *map(negative, range(4, 8), train)]
    path = tmp_path / "chains.jsonl"
    path.write_text("".join(json.dumps(made) + "\n" for made in rows))
    return path


def test_a_checkpoint_is_evaluated_and_its_scores_follow_from_the_predictions(
    chains_file, corpus, checkpoint_folder, tmp_path, capsys
):
    out, env_file = tmp_path / "out", tmp_path / "reasoning.env"
    lines = {
        "TASKTYPE": "reasoning",
        "DATA_ROOT": corpus,
        "TEST_DATA": chains_file,
        "TEST_FOLDS": "10",
        "TRAIN_DATA": chains_file,
        "TRAIN_FOLDS": "1-3",
        "CHECKPOINT": checkpoint_folder,
        "ACCEPT_UNKNOWN_LEAKAGE": "true",
        "CACHE_DIR": tmp_path / "cache",
        "BOOTSTRAP_RESAMPLES": 20,
        "WORKERS": 0,
        "OUTPUT_DIR": out,
    }
    env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with mock.patch.dict(os.environ):  # a stage makes its process a rank
        run_stage("eval", env_file)
    assert "signal-use gap of Completion over the best floor" in capsys.readouterr().out
    result = json.loads((out / "result.json").read_text())
    assert result["chains"] == 3 and result["data"]["training_chains"] == 3
    assert list(result["conditions"]) == [
        *("with_ecg", "no_ecg", "other_ecg", "fixed_chain", "text_only", "fixed_path"),
        *("fixed_chain_oracle", "no_ecg_by_text"),
    ]
    assert result["conditions"]["fixed_chain"]["completion"] == pytest.approx(2 / 3)
    assert is_reasoning(out) and check_result(out) == []
    with pytest.raises(UserError, match="of which only"):
        read_result(out)
    first = (out / "predictions.jsonl").read_text()
    rows = [json.loads(line) for line in first.splitlines()]
    options = rows[1]["chain"]["data"]["reasoning"][0]["ecg_grounding"][1]["options"]
    assert rows[1]["predictions"]["with_ecg"][4] in options
    (out / "predictions.jsonl").write_text(first.replace('"low voltage"', '"ST depression"', 1))
    assert any("SHA-256 differs" in line for line in check_result(out))


def test_blind_floors_are_learned_from_other_folds(chains_file, corpus):
    result = blind_scores([chains_file], [corpus], "", 20, 0)
    assert result["chains"] == 7 and result["left_out"] == {"unknown_recording": 0, "other_folds": 0}
    assert result["conditions"]["fixed_chain"]["completion"] == pytest.approx(6 / 7)
    lines = chains_file.read_text().splitlines(keepends=True)
    chains_file.write_text(
        "".join(lines[1:2] + lines[3:])
    )  # the only positive chain of fold 10, negative ones of others
    result = blind_scores([chains_file], [corpus], "", 20, 0)
    assert result["conditions"]["fixed_chain"]["completion"] == pytest.approx(4 / 5)
    with pytest.raises(UserError, match="not of several folds"):
        blind_scores([chains_file], [corpus], "10", 20, 0)


def test_the_recordings_of_one_database_may_be_in_several_folders(chains_file, corpus, tmp_path):
    """As PTB-XL's originals and its reconstructed recordings."""
    header, *rows = (corpus / "ptbxl_database.csv").read_text().splitlines(keepends=True)
    folders = [tmp_path / "a", tmp_path / "b"]
    for k, folder in enumerate(folders):
        folder.mkdir()
        (folder / "ptbxl_database.csv").write_text("".join([header, *rows[k::2]]))
    whole, parts = (blind_scores([chains_file], roots, "", 20, 0) for roots in ([corpus], folders))
    assert parts["chains"] == whole["chains"] and parts["conditions"] == whole["conditions"]
    half = blind_scores([chains_file], folders[:1], "", 20, 0)
    assert half["left_out"]["unknown_recording"] == whole["chains"] - half["chains"] > 0
    with pytest.raises(UserError, match="and in another folder"):
        blind_scores([chains_file], [corpus, *folders], "", 20, 0)

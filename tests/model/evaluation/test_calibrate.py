"""``cardiolect calibrate`` fits yes-or-no answers on validation recordings, which no evaluation scores any more."""

import json
import shutil

import pytest

from cardiolect.data_provider.audit.seen import read_seen
from cardiolect.data_provider.examples import Example
from cardiolect.model.cli import commands as cli
from cardiolect.model.evaluation.answers import Answer
from cardiolect.model.evaluation.calibrate import derived_questions
from cardiolect.model.evaluation.evaluate import evaluate
from cardiolect.model.evaluation.floors import majority_floors
from cardiolect.model.evaluation.operating_point import OperatingPoint, operating_point_line
from cardiolect.model.evaluation.result import check_result
from cardiolect.model.evaluation.samples import read_samples
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.inference.calibration import Calibration, QuestionMap
from cardiolect.model.llm.checkpoint_folder import add_info
from cardiolect.utils.errors import UserError
from tests.helpers.checkpoints import calibrated

RHYTHM = "Does this ECG show symptoms of sinus rhythm?"


@pytest.fixture(scope="module")
def asked(tmp_path_factory, corpus) -> list[dict]:
    """Yes-or-no questions about the recordings of folds 8 and 9, and one other question."""
    items = json.loads((corpus / "questions/train.json").read_text())
    items += json.loads((corpus / "questions/valid.json").read_text())
    verify = [item for item in items if item["question_type"] == "single-verify"]
    other = next(item for item in items if item["question_type"] == "single-query")
    return [*verify[:: max(1, len(verify) // 150)], other]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, stock, corpus, asked):
    """A checkpoint that was calibrated by the command."""
    folder = shutil.copytree(stock, tmp_path_factory.mktemp("calibrated") / "checkpoint")
    add_info(folder, settings={"train_folds": "1-7", "tasktype": "qa"})
    questions = folder.parent / "asked.json"
    questions.write_text(json.dumps(asked))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CACHE_DIR", str(folder.parent / "cache"))
        patch.setenv("WORKERS", "0")
        run_calibrate(folder, corpus, questions, "8-9")
    return folder


def run_calibrate(folder, corpus, questions, folds):
    given = ["--checkpoint", folder, "--data", corpus, "--folds", folds, "--questions", questions, "--device", "cpu"]
    cli.main(["calibrate", *map(str, given)])


def test_every_question_gets_a_map_and_a_prevalence(folder, asked):
    found = Calibration.of(folder)
    texts = {item["question"] for item in asked[:-1]}
    assert set(found.questions) <= texts and len(found.questions) > 5
    assert found.validation["left_out"] == {"other kinds of questions": 1} or not found.validation["left_out"]
    assert sum(line.n for line in found.questions.values()) == found.validation["answers"]
    for line in found.questions.values():
        assert line.a > 0 and line.prevalence == line.positives / line.n
    assert 0.5 <= found.unsure_below <= 1
    assert found.figures["calibrated"]["brier"] < found.figures["uncalibrated"]["brier"]


def test_what_it_has_seen_is_in_the_list_of_the_checkpoint(folder, stock):
    before, after = read_seen(stock), read_seen(folder)
    assert before.marks < after.marks and after.unknown == ""
    assert after.record == {"unrecorded": "checkpoint", "count": len(after.marks), "sha256": after.record["sha256"]}


def test_folds_of_training_and_no_folds_are_refused(folder, corpus):
    with pytest.raises(UserError, match="was trained on fold 7; name validation folds"):
        run_calibrate(folder, corpus, corpus / "questions/valid.json", "7-8")
    with pytest.raises(UserError, match="--folds: name the validation folds"):
        run_calibrate(folder, corpus, corpus / "questions/valid.json", "")


def test_several_folders_must_be_prepared_corpora(folder, corpus, tmp_path):
    given = ["--checkpoint", str(folder), "--data", str(corpus), str(tmp_path), "--folds", "8"]
    with pytest.raises(UserError, match=r"as each of several must be; run cardiolect prepare"):
        cli.main(["calibrate", *given])


def test_labels_give_every_question_of_training_about_every_recording(corpus):
    items = derived_questions(corpus, "8-9", [RHYTHM, "Is it a horse?"])
    assert {item["question"] for item in items} == {RHYTHM}
    assert len({item["ecg_id"][0] for item in items}) == len(items) > 5
    assert len({item["question"] for item in derived_questions(corpus, "8-9", ())}) > 20


def evaluated(folder, corpus, output, **values):
    settings = {
        "tasktype": "qa",
        "checkpoint": folder,
        "data_root": [corpus],
        "test_data": [corpus / "questions/test.json"],
        "output_dir": output,
        "cache_dir": folder.parent / "cache",
        "answer_mode": "choices",
        "answer_lists": output / "lists.csv",
        "floors": ["none"],
        "max_samples": 40,
        "workers": 0,
        "device": "cpu",
        "bootstrap_resamples": 10,
        "page_examples": 0,
        "metrics": "strict",
        **values,
    }
    output.mkdir()
    (output / "lists.csv").write_text("template_id,classes\n1,\"['yes', 'no']\"\n")
    return evaluate(EvalSettings(_env_file=None, **settings))


def test_an_evaluation_answers_at_the_operating_point_and_keeps_the_ranking(folder, corpus, tmp_path):
    raw = evaluated(folder, corpus, tmp_path / "raw", calibrated="false")
    balanced = evaluated(folder, corpus, tmp_path / "balanced", operating_point="balanced")
    assert (raw["operating_point"], balanced["operating_point"]["point"]) == ({}, "balanced")
    calibration = Calibration.of(folder)
    samples = read_samples(tmp_path / "balanced/predictions.jsonl")
    samples = [sample for sample in samples if sample.question in calibration.questions]
    assert samples and balanced["operating_point"]["samples"] == len(samples)
    for sample in samples:
        yes = calibration.probability_of_yes(sample.question, sample.yes_margins["with_ecg"], "balanced")
        assert sample.predictions["with_ecg"] == ("yes" if yes >= 0.5 else "no")
        assert sample.probabilities["with_ecg"] == pytest.approx(max(yes, 1 - yes), abs=1e-6)
    aurocs = [{q: row["auroc"] for q, row in each["verify"]["with_ecg"].items()} for each in (raw, balanced)]
    assert aurocs[0] == aurocs[1] != {}
    assert check_result(tmp_path / "balanced") == [] and "majority_in_validation" not in balanced["conditions"]
    assert "operating point balanced: " in (tmp_path / "balanced/scores.txt").read_text()
    assert "Operating point balanced: " in (tmp_path / "balanced/result.html").read_text()
    assert "as ranked, not calibrated" in operating_point_line(raw)


def test_answers_that_know_the_prevalence_have_a_floor_that_knows_it_too(folder, corpus, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "checkpoint")
    add_info(copy, **majority_floors([example("Normal?", "verify")], seed=0))
    result = evaluated(copy, corpus, tmp_path / "out")
    em = {name: scores["em"] for name, scores in result["conditions"].items()}
    assert result["gap"]["value"] <= em["with_ecg"] - em["majority_in_validation"]
    calibration = Calibration.of(copy)
    for sample in read_samples(tmp_path / "out/predictions.jsonl"):
        if line := calibration.questions.get(sample.question):
            assert sample.predictions["majority_in_validation"] == ("yes" if line.prevalence >= 0.5 else "no")


def example(question, kind):
    return Example("s", (), "qa", question, ("yes",), f"single-{kind}")


def test_questions_without_a_map_stay_as_ranked_and_are_counted(tmp_path, stock):
    folder = shutil.copytree(stock, tmp_path / "checkpoint")
    calibrated(folder, {"AF?": QuestionMap(1.0, -5.0, 10, 1, 0.1, -2.0)})
    settings = EvalSettings.model_construct(
        checkpoint=folder, answer_mode="choices", calibrated="auto", operating_point="prevalence"
    )
    point = OperatingPoint(settings)
    ranked = Answer("yes", 0.9, 2.0)
    known, other, query = example("AF?", "verify"), example("LBBB?", "verify"), example("AF?", "query")
    assert point.answer(known, ranked) == Answer("no", pytest.approx(0.952574), 2.0)
    assert point.answer(other, ranked) == ranked
    assert point.answer(known, Answer("not sure", 0.5, 2.0)).text == "not sure"
    assert point.answer(query, Answer("AF", 0.5)).text == "AF"
    assert [point.majority(each) for each in (known, other, query)] == ["no", None, "no"]
    described = point.describe([known, other, query])
    assert (described["samples"], described["other_samples"]) == (1, 1)
    assert "1 answers to questions without a calibration" in operating_point_line({"operating_point": described})


def test_a_balanced_operating_point_needs_a_calibration(stock):
    settings = EvalSettings.model_construct(
        checkpoint=stock, answer_mode="choices", calibrated="auto", operating_point="balanced"
    )
    with pytest.raises(UserError, match=r"has no calibration.json; make one with cardiolect calibrate"):
        OperatingPoint(settings)

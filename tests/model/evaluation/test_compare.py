"""Two results are compared sample by sample, with an interval and a test over patients."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.model.evaluation.compare import compare, comparison_table
from cardiolect.model.evaluation.result import RESULT, write_result
from cardiolect.model.evaluation.samples import PREDICTIONS, Sample, write_samples
from cardiolect.model.evaluation.seeds import runs_table, several_runs
from cardiolect.utils.errors import UserError
from tests.helpers.results import questions, written

FEW = 50  # resamples


def reports(texts):
    return [
        Sample(
            f"r{k}",
            (f"r{k}",),
            (k,),
            "report",
            "",
            ("sinus rhythm with left axis deviation",),
            predictions={"with_ecg": text, "other_ecg": "normal ecg"},
        )
        for k, text in enumerate(texts)
    ]


def test_two_results_are_compared_sample_by_sample(tmp_path):
    right, floor = np.arange(40) % 4 > 1, np.arange(40) % 3 == 0
    a = written(tmp_path / "a", questions(right, floor), seed=1, llm_path="tiny")
    b = written(tmp_path / "b", questions(np.ones(40), floor), seed=2, llm_path="tiny")
    found = compare(a, b / RESULT, FEW)
    em = found["scores"]["em"]
    assert (em["a"], em["b"], em["difference"], em["p"]) == (0.5, 1, 0.5, pytest.approx(2 / 2**10))
    assert em["exact"] and em["blocks"] == 20 and em["ci95"][0] > 0  # ten of twenty patients differ
    assert set(found["scores"]) == {"em", "f1"}
    assert found["right"] == {"both": 20, "only_a": 0, "only_b": 20, "neither": 0}
    assert found["gap"]["a"] == pytest.approx(0.5 - floor.mean()) and found["gap"]["difference"] == 0.5
    assert found["gap"]["floors"] == ["no_ecg"]
    assert {kind: row["n"] for kind, row in found["by_type"].items()} == {"single-query": 20, "single-verify": 20}
    assert found["differs"]["checkpoint.seed"] == [1, 2] and "settings.llm_path" not in found["differs"]
    assert "settings.output_dir" not in found["differs"]
    assert json.loads(json.dumps(found)) == found
    table = comparison_table(found)
    assert "checkpoint.seed: A 1, B 2" in table and "only B 20" in table and "single-query (20)" in table


def test_comparisons_repeat_the_figures_of_the_results(tmp_path):
    settings = {"metrics": "strict", "bootstrap_resamples": FEW, "seed": 0}
    floor, folders, told = np.arange(40) % 3 == 0, [], []
    for seed in (1, 2, 3):
        folders.append(tmp_path / f"run{seed}")
        folders[-1].mkdir()
        samples = questions(np.random.default_rng(seed).random(40) < 0.7, floor)
        told.append(write_result(folders[-1], samples, settings, {"checkpoint": {"seed": seed}}))
    found = compare(*folders[:2], FEW)
    for system, result in zip("ab", told[:2], strict=True):
        assert found["scores"]["em"][system] == result["conditions"]["with_ecg"]["em"]
        assert found["gap"][system] == pytest.approx(result["gap"]["value"])
    assert found["differs"] == {"checkpoint.seed": [1, 2]}
    runs = several_runs(folders, FEW)
    assert [row["seed"] for row in runs["runs"]] == [1, 2, 3]
    assert [row["gap"] for row in runs["runs"]] == [pytest.approx(result["gap"]["value"]) for result in told]


def test_order_and_numbers_of_patients_do_not_matter(tmp_path):
    right = np.random.default_rng(0).random(40) < 0.7
    floor = np.arange(40) % 3 == 0
    samples = questions(right, floor)
    a = written(tmp_path / "a", questions(right & (np.arange(40) > 9), floor))
    b = written(tmp_path / "b", samples)
    turned = [replace(sample, patients=(90 - 2 * sample.patients[0],)) for sample in reversed(samples)]
    c = written(tmp_path / "c", turned)
    first, second = compare(a, b, FEW), compare(a, c, FEW)
    assert first["scores"]["em"]["difference"] != 0
    for key in ("scores", "gap", "by_type", "right", "patients"):
        assert first[key] == second[key]


def test_samples_that_only_one_has_are_left_out_and_counted(tmp_path):
    right = np.arange(20) % 2
    a = written(tmp_path / "a", questions(right)[:16])
    b = written(tmp_path / "b", questions(right)[4:])
    found = compare(a, b, FEW)
    assert (found["samples"], found["only_a"], found["only_b"]) == (12, 4, 4)
    assert found["scores"]["em"]["p"] == 1 and "gap" not in found
    assert "left out: 4 samples that only A has" in comparison_table(found)


def test_the_gap_is_over_the_floors_that_both_have(tmp_path):
    right = np.arange(20) % 2
    first = questions(right, np.zeros(20))
    more = [replace(s, predictions={**s.predictions, "majority": "yes", "reversed_leads": "yes"}) for s in first]
    found = compare(written(tmp_path / "a", first), written(tmp_path / "b", more), FEW)
    assert found["gap"]["floors"] == ["no_ecg"] and found["gap"]["b"] == 0.5
    both = compare(tmp_path / "b", written(tmp_path / "c", more), FEW)
    assert both["gap"]["best_floor"] == ["majority", "majority"] and both["gap"]["a"] == -0.5


def test_reports_are_compared_by_every_score(tmp_path):
    gold = "sinus rhythm with left axis deviation"
    a = written(tmp_path / "a", reports(["normal sinus rhythm"] * 6))
    b = written(tmp_path / "b", reports([gold] * 6))
    found = compare(a, b, FEW)
    assert next(iter(found["scores"])) == found["score"] == "rougeL"
    assert {"sacrebleu", "meteor", "chrf", "content_f1"} <= found["scores"].keys()
    worded = [row for name, row in found["scores"].items() if not name.startswith("content")]
    assert all(row["difference"] > 0 and row["p"] == 2 / 2**6 for row in worded)
    assert found["by_type"] == {} and "right" not in found
    assert "sacrebleu" in comparison_table(found)
    assert "blocks" in compare(a, a, FEW)["gap"]


def test_questions_that_compare_patients_link_their_samples(tmp_path):
    right = np.arange(12) % 2
    chain = [(k, k + 1) for k in range(12)]
    a = written(tmp_path / "a", questions(right, patients=chain))
    b = written(tmp_path / "b", questions(1 - right, patients=chain))
    found = compare(a, b, FEW)
    assert found["scores"]["em"]["p"] is None and found["scores"]["em"]["ci95"][0] is not None
    assert "no p: questions that compare patients link all samples" in comparison_table(found)
    one = written(tmp_path / "one", questions(right, patients=[(0,)] * 12))
    assert "no p: all samples are of one patient" in comparison_table(compare(one, one, FEW))


def test_results_can_be_compared_by_another_definition(tmp_path):
    a, b = (written(tmp_path / n, questions([1, 0, 1, 0]), metrics=m) for n, m in (("a", "strict"), ("b", "heartllm")))
    with pytest.raises(UserError, match="--metrics scores both by one"):
        compare(a, b, FEW)
    assert compare(a, b, FEW, metrics="heartllm")["metrics"] == "heartllm"
    with pytest.raises(UserError, match="METRICS=rouge"):
        several_runs([a, b], metrics="rouge")


def test_runs_of_different_experiments_are_pointed_out(tmp_path):
    a, b = (written(tmp_path / name, questions([1, 0, 1, 0])) for name in "ab")
    for folder, rate in ((a, 0.1), (b, 0.2)):
        result = json.loads((folder / RESULT).read_text())
        result["checkpoint"]["settings"] = {"learning_rate": rate, "seed": 0, "output_dir": str(folder)}
        (folder / RESULT).write_text(json.dumps(result))
    table = runs_table(several_runs([a, b], FEW))
    assert "their training differs in LEARNING_RATE" in table and "seeds are not all different" in table


def test_changed_predictions_are_not_compared(tmp_path):
    a = written(tmp_path / "a", questions([1, 0, 1, 0]))
    b = written(tmp_path / "b", questions([1, 0, 0, 0]))
    write_samples(b / PREDICTIONS, questions([1, 1, 1, 1]))
    with pytest.raises(UserError, match="written with another"):
        compare(a, b, FEW)


def test_results_that_cannot_be_compared_are_refused_with_a_reason(tmp_path):
    samples = questions(np.ones(8))
    a = written(tmp_path / "a", samples)
    others = {
        "no sample is in both": [replace(s, sample_id=f"x{s.sample_id}") for s in samples],
        "tasks qa and report cannot": reports(["normal"]),
        "q3 differs in its question": [replace(s, question="?") if s.sample_id == "q3" else s for s in samples],
        "q3 differs in its answers": [replace(s, answers=("no",)) if s.sample_id == "q3" else s for s in samples],
        "q3 differs in its recordings": [replace(s, record_ids=("x",)) if s.sample_id == "q3" else s for s in samples],
        "the patient of sample q1": [replace(s, patients=(k,)) for k, s in enumerate(samples)],
        "the patient of sample q2": [replace(s, patients=(0,)) for s in samples],
        "no prediction with_ecg": [replace(s, predictions={"no_ecg": "yes"}) for s in samples],
    }
    for k, (message, other) in enumerate(others.items()):
        with pytest.raises(UserError, match=message) as error:
            compare(a, written(tmp_path / f"other {k}", other), FEW)
        assert "\n" not in str(error.value) and str(tmp_path / f"other {k}") in str(error.value)
    with pytest.raises(UserError, match="METRICS=strict and heartllm cannot"):
        compare(a, written(tmp_path / "b", samples, metrics="heartllm"), FEW)

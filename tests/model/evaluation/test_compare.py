import json
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.model.evaluation.compare import compare, comparison_table
from cardiolect.model.evaluation.result import RESULT, write_result
from cardiolect.model.evaluation.samples import PREDICTIONS, Sample, write_samples
from cardiolect.model.evaluation.seeds import runs_table, several_runs
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import Scores, summarise_runs

FEW = 50  # resamples


def questions(right, floor=(), patients=None, kinds=("single-verify", "single-query")):
    """Yes-or-no questions, two about each patient unless said otherwise; ``right`` with the ECG, ``floor`` without."""
    floors = {"no_ecg": floor} if len(floor) else {}
    return [
        Sample(
            f"q{k}",
            (f"r{k // 2}",),
            (k // 2,) if patients is None else patients[k],
            "qa",
            f"question {k}?",
            ("yes",),
            kinds[k % len(kinds)],
            predictions={"with_ecg": "yes" if right[k] else "no"}
            | {name: "yes" if values[k] else "no" for name, values in floors.items()},
        )
        for k in range(len(right))
    ]


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


def written(folder, samples, metrics="strict", seed=0, fingerprint=None, **settings):
    folder.mkdir()
    result = {
        "predictions": {"sha256": write_samples(folder / PREDICTIONS, samples)},
        "task": samples[0].task,
        "metrics": {"name": metrics},
        "settings": {"output_dir": str(folder), "metrics": metrics, **settings},
        "checkpoint": {"seed": seed, "fingerprint": fingerprint or str(folder)},
        "conditions": {},
    }
    (folder / RESULT).write_text(json.dumps(result))
    return folder


# Two results


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


def test_results_that_an_evaluation_writes_give_their_own_figures_again(tmp_path):
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


def test_questions_that_compare_patients_tie_them(tmp_path):
    right = np.arange(12) % 2
    chain = [(k, k + 1) for k in range(12)]
    a = written(tmp_path / "a", questions(right, patients=chain))
    b = written(tmp_path / "b", questions(1 - right, patients=chain))
    found = compare(a, b, FEW)
    assert found["scores"]["em"]["p"] is None and found["scores"]["em"]["ci95"][0] is not None
    assert "no p: questions that compare patients tie all samples together" in comparison_table(found)
    one = written(tmp_path / "one", questions(right, patients=[(0,)] * 12))
    assert "no p: all samples are of one patient" in comparison_table(compare(one, one, FEW))


def test_two_results_are_compared_by_another_definition_than_their_own(tmp_path):
    a, b = (written(tmp_path / n, questions([1, 0, 1, 0]), metrics=m) for n, m in (("a", "strict"), ("b", "heartllm")))
    with pytest.raises(UserError, match="--metrics scores both by one"):
        compare(a, b, FEW)
    assert compare(a, b, FEW, metrics="heartllm")["metrics"] == "heartllm"
    with pytest.raises(UserError, match="METRICS=rouge"):
        several_runs([a, b], metrics="rouge")


def test_runs_that_are_no_seeds_of_one_experiment_are_pointed_out(tmp_path):
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


def test_what_cannot_be_compared_is_named(tmp_path):
    samples = questions(np.ones(8))
    a = written(tmp_path / "a", samples)
    others = {
        "no sample is in both": [replace(s, sample_id=f"x{s.sample_id}") for s in samples],
        "tasks qa and report cannot": reports(["normal"]),
        "q3 has other question": [replace(s, question="?") if s.sample_id == "q3" else s for s in samples],
        "q3 has other answers": [replace(s, answers=("no",)) if s.sample_id == "q3" else s for s in samples],
        "q3 has other recordings": [replace(s, record_ids=("x",)) if s.sample_id == "q3" else s for s in samples],
        "q1 is of a patient": [replace(s, patients=(k,)) for k, s in enumerate(samples)],
        "q2 is of a patient": [replace(s, patients=(0,)) for s in samples],
        "no prediction with_ecg": [replace(s, predictions={"no_ecg": "yes"}) for s in samples],
    }
    for k, (message, other) in enumerate(others.items()):
        with pytest.raises(UserError, match=message) as error:
            compare(a, written(tmp_path / f"other {k}", other), FEW)
        assert "\n" not in str(error.value) and str(tmp_path / f"other {k}") in str(error.value)
    with pytest.raises(UserError, match="METRICS=strict and heartllm cannot"):
        compare(a, written(tmp_path / "b", samples, metrics="heartllm"), FEW)


# Several runs


def test_runs_are_summarised_with_their_spread(tmp_path):
    floor = np.arange(40) < 10
    folders = [
        written(tmp_path / f"run{seed}", questions(np.arange(40) < n, floor), seed=seed)
        for seed, n in ((1, 20), (2, 24), (3, 28))
    ]
    found = several_runs(folders, FEW)
    em = found["scores"]["em"]
    assert em["values"] == (0.5, 0.6, 0.7) and em["mean"] == pytest.approx(0.6) and em["sd"] == pytest.approx(0.1)
    reach = 4.302653 * 0.1 / np.sqrt(3)  # Student's t of two degrees of freedom
    assert em["over_runs"] == pytest.approx((0.6 - reach, 0.6 + reach))
    low, high = em["over_patients"]
    assert em["over_both"] == pytest.approx((0.6 - np.hypot(reach, 0.6 - low), 0.6 + np.hypot(reach, high - 0.6)))
    assert [(row["seed"], row["gap"]) for row in found["runs"]] == [
        (seed, pytest.approx(gap)) for seed, gap in ((1, 0.25), (2, 0.35), (3, 0.45))
    ]
    assert found["gap"]["mean"] == pytest.approx(0.35) and found["same_checkpoint"] == []
    table = runs_table(found)
    assert "run2" in table and "other seeds, these patients" in table and "\nf1 " in table
    assert json.loads(json.dumps(found))["gap"]["over_both"] == list(found["gap"]["over_both"])
    without = [written(tmp_path / name, questions(np.ones(8))) for name in ("without a", "without b")]
    assert "gap" not in several_runs(without, FEW) and "gap" not in runs_table(several_runs(without, FEW))


def test_runs_of_one_checkpoint_are_pointed_out(tmp_path):
    folders = [written(tmp_path / name, questions(np.arange(8) % 2), fingerprint="f") for name in "ab"]
    found = several_runs(folders, FEW)
    assert found["same_checkpoint"] == [[str(folder) for folder in folders]]
    assert "their spread is not that of training" in runs_table(found)


def test_runs_have_the_same_samples(tmp_path):
    samples = questions(np.arange(8) % 2)
    a, short = written(tmp_path / "a", samples), written(tmp_path / "short", samples[2:])
    with pytest.raises(UserError, match=r"a has 2 samples that .*short lacks"):
        several_runs([a, short])
    for paths, message in (([a], "at least two"), ([a, a / RESULT], "given twice")):
        with pytest.raises(UserError, match=message):
            several_runs(paths)


def test_the_interval_over_seeds_and_patients_holds_the_truth():
    """Three runs, each some points off by luck, on forty patients who differ in how hard they are."""
    rng, held = np.random.default_rng(0), {"over_runs": 0, "over_patients": 0, "over_both": 0}
    for _ in range(200):
        of_patients = rng.normal(0, 0.3, 40)
        runs = [
            {"all": Scores.per_sample({"x": 0.5 + luck + of_patients + rng.normal(0, 0.05, 40)})}
            for luck in rng.normal(0, 0.04, 3)
        ]
        found = summarise_runs(lambda values: values["all"], "x", runs, range(40), n_resamples=100)
        for key in held:
            low, high = getattr(found, key)
            held[key] += low <= 0.5 <= high
    assert held["over_both"] / 200 >= 0.95
    assert held["over_patients"] / 200 < 0.92 and held["over_runs"] / 200 < 0.9

"""Scores of an evaluation follow from its samples alone."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.model.evaluation.result import check_result, rescore, write_result
from cardiolect.model.evaluation.samples import Sample, fingerprint, read_samples, write_samples
from cardiolect.model.evaluation.scoring import ScoringRules, score
from cardiolect.model.evaluation.tables import groups_table, scores_table
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import DEFINITIONS, definition
from tests.helpers.results import PREDICTIONS, REFERENCES, SETTINGS, questions, samples_of


def scored(name, task, answers, texts):
    return score(samples_of(task, answers, texts), ScoringRules(name, 20, 0))


def test_answers_are_right_by_the_definition_that_is_set():
    answers, texts = [("V1", "V2"), ("V3",)], ["v2. v1", "V3"]
    assert scored("heartllm", "qa", answers, texts)["conditions"]["with_ecg"]["em"] == 0.5
    strict = scored("strict", "qa", answers, texts)
    assert strict["groups"]["question_type"]["single-query"]["em"]["with_ecg"] == 1
    assert (strict["metrics"]["name"], strict["gap"]["value"]) == ("strict", 0.5)
    bench = scored("ecg-bench", "qa", answers, texts)["conditions"]
    assert bench["no_ecg"]["em"] == bench["no_ecg"]["acc"] == 0.5 and bench["no_ecg"]["acc_nonempty"] == 1


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_score_of_a_definition_is_printed(name):
    for task in ("qa", "report"):
        result = scored(name, task, [(text,) for text in REFERENCES], PREDICTIONS)
        table = scores_table(json.loads(json.dumps(result)))
        expected = definition(name).score_texts(PREDICTIONS, REFERENCES)
        if task == "report":
            assert expected.values.items() <= result["conditions"]["with_ecg"].items()
            assert all(f"\n{key} " in table for key in expected.values) and "meteor: synonyms from" in table
        assert f"METRICS={name}" in table and "signal-use gap" in table


def test_groups_have_scores_and_gaps():
    asked = samples_of("qa", [("yes",), ("no",), ("no",)], ["yes", "no", "yes"])
    asked = [
        replace(s, question_type="single-verify", attribute_type="scp_code", attributes=("a",) if i else ("a", "b"))
        for i, s in enumerate(asked)
    ]
    groups = score(asked, ScoringRules(bootstrap_resamples=20))["groups"]
    assert {name: cell["n"] for name, cell in groups["attribute"].items()} == {"a": 3, "b": 1}
    assert groups["answer"]["no"]["em"] == {"with_ecg": 0.5, "no_ecg": 0.5}
    assert groups["attribute"]["b"]["gap"] == 1 and groups["template"]["1"]["example"] == "which lead?"
    assert "gap" not in groups["answer"]["yes"], "a floor that always says yes is an oracle there"
    table = groups_table(score(asked, ScoringRules(bootstrap_resamples=20)))
    assert "exact match by attribute type" in table and "scp_code (3)" in table


def test_a_groups_gap_has_an_interval_only_with_enough_patients():
    asked = samples_of("qa", [("yes",)] * 40, ["yes"] * 40)
    few = [replace(sample, patients=(i % 19,)) for i, sample in enumerate(asked)]
    groups = [score(each, ScoringRules(bootstrap_resamples=20))["groups"]["template"]["1"] for each in (asked, few)]
    assert ["gap_ci95" in group for group in groups] == [True, False]


def test_texts_that_were_cut_off_are_counted_and_have_no_confidence():
    asked = samples_of("qa", [("yes",)] * 3, ["yes"] * 3)
    asked = [
        replace(s, question_type="single-verify", probabilities={"with_ecg": 0.9}, cut_off=("with_ecg",) * (i == 0))
        for i, s in enumerate(asked)
    ]
    result = score(asked, ScoringRules(bootstrap_resamples=20))
    assert result["cut_off"] == {"with_ecg": 1} and result["calibration"]["with_ecg"]["n"] == 2
    assert "texts cut off by MAX_NEW_TOKENS: with ECG 1" in scores_table(result)


def evaluated(reads: float, hears: float, seed: int):
    """400 yes-or-no questions about 80 patients; a model that knows the answer from the ECG at rate ``reads`` and from
    the question alone at rate ``hears``, and otherwise guesses; "yes" is right in 6 of 10."""
    rng = np.random.default_rng(seed)
    samples = []
    for i in range(400):
        patient, gold = i // 5, ("yes" if rng.random() < 0.6 else "no")
        leaks, guess, stranger = rng.random() < hears, ("yes" if rng.random() < 0.6 else "no"), rng.random() < 0.6
        blind = gold if leaks else guess
        other = gold if leaks else ("yes" if stranger else "no")
        texts = {
            "with_ecg": gold if rng.random() < reads else blind,
            "no_ecg": blind,
            "other_ecg": other,
            "majority": "yes",
        }
        sample = Sample(f"{i}", (str(patient),), (patient,), "qa", "?", (gold,), "single-verify", predictions=texts)
        samples.append(sample)
    return score(samples, ScoringRules(bootstrap_resamples=300, seed=seed))["gap"]


def test_the_gap_covers_zero_if_the_model_ignores_the_ecg_and_is_clear_if_it_reads_it():
    for seed in range(5):
        for hears in (0.0, 0.7):  # however good the guesses are
            low, high = evaluated(0.0, hears, seed)["ci95"]
            assert low <= 0 and high < 0.05, "ignoring the ECG must not pass for reading it"
        assert evaluated(0.8, 0.0, seed)["ci95"][0] > 0.1
        assert evaluated(0.8, 0.7, seed)["ci95"][0] > 0


def test_the_main_score_has_an_interval_under_every_condition():
    for task, scores in (("qa", ["em"]), ("report", ["rougeL", "content_f1"])):
        result = score(samples_of(task, [(t,) for t in REFERENCES], PREDICTIONS), ScoringRules(bootstrap_resamples=50))
        assert list(result["ci95"]) == scores
        for name in scores:
            low, high = result["ci95"][name]["with_ecg"]
            assert low <= result["conditions"]["with_ecg"][name] <= high
        assert scores_table(result).count("95 %, over patients") == len(scores)


def test_what_the_ecg_adds_to_each_condition_is_paired_by_patient():
    rng = np.random.default_rng(0)
    right, floor = rng.random(200) < 0.8, rng.random(200) < 0.4
    samples = questions(right, floor)
    for sample, value in zip(samples, right, strict=True):
        sample.predictions["noise"] = "yes" if value else "no"  # the very answers of the ECG
    result = score(samples, ScoringRules(bootstrap_resamples=50))
    above = result["above"]["em"]
    assert above["noise"] == {"value": 0.0, "ci95": [0.0, 0.0]}, "of equal answers in every draw"
    assert above["no_ecg"]["value"] == pytest.approx(right.mean() - floor.mean())
    assert result["gap"]["best_floor"] == "noise" and result["gap"]["value"] == 0
    alone = score(questions(right, floor), ScoringRules(bootstrap_resamples=50))
    assert alone["above"]["em"]["no_ecg"] == {key: alone["gap"][key] for key in ("value", "ci95")}
    lines = scores_table(result).splitlines()
    added = next(line for line in lines if line.startswith("  with ECG minus this")).split()[4:]
    assert added == [f"{100 * above[name]['value']:+.1f}" for name in ("no_ecg", "noise")]


def test_reversed_leads_are_shown_but_not_a_floor():
    """Rhythms can still be read, so as a floor they would hide that the model reads the ECG."""
    samples = samples_of("qa", [("yes",), ("no",)], ["yes", "no"], reversed_leads=["yes", "no"], majority=["no", "no"])
    result = score(samples, ScoringRules(bootstrap_resamples=20))
    assert result["conditions"]["reversed_leads"]["em"] == 1
    assert result["gap"]["value"] == 0.5 and "reversed" in scores_table(result)


def test_samples_are_read_as_they_were_written(tmp_path):
    samples = samples_of("report", [("Sinusrhythmus: „normal“",), ("b",)], ["ä", ""])
    samples[1] = replace(samples[1], findings=(), probabilities={"with_ecg": 0.25}, yes_margins={"with_ecg": -1.5})
    write_samples(tmp_path / "predictions.jsonl", samples)
    assert read_samples(tmp_path / "predictions.jsonl") == samples


def test_a_result_is_checked_against_its_predictions(tmp_path):
    samples = samples_of("qa", [("yes",), ("no",), ("no",)], ["yes", "no", "yes"])
    write_result(tmp_path, samples, SETTINGS, {})
    assert check_result(tmp_path / "result.json") == [] == check_result(tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    result["conditions"]["with_ecg"]["em"] = 0.9
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert [line.split(":")[0] for line in check_result(tmp_path)] == ["conditions.with_ecg.em"]
    text = (tmp_path / "predictions.jsonl").read_text().replace('"no_ecg": ""', '"no_ecg": "yes"')
    (tmp_path / "predictions.jsonl").write_text(text)
    found = " ".join(check_result(tmp_path))
    assert "SHA-256" in found and "gap.value" in found and "conditions.no_ecg.em" in found


def test_omitted_and_invented_parts_are_found(tmp_path):
    samples = samples_of("qa", [("yes",), ("no",), ("no",)], ["yes", "no", "yes"])
    data = {"data": {"texts_fingerprint": fingerprint(samples), "codes_fingerprint": "c"}}
    write_result(tmp_path, samples, SETTINGS, data)
    assert check_result(tmp_path) == []
    write_result(tmp_path, samples[:2], SETTINGS, data)  # without the one that was wrong
    assert [line.split(":")[0] for line in check_result(tmp_path)] == ["data.texts_fingerprint"]
    write_result(tmp_path, samples, SETTINGS, data | {"findings": {"with_ecg": {"macro_f1": 0.5}}})
    assert "findings" in check_result(tmp_path)[0]
    write_result(tmp_path, samples, SETTINGS, data)
    (tmp_path / "scores.txt").write_text("exact match 99.9\n")
    assert check_result(tmp_path) == ["scores.txt is not the table of these predictions"]


def test_saved_predictions_are_scored_by_another_definition(tmp_path):
    write_result(tmp_path, samples_of("qa", [("yes",), ("no",)], ["Yes.", "no"]), SETTINGS, {})
    assert rescore(tmp_path, "strict")["conditions"]["with_ecg"]["em"] == 1
    assert rescore(tmp_path, "heartllm")["conditions"]["with_ecg"]["em"] == 0.5
    text = (tmp_path / "predictions.jsonl").read_text()
    (tmp_path / "predictions.jsonl").write_text(text.replace("Yes.", "no"))
    with pytest.raises(UserError, match="written with another"):
        rescore(tmp_path, "strict")
    (tmp_path / "predictions.jsonl").write_text(text)
    with pytest.raises(UserError, match="METRICS=rouge: must be one of strict, heartllm, ecg-bench"):
        rescore(tmp_path, "rouge")


def test_invalid_samples_are_refused_with_the_number_of_the_line(tmp_path):
    path = tmp_path / "predictions.jsonl"
    write_samples(path, samples_of("qa", [("yes",), ("no",)], ["yes", "no"]))
    lines = path.read_text().splitlines()
    whole = json.loads(lines[1])
    wrong = {
        "patients": None,
        "predictions": ["yes"],
        "question_type": None,
        "question": 3,
        "answers": [1],
        "template_id": "1",
        "probabilities": {"with_ecg": "0.5"},
        "extra": 1,
    }
    others = [json.dumps(whole | {key: value}) for key, value in wrong.items()]
    fewer = json.dumps(whole | {"predictions": {"with_ecg": "no"}})
    for damaged in (lines[1][:-5], lines[0], "[]", '{"sample_id": "a"}', "\udcff", fewer, *others):
        path.write_bytes(f"{lines[0]}\n{damaged}\n".encode(errors="surrogateescape"))
        with pytest.raises(UserError, match=r"predictions.jsonl: line 2"):
            read_samples(path)
    with pytest.raises(UserError, match="no such file"):
        check_result(tmp_path / "elsewhere")


def test_an_invalid_result_gives_a_one_line_error(tmp_path):
    write_result(tmp_path, samples_of("qa", [("yes",), ("no",)], ["yes", "no"]), SETTINGS, {})
    result = json.loads((tmp_path / "result.json").read_text())
    settings = [
        result["settings"] | changed for changed in ({"seed": -1}, {"bootstrap_resamples": "x"}, {"metrics": 1})
    ]
    for changed in (
        {"settings": None},
        {"metrics": []},
        {"predictions": []},
        *({"settings": each} for each in settings),
    ):
        (tmp_path / "result.json").write_text(json.dumps(result | changed))
        with pytest.raises(UserError, match=str(tmp_path)):
            check_result(tmp_path)

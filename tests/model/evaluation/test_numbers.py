"""Answers that are numbers are scored by how far off they are, and stay out of exact match."""

import json

import pytest

from cardiolect.data_provider.texts.numbers import NOT_MEASURABLE, NUMBER, QUANTITIES
from cardiolect.model.evaluation.alignment import Evaluated
from cardiolect.model.evaluation.examples import choose
from cardiolect.model.evaluation.page import render_page
from cardiolect.model.evaluation.result import RESULT, check_result, write_result
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.evaluation.scoring import ScoringRules, score
from cardiolect.model.evaluation.tables import scores_table
from tests.helpers.results import SETTINGS, samples_of

RATE, PR = QUANTITIES[:2]


def numbers(quantity, answers, texts, floor="", first_patient=0):
    return [
        Sample(
            f"{quantity.name} {i}",
            (f"r{i}",),
            (first_patient + i,),
            "qa",
            quantity.question,
            (gold,),
            NUMBER,
            template_id=quantity.template_id,
            predictions={"with_ecg": text, "no_ecg": floor},
        )
        for i, (gold, text) in enumerate(zip(answers, texts, strict=True))
    ]


RATES = numbers(RATE, ["72 bpm", "60 bpm", "100 bpm", "80 bpm"], ["73 bpm", "60 bpm", "120 bpm", "fast"], "70 bpm")
PRS = numbers(
    PR, ["160 ms", NOT_MEASURABLE, NOT_MEASURABLE, "200 ms"], ["160 ms", "Not measurable.", "150 ms", NOT_MEASURABLE]
)
RULES = ScoringRules(bootstrap_resamples=50)


def test_a_quantity_has_errors_in_its_unit_and_shares():
    found = score(RATES, RULES)["numbers"]["heart rate"]
    assert (found["n"], found["measurable"], found["unit"], found["within"]) == (4, 4, "bpm", 5)
    with_ecg, no_ecg = found["conditions"]["with_ecg"], found["conditions"]["no_ecg"]
    assert (with_ecg["median_error"], with_ecg["answered"], with_ecg["close"]) == (1, 0.75, 0.5)
    assert (no_ecg["median_error"], no_ecg["answered"], no_ecg["close"]) == (10, 1, 0.25)
    low, high = with_ecg["median_error_ci95"]
    assert 0 <= low <= 1 <= high <= 20 and low < high
    assert with_ecg["sensitivity"] is None and with_ecg["sensitivity_ci95"] is None, "all can be measured"


def test_what_cannot_be_measured_should_be_called_so():
    with_ecg = score(PRS, RULES)["numbers"]["pr interval"]["conditions"]["with_ecg"]
    assert (with_ecg["sensitivity"], with_ecg["specificity"], with_ecg["close"]) == (0.5, 0.5, 0.5)
    assert with_ecg["median_error"] == 0, "over what is answered with a number and has one"


def test_another_unit_and_an_unknown_quantity_do_not_count():
    wrong_unit = numbers(RATE, ["72 bpm"], ["72 ms"])
    unreadable = numbers(PR, ["about 160"], ["160 ms"])
    result = score([*wrong_unit, *unreadable], RULES)
    assert result["numbers"]["heart rate"]["conditions"]["with_ecg"]["answered"] == 0
    assert result["numbers_left_out"] == 1 and list(result["numbers"]) == ["heart rate"]
    assert "1 more ask for no known quantity" in scores_table(result)


def test_exact_match_gap_and_groups_are_those_of_the_other_questions():
    others = samples_of("qa", [("yes",), ("no",)], ["yes", "yes"])
    alone, together = score(others, RULES), score([*others, *RATES], RULES)
    for key in ("conditions", "gap", "groups", "ci95"):
        assert together[key] == alone[key]
    assert (together["samples"], together["in_exact_match"]) == (6, 2)
    assert score(RATES, RULES)["conditions"]["with_ecg"]["em"] == 0.25, "numbers alone have nothing else"
    assert set(choose([*RATES, *others], "strict", 8, 0)) == {4, 5}


def test_tables_page_and_check_have_the_numbers(tmp_path):
    others = samples_of("qa", [("yes",), ("no",)], ["yes", "yes"])
    result = write_result(tmp_path, [*others, *RATES, *PRS], SETTINGS, {})
    table = (tmp_path / "scores.txt").read_text()
    assert "exact match (2)" in table and "heart rate (4)" in table and "median error, bpm" in table
    assert "heart rate" in render_page(json.loads((tmp_path / RESULT).read_text()))
    assert check_result(tmp_path) == []
    assert len(Evaluated.read(tmp_path).samples) == 2
    result["numbers"]["heart rate"]["conditions"]["with_ecg"]["median_error"] = 0.5
    (tmp_path / RESULT).write_text(json.dumps(result))
    assert any("median_error" in line for line in check_result(tmp_path))


@pytest.mark.parametrize("patients", [1, 2])
def test_one_patient_gives_no_interval(patients):
    asked = numbers(RATE, ["72 bpm", "60 bpm"], ["73 bpm", "60 bpm"])[:patients]
    ends = score(asked, RULES)["numbers"]["heart rate"]["conditions"]["with_ecg"]["median_error_ci95"]
    assert (ends is None) == (patients == 1)

"""The prevalence of findings comes from the label table; calibration and predictive values at it stand beside."""

import csv
from dataclasses import replace

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.model.evaluation.card import model_card
from cardiolect.model.evaluation.page import render_page
from cardiolect.model.evaluation.prevalence import prevalence_in, ranges, shares
from cardiolect.model.evaluation.result import check_result, read_result, rescore, write_result
from cardiolect.model.evaluation.tables import scores_table, verify_csv, verify_table
from cardiolect.utils.errors import UserError
from tests.helpers.results import SETTINGS, samples_of

AF = "Does this ECG show symptoms of atrial fibrillation?"
DRIFT = "Does this ECG show baseline drift?"
UNKNOWN = "Does this ECG show a unicorn?"


def test_prevalence_is_counted_in_the_label_table(corpus):
    found = prevalence_in([corpus], [AF, DRIFT, UNKNOWN])
    with (corpus / DATABASE_NAME).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert found["recordings"] == len(rows) and set(found["questions"]) == {AF, DRIFT}
    assert found["questions"][AF]["yes"] == sum("'AFIB'" in row["scp_codes"] for row in rows)
    assert found["questions"][DRIFT] == {
        "yes": sum(bool(row["baseline_drift"].strip()) for row in rows),
        "of": len(rows),
        "open": 0,
    }
    assert found["simulated"] == len(rows)
    assert shares(found)[DRIFT] == found["questions"][DRIFT]["yes"] / len(rows)


def test_tables_without_columns_or_with_unreadable_labels(tmp_path, corpus):
    assert prevalence_in([tmp_path], [AF]) == {"recordings": 0, "simulated": 0, "questions": {}}
    assert shares(None) == ranges(None) == {}
    header, first, *_ = (corpus / DATABASE_NAME).read_text().splitlines()
    rows = list(csv.DictReader([header, first]))
    fewer = [column for column in rows[0] if column != "baseline_drift"]
    with (tmp_path / DATABASE_NAME).open("w", newline="") as file:
        writer = csv.DictWriter(file, fewer, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert set(prevalence_in([tmp_path], [AF, DRIFT])["questions"]) <= {AF}
    with (tmp_path / DATABASE_NAME).open("a") as file:
        csv.DictWriter(file, fewer, extrasaction="ignore").writerow(rows[0] | {"scp_codes": "{'AFIB': "})
    with pytest.raises(UserError, match="line 3: labels cannot be read"):
        prevalence_in([tmp_path], [AF])


@pytest.fixture
def balanced():
    """20 patients with AF and 20 without; a model that finds 18 of the 20, and calls 4 of the others, surely."""
    gold = [("yes",)] * 20 + [("no",)] * 20
    said = ["yes"] * 18 + ["no"] * 2 + ["no"] * 16 + ["yes"] * 4
    samples = samples_of("qa", gold, said)
    return [replace(s, question=AF, question_type="single-verify", probabilities={"with_ecg": 0.85}) for s in samples]


def test_calibration_and_predictive_values_at_the_prevalence_stand_beside_the_balanced_mix(tmp_path, balanced):
    prevalence = {"recordings": 1000, "questions": {AF: {"yes": 70, "of": 1000}}}
    write_result(tmp_path, balanced, SETTINGS, {"prevalence": prevalence})
    result, _ = read_result(tmp_path)
    assert check_result(tmp_path) == []
    row = result["verify"]["with_ecg"][AF]
    assert (row["sensitivity"], row["specificity"]) == (0.9, 0.8)
    assert row["ppv"] == pytest.approx(0.9 / 1.1)
    assert row["ppv_at_prevalence"] == pytest.approx(0.07 * 0.9 / (0.07 * 0.9 + 0.93 * 0.2))
    asked, there = (result[key]["with_ecg"] for key in ("calibration_of_same", "calibration_at_prevalence"))
    assert asked["accuracy"] == 0.85 and asked["ece"] == pytest.approx(0, abs=1e-9)
    assert there["accuracy"] == pytest.approx(0.07 * 0.9 + 0.93 * 0.8) and there["ece"] == pytest.approx(0.043)
    page, table = render_page(result), scores_table(result)
    for text in (page, table, model_card({}, True, [result])):
        words = " ".join(text.split())
        assert "Yes is the right answer in 50 % of these samples" in words and "by design" in words
        assert "--unbalanced" in words and "1000 recordings in its label table) yes is right in 7.0 %" in words
    assert "at the data set&#39;s prevalence" in page and "PPV there" in page
    assert "prevalence" in verify_csv(result).splitlines()[0]
    assert rescore(tmp_path, "heartllm")["verify"]["with_ecg"][AF]["prevalence"] == 0.07


def test_an_unknown_prevalence_is_said(tmp_path, balanced):
    write_result(tmp_path, balanced, SETTINGS, {})
    result, _ = read_result(tmp_path)
    assert "calibration_at_prevalence" not in result and "prevalence" not in result["verify"]["with_ecg"][AF]
    for text in (render_page(result), scores_table(result)):
        assert "How common the findings are in the data set is not known" in " ".join(text.split())


LVH = "Does this ECG show symptoms of left ventricular hypertrophy?"
IMI = "Does this ECG show symptoms of myocardial infarction in inferior leads?"


def test_open_recordings_make_the_prevalence_a_range(shared_data):
    """Stated in 5 %, possible in more: 5 % is the least, and among the answered recordings only."""
    with (shared_data / "ptb-xl-labels" / DATABASE_NAME).open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = prevalence_in([shared_data / "ptb-xl-labels"], [IMI, LVH])
    for text, code in ((IMI, "'IMI'"), (LVH, "'LVH'")):
        each = found["questions"][text]
        assert each["of"] + each["open"] == found["recordings"] == len(rows) == 21799 and found["simulated"] == 0
        low, high = ranges(found)[text]
        written = sum(code in row["scp_codes"] for row in rows) / len(rows)
        assert (low, high) == (each["yes"] / 21799, (each["yes"] + each["open"]) / 21799)
        assert low < written <= high


@pytest.mark.parametrize(("open_", "known"), [(0, True), (100, True), (101, False), (600, False)])
def test_a_share_stands_for_all_recordings_only_if_at_most_a_tenth_is_open(open_, known):
    found = {"recordings": 1000, "questions": {AF: {"yes": 90, "of": 1000 - open_, "open": open_}}}
    assert shares(found) == ({AF: 90 / (1000 - open_)} if known else {})
    assert ranges(found) == {AF: (0.09, (90 + open_) / 1000)}
    del found["questions"][AF]["open"]  # results of earlier releases
    assert ranges(found) == {AF: (0.09, (90 + open_) / 1000)} and bool(shares(found)) == known


def test_without_a_known_prevalence_there_are_no_predictive_values_at_it_but_its_range(tmp_path, balanced):
    given = {"recordings": 1000, "simulated": 0, "questions": {AF: {"yes": 50, "of": 400, "open": 600}}}
    write_result(tmp_path, balanced, SETTINGS, {"prevalence": given})
    result, _ = read_result(tmp_path)
    row = result["verify"]["with_ecg"][AF]
    assert "ppv_at_prevalence" not in row and "prevalence" not in row and "calibration_at_prevalence" not in result
    for text in (render_page(result), scores_table(result)):
        words = " ".join(text.split())
        assert "is not known, and predictive values at it are missing" in words
        assert "leave 60.0 % open, so that it lies between 5.0 and 65.0 %" in words
    assert "  (5.0-65.0)" in verify_table(result)


def test_the_prevalence_of_simulated_recordings_is_said_to_be_by_design(tmp_path, balanced):
    given = {"recordings": 100, "simulated": 100, "questions": {AF: {"yes": 10, "of": 100, "open": 0}}}
    write_result(tmp_path, balanced, SETTINGS, {"prevalence": given})
    result, _ = read_result(tmp_path)
    words = " ".join(scores_table(result).split())
    assert "10.0 (10.0-10.0)" in verify_table(result)
    assert "100 of them simulated, whose findings are as common as the simulator makes them by design" in words

"""The prevalence of findings comes from the label table; calibration and predictive values at it stand beside."""

import csv
from dataclasses import replace

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.model.evaluation.card import model_card
from cardiolect.model.evaluation.page import render_page
from cardiolect.model.evaluation.prevalence import prevalence_in, shares
from cardiolect.model.evaluation.result import check_result, read_result, rescore, write_result
from cardiolect.model.evaluation.tables import scores_table, verify_csv
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
    }
    assert shares(found)[DRIFT] == found["questions"][DRIFT]["yes"] / len(rows)


def test_tables_without_columns_or_with_unreadable_labels(tmp_path, corpus):
    assert prevalence_in([tmp_path], [AF]) == {"recordings": 0, "questions": {}} and shares(None) == {}
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

"""Scores by sex, age and device."""

from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.evaluation.subgroups import Subgroups, subgroup_scores, subgroups_table
from cardiolect.utils.metrics import Scores


def example(record: str = "1", background: str = "") -> Example:
    return Example("s", (RecordRef(record, Path(record)),), "qa", "Is it fast?", ("yes",), background=background)


@pytest.mark.parametrize(
    ("background", "sex", "age"),
    [
        ("age 39, sex female", "female", "under 40"),
        ("age 40, sex male, weight 70 kg", "male", "40 to 64"),
        ("age 79.5", "unknown", "65 to 79"),
        ("age over 89, sex male", "male", "80 or over"),
        ("sex female, height 170 cm", "female", "unknown"),
        ("", "unknown", "unknown"),
    ],
)
def test_groups_follow_from_what_the_prompt_says_about_the_patient(background, sex, age):
    assert Subgroups([Path("nowhere")]).of(example(background=background)) == {"sex": sex, "age": age}


def test_the_device_is_that_of_ptb_xls_table(tmp_path):
    (tmp_path / "ptbxl_database.csv").write_text("ecg_id,device\n1,CS-12   E\n2,\n")
    groups = Subgroups([tmp_path])
    assert [groups.of(example(record))["device"] for record in "12"] == ["CS-12 E", "unknown"]


def test_a_comparison_of_two_recordings_is_in_no_group():
    two = Example("s", (RecordRef("1", Path("1")), RecordRef("2", Path("2"))), "qa", "What is new?", ("pr interval",))
    assert Subgroups([Path("nowhere")]).of(two) == {}


def test_every_group_has_its_own_score_gap_and_intervals():
    """60 women, of whom the model knows all, and 10 men, of whom it knows none; the floor knows every other one."""
    samples = [
        Sample(str(i), (str(i),), (i,), "qa", "?", ("yes",), subgroups={"sex": "female" if i < 60 else "male"})
        for i in range(70)
    ]
    scored = {
        "with_ecg": Scores.per_sample({"em": [float(i < 60) for i in range(70)]}),
        "no_ecg": Scores.per_sample({"em": [float(i % 2) for i in range(70)]}),
        "reversed_leads": Scores.per_sample({"em": np.ones(70)}),  # not a floor
    }
    found = subgroup_scores(samples, "em", scored, 100, 0)
    women, men = (found["kinds"]["sex"][sex] for sex in ("female", "male"))
    assert (women["n"], women["patients"], women["values"]["with_ecg"], women["gap"]) == (60, 60, 1.0, 0.5)
    assert women["ci95"] == [1.0, 1.0] and women["gap_ci95"][0] < 0.5 < women["gap_ci95"][1]
    assert (men["n"], men["values"]["with_ecg"], men["gap"]) == (10, 0.0, -0.5)
    assert "ci95" not in men and "gap_ci95" not in men  # too few
    table = subgroups_table({"subgroups": found, "conditions": scored})
    assert "exact match by sex" in table and "female (60)" in table and "male (10)" in table


def test_samples_without_groups_have_no_subgroups():
    samples = [Sample("1", ("1",), (1,), "qa", "?", ("yes",))]
    scored = {"with_ecg": Scores.per_sample({"em": [1.0]})}
    assert subgroup_scores(samples, "em", scored, 100, 0) == {}
    assert subgroups_table({"conditions": scored}) == ""

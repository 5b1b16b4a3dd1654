"""Questions derived from PTB-XL's labels say no more than the labels do."""

import csv

import pytest

from cardiolect.data_provider.ecgqa.derived import derive
from cardiolect.data_provider.ecgqa.labels import any_extrasystole, extrasystoles, has_extrasystole, noisy_leads, stages
from cardiolect.data_provider.record import LEADS


def row(codes, axis="MID", **columns):
    names = (
        "baseline_drift",
        "static_noise",
        "burst_noise",
        "electrodes_problems",
        "extra_beats",
        "pacemaker",
        "infarction_stadium1",
        "infarction_stadium2",
    )
    empty = dict.fromkeys(names, "")
    return {"ecg_id": "1", "scp_codes": str(codes), "heart_axis": axis, **empty, **columns}


def test_derived_questions_deny_nothing_that_a_label_leaves_open():
    infarct_elsewhere = row({"ILMI": 100.0, "SR": 0.0})
    unsure = row({"IMI": 35.0, "SR": 0.0})
    sure, normal = row({"IMI": 100.0, "SR": 0.0}), row({"NORM": 100.0, "SR": 0.0})
    rows = [{**r, "ecg_id": str(i)} for i, r in enumerate([infarct_elsewhere, unsure, *[sure] * 4, *[normal] * 4])]
    asked = [q for q in derive(rows, seed=0) if q["question"].endswith("myocardial infarction in inferior leads?")]
    answers = {q["ecg_id"][0]: q["answer"] for q in asked}
    assert answers and not {0, 1} & set(answers)
    assert all(answers[i] == (["yes"] if i < 6 else ["no"]) for i in answers)


@pytest.mark.parametrize(
    ("cell", "leads"),
    [
        ("", set()),
        (" , alles,  ", set(LEADS)),
        (" , I-AVR,  ", {"I", "II", "III", "aVR"}),
        ("V2,3", {"V2", "V3"}),
        ("I,II,AVR,AVL.AVF,V1", {"I", "II", "aVR", "aVL", "aVF", "V1"}),
        (" , leicht,  ", None),
        ("I-V9", None),
    ],
)
def test_leads_of_a_noise_are_read_as_ptbxl_writes_them(cell, leads):
    assert noisy_leads(cell) == leads


def test_stages_and_extrasystoles_that_the_labels_leave_open_are_not_asked_about():
    rows = [
        row(
            {"SR": 0.0, **({"IMI": 100.0} if stage else {}), **({"PVC": 100.0} if beats else {})},
            infarction_stadium1=stage,
            extra_beats=beats,
        )
        for stage, beats in [("Stadium III", "VES"), ("Stadium II-III", "1ES"), ("", ""), ("unknown", "bigeminy?")] * 3
    ]
    asked = derive([{**r, "ecg_id": str(i)} for i, r in enumerate(rows)], seed=0, balance=False)

    def said(question: str) -> dict[int, str]:
        return {q["ecg_id"][0] % 4: q["answer"][0] for q in asked if q["question"] == question}

    assert said("What stage of myocardial infarction does this ECG show?") == {
        0: "old stage of myocardial infarction",
        2: "none of myocardial infarction",
    }
    assert said("What kinds of extra systoles does this ECG show?") == {
        0: "ventricular extrasystoles",
        1: "extrasystoles",
        2: "none",
    }
    assert said("Does this ECG show ventricular extrasystoles?") == {0: "yes", 2: "no"}
    assert said("Does this ECG show old stage of myocardial infarction?") == {0: "yes", 2: "no"}  # unknown: open
    assert not [q for q in asked if q["question"] == "Does this ECG show unknown stage of myocardial infarction?"]


def test_labels_that_contradict_an_empty_cell_leave_it_open():
    """PTB-XL states PVC and PAC beside an empty extra_beats, and infarcts of low likelihood beside a stage."""
    beats = row({"SR": 0.0, "PVC": 0.0})
    doubtful = row({"SR": 0.0, "IMI": 15.0}, infarction_stadium1="Stadium III")
    unstaged = row({"SR": 0.0, "IMI": 100.0})
    assert (
        extrasystoles(beats) is has_extrasystole(beats, "ventricular extrasystoles") is any_extrasystole(beats) is None
    )
    assert stages(doubtful) is stages(unstaged) is None
    assert any_extrasystole(row({"PVC": 0.0}, extra_beats="bigeminy?")) is True


def test_derived_answers_are_ecg_qas_own(shared_data):
    """Every answer to a question of a template stands in the template's published list."""
    with open(shared_data / "ptb-xl/ptbxl_database.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(shared_data / "ecg-qa/ecgqa/ptbxl/answers_for_each_template.csv", newline="") as file:
        lists = {int(r["template_id"]): r["classes"] for r in csv.DictReader(file)}
    asked = derive(rows, seed=0)
    assert len(asked) > 2000
    for question in asked:
        assert all(f"'{answer}'" in lists[question["template_id"]] for answer in question["answer"]), question


def test_questions_with_one_answer_are_asked_only_if_that_is_wanted():
    rows = [{**row({"NORM": 100.0, "SR": 0.0}), "ecg_id": str(i)} for i in range(4)]
    assert not derive(rows, seed=0, balance=False) and not derive(rows, seed=0, keep_alike=True)
    asked = {item["question"]: item["answer"] for item in derive(rows, seed=0, balance=False, keep_alike=True)}
    assert asked["Does this ECG show symptoms of sinus rhythm?"] == ["yes"]
    assert asked["Does this ECG show symptoms of atrial fibrillation?"] == ["no"]

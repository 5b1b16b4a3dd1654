"""Questions derived from PTB-XL's labels say no more than the labels do."""

from data_provider.derived_questions import derive


def row(codes, axis="MID", **columns):
    empty = dict.fromkeys(("baseline_drift", "static_noise", "burst_noise", "electrodes_problems", "extra_beats"), "")
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

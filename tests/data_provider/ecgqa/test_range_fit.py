"""Normal ranges are those that ECG-QA's published comparisons support."""

import numpy as np
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.ecgqa.range_fit import (
    TRAIN_FOLDS,
    agreement,
    fit,
    main,
    measure_all,
    read_comparisons,
    states,
    value_of,
)
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, TEXTBOOK_RANGES_MS, WITHIN, range_of
from cardiolect.utils.errors import UserError


def _row(template: int, first: int, second: int, *answer: str) -> dict:
    return {"template_id": template, "ecg_id": [first, second], "answer": list(answer)}


def test_states_follow_from_what_is_named_and_from_what_is_not():
    """4 did not stay abnormal as 1 is, 5 did not become abnormal as 2 is not: both are normal."""
    known = states([_row(68, 1, 2, "rr interval"), _row(70, 1, 4, "none"), _row(69, 2, 5, "none")])
    assert known["rr interval"] == {1: True, 2: False, 4: False, 5: False}
    assert known["qt interval"] == {}


def test_comparisons_that_contradict_each_other_are_an_error():
    with pytest.raises(UserError, match=r"ecg_id 2: .*rr interval"):
        states([_row(68, 1, 2, "rr interval"), _row(70, 2, 3, "rr interval")])


def test_a_planted_range_is_found_despite_noise():
    rng = np.random.default_rng(0)
    values = rng.normal(370, 50, 400)
    true = values + rng.normal(0, 10, 400)
    abnormal = ((true < 320) | (true > 410)) ^ (rng.random(400) < 0.05)
    found = fit("qt interval", values, abnormal)
    assert found.low[0] <= 320 <= found.low[1] and found.high[0] <= 410 <= found.high[1]
    assert found.low[1] - found.low[0] <= 30 and found.high[1] - found.high[0] <= 30


def test_qt_of_330_ms_is_normal_and_the_ranges_are_those_that_the_published_answers_support(shared_data):
    assert range_of("qt interval", 330) == WITHIN
    known = states(read_comparisons([shared_data / "ecg-qa"]))
    database = load_database(shared_data / "ptb-xl")
    features = ("rr interval", "qt interval", "qt corrected")
    ids = {ecg for feature in features for ecg in known[feature] if str(ecg) in database}
    refs = {ecg: database[str(ecg)] for ecg in ids if database[str(ecg)].fold in TRAIN_FOLDS}
    found = measure_all(refs)
    for feature in features:
        members = [ecg for ecg in known[feature] if ecg in found and not np.isnan(value_of(found[ecg], feature))]
        values = np.array([value_of(found[ecg], feature) for ecg in members])
        abnormal = np.array([known[feature][ecg] for ecg in members])
        now, textbook = (
            agreement(values, abnormal, ranges[feature]) for ranges in (NORMAL_RANGES_MS, TEXTBOOK_RANGES_MS)
        )
        assert len(members) > 80
        if feature == "rr interval":
            fitted = fit(feature, values, abnormal)
            assert now > 0.95 and fitted.low[0] <= 600 <= fitted.low[1] and fitted.high[0] <= 1000 <= fitted.high[1]
        else:
            assert now > textbook + 0.1, (feature, now, textbook)


def test_a_folder_without_comparisons_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--questions .*no JSON files in a folder named template"):
        main(["--questions", str(tmp_path), "--recordings", str(tmp_path)])

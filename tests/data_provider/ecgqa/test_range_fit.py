"""Normal ranges are those that ECG-QA's published comparisons support."""

import numpy as np
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.ecgqa.range_fit import (
    TRAIN_FOLDS,
    Fit,
    fit,
    main,
    measure_all,
    range_used,
    read_comparisons,
    states,
    states_and_values,
)
from cardiolect.data_provider.ecgqa.ranges import FEATURES, NORMAL_RANGES_MS, TEXTBOOK_RANGES_MS, WITHIN, range_of
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


def test_an_end_that_is_not_supported_becomes_the_nearest_supported_one():
    assert Fit((30, 65), (100, 105)).nearest((80, 120)) == (65, 105)
    assert Fit((290, 310), (380, 390)).nearest((350, 440)) == (310, 390)
    assert Fit((590, 620), (990, 1010)).nearest((600, 1000)) == (600, 1000)
    assert Fit((70, 90), (130, 140)).nearest((60, 120)) == (70, 130)


def test_answers_that_do_not_follow_from_an_interval_keep_the_textbooks_range():
    rng = np.random.default_rng(1)
    values = rng.normal(160, 30, 150)
    assert range_used("pr interval", values, rng.random(150) < 0.5) == TEXTBOOK_RANGES_MS["pr interval"]
    assert range_used("pr interval", values, (values < 150) | (values > 180)) == (150, 180)


def test_the_ranges_are_those_that_the_published_answers_support(shared_data):
    assert range_of("qt interval", 330) == WITHIN
    known = states(read_comparisons([shared_data / "ecg-qa", shared_data / "ecg-qa-more"]))
    database = load_database(shared_data / "ptb-xl-reconstructed") | load_database(shared_data / "ptb-xl")
    ids = {str(ecg) for feature in FEATURES for ecg in known[feature]} & database.keys()
    found = measure_all({int(ecg): database[ecg] for ecg in ids if database[ecg].fold in TRAIN_FOLDS})
    for feature in FEATURES:
        members, values, abnormal = states_and_values(known, found, feature)
        assert len(members) > 140
        assert range_used(feature, values, abnormal) == NORMAL_RANGES_MS[feature], feature


def test_a_folder_without_comparisons_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--questions .*no JSON files in a folder named template"):
        main(["--questions", str(tmp_path), "--recordings", str(tmp_path)])

"""Recordings of the same person are found if features tell people apart, and not more often than by chance if not."""

import numpy as np
import pytest

from cardiolect.ecg_tokenizer.probe.identification import identify, too_few
from cardiolect.ecg_tokenizer.probe.table import identification_table


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    patients = np.array([*np.repeat(np.arange(40), 2), *range(40, 200)])
    people = rng.normal(size=(200, 30))[patients]
    features = {
        "noise": rng.normal(size=people.shape),
        "person": people + 0.1 * rng.normal(size=people.shape),
        "hint": people + 1.2 * rng.normal(size=people.shape),
    }
    return identify(features, patients)


def test_people_are_recognised_by_features_that_are_theirs(found):
    assert (found["recordings"], found["patients"], found["pairs"]) == (240, 40, 40)
    sure, hint, noise = (found[kind] for kind in ("person", "hint", "noise"))
    assert sure["rank_1"] == 1 and sure["auroc"] == 1 and sure["eer"] == 0
    assert 0.1 < hint["rank_1"] < 0.9 and 0.8 < hint["auroc"] < 1 and 0.05 < hint["eer"] < 0.3
    assert noise["rank_1"] < 0.1
    for name in ("auroc", "eer"):
        assert noise[f"{name}_ci95"][0] < 0.5 < noise[f"{name}_ci95"][1]
        assert hint[f"{name}_ci95"][0] < hint[name] < hint[f"{name}_ci95"][1]
    assert found["chance"]["rank_1"] == pytest.approx(1 / 239)


def test_the_table_begins_with_chance(found):
    lines = identification_table(found).strip().splitlines()
    assert lines[0].startswith("same person? 40 pairs of recordings of 40 patients, among 240")
    assert lines[2].split() == ["chance", "0.4", "50.0", "50.0"] and lines[4].startswith("person")


def test_too_few_people_with_several_recordings_are_counted():
    assert too_few(["a", "a", "b"]).startswith("1 of 2 patients have several recordings")
    assert too_few(list("aabbccddee")) == ""

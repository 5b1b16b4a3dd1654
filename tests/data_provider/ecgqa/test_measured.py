"""Measurements of recordings, and the questions about them."""

import json

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa import measured
from cardiolect.data_provider.ecgqa.ranges import FEATURES
from cardiolect.data_provider.simulator.corpus import Variety, write_corpus
from cardiolect.data_provider.texts.measurements import load_measurements
from cardiolect.data_provider.texts.numbers import BY_TEMPLATE, NOT_MEASURABLE, QUANTITIES, value_of
from cardiolect.utils.errors import UserError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured") / "corpus"
    write_corpus(folder, 60, 3, workers=1, variety=Variety())
    return folder


def asked(folder) -> dict[tuple[int, str], str]:
    rows = [row for split in ("train", "valid", "test") for row in json.loads((folder / f"{split}.json").read_text())]
    return {(row["ecg_id"][0], *row["attribute"]): row["answer"][0] for row in rows}


def test_true_values_are_asked_about_and_agree_with_measurements_of_the_signal(corpus, tmp_path):
    folds = ["--train-folds", "1-8", "--valid-folds", "9", "--test-folds", "10"]
    measured.main(["--source", str(corpus), "--out", str(tmp_path / "true"), *folds])
    real = tmp_path / "real"
    real.symlink_to(corpus)
    truth = asked(tmp_path / "true")
    (corpus / "truth.jsonl").rename(corpus / "hidden.jsonl")  # now it is a folder of recordings like any other
    measured.main(["--source", str(real), "--out", str(tmp_path / "by_signal"), *folds])
    (corpus / "hidden.jsonl").rename(corpus / "truth.jsonl")
    found = asked(tmp_path / "by_signal")
    for quantity in QUANTITIES:
        values = [
            [value_of(answers[key], quantity.unit) for answers in (truth, found)]
            for key in truth.keys() & found.keys()
            if key[1] == quantity.name and NOT_MEASURABLE not in (truth[key], found[key])
        ]
        errors = np.abs(np.subtract(*np.array(values).T))
        assert len(errors) > 20 and np.median(errors) <= quantity.close, quantity.name
    no_p = {key for key, answer in truth.items() if answer == NOT_MEASURABLE}
    assert no_p and {name for _, name in no_p} == {"pr interval"}
    assert no_p == {key for key, answer in found.items() if answer == NOT_MEASURABLE}


def test_the_table_has_what_is_known_by_the_columns_of_the_simulator(corpus, tmp_path):
    measured.main(["--source", str(corpus), "--out", str(tmp_path / "out")])
    columns = [feature.replace(" ", "_") for feature in FEATURES]
    made, found = (load_measurements(path / measured.MEASUREMENTS, columns) for path in (corpus, tmp_path / "out"))
    assert made.keys() == found.keys()
    for record, values in made.items():
        np.testing.assert_allclose(found[record], values, atol=0.06)


def test_nothing_is_asked_of_values_that_are_not_known():
    nothing = float("nan")
    rows = measured.questions_about(7, {"heart rate": 71.6, "pr interval": nothing, "axis": -31.0}, ["CRBBB"])
    assert [(row["attribute"], row["answer"]) for row in rows] == [(["heart rate"], ["72 bpm"])]
    assert measured.questions_about(7, {}, ["AFIB"])[0]["answer"] == [NOT_MEASURABLE]


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("72 bpm", "bpm", 72.0),
        (" 72 BPM. ", "bpm", 72.0),
        ("-30 degrees", "degrees", -30.0),
        ("72 ms", "bpm", None),
        ("about 72 bpm", "bpm", None),
        ("72", "bpm", None),
        (NOT_MEASURABLE, "ms", None),
        ("60 bpm or 72 bpm", "bpm", None),
    ],
)
def test_only_a_number_with_its_unit_is_a_value(text, unit, value):
    assert value_of(text, unit) == value


def test_every_quantity_reads_its_own_answers():
    for number, quantity in BY_TEMPLATE.items():
        assert quantity.template_id == number > 70
        assert value_of(quantity.answer(-47.0), quantity.unit) == pytest.approx(-47, abs=quantity.step / 2)


def test_folds_of_two_splits_must_differ(corpus, tmp_path):
    with pytest.raises(UserError, match="fold 8 is in both --train-folds and --valid-folds"):
        measured.main(["--source", str(corpus), "--out", str(tmp_path / "out"), "--train-folds", "1-8"])


def test_rare_values_can_be_asked_about_as_often_as_common_ones(corpus, tmp_path):
    given = ["--source", str(corpus), "--train-folds", "1-8", "--valid-folds", "9", "--test-folds", "10"]
    measured.main([*given, "--out", str(tmp_path / "all")])
    measured.main([*given, "--out", str(tmp_path / "even"), "--same-answer", "1"])
    for split in ("train", "valid", "test"):
        everything, even = (
            [
                (row["attribute"][0], row["answer"][0])
                for row in json.loads((tmp_path / part / f"{split}.json").read_text())
            ]
            for part in ("all", "even")
        )
        assert sorted(even) == sorted(set(everything))
    assert len(even) < len(everything)

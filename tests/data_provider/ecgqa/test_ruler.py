"""What is measured, in words for people."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa import ruler
from cardiolect.data_provider.ecgqa.intervals import delineate, measure_halves
from cardiolect.data_provider.ecgqa.ruler import measured_in_words, measured_otherwise
from cardiolect.data_provider.readers import read_record


@pytest.fixture(scope="module")
def normal(shared_data):
    return read_record(shared_data / "ptb-xl/records500/00000/00001_hr")


def test_a_real_recording_is_measured(normal):
    words = measured_in_words(normal)
    pattern = r"rate (\d+) bpm, PR (\d+) ms, QRS (\d+) ms, QT (\d+) ms, QTc (\d+) ms, axis (-?\d+) degrees"
    assert [int(value) for value in re.fullmatch(pattern, words).groups()] == pytest.approx(
        [64, 150, 95, 380, 390, 50], abs=45
    )


def test_values_that_odd_and_even_beats_do_not_share_are_uncertain(normal, monkeypatch):
    found = delineate(normal.signal, normal.fs)
    one, other = measure_halves(found)
    assert abs(one.qrs - other.qrs) <= 15 and "uncertain" not in measured_in_words(normal)

    def halves(**changed: float) -> None:
        whole = found.intervals
        monkeypatch.setattr(ruler, "measure_halves", lambda _: [whole, replace(whole, **changed)])

    halves(qrs=found.intervals.qrs + 20)
    assert re.findall(r"(\w+) -?\d+ \w+ \(uncertain\)", measured_in_words(normal)) == ["QRS"]
    halves(axis=found.intervals.axis + 350)  # the other way round the circle: 10 degrees
    assert "uncertain" not in measured_in_words(normal)
    halves(qt=math.nan)
    assert re.findall(r"(\w+) -?\d+ \w+ \(uncertain\)", measured_in_words(normal)) == ["QT", "QTc"]


def test_what_cannot_be_measured_is_said(normal):
    flat = replace(normal, signal=np.zeros_like(normal.signal))
    assert measured_in_words(flat) == "fewer than three beats found, so nothing can be measured"


@pytest.mark.parametrize(
    ("question", "answer", "line"),
    [
        ("What is the heart rate?", "{rate} bpm", None),
        ("What is the heart rate?", "124 bpm", "measured on the signal: {rate} bpm"),
        ("What is the heart rate?", "not measurable", "measured on the signal: {rate} bpm"),
        ("Does this ECG show sinus rhythm?", "124 bpm", None),
    ],
)
def test_an_answer_that_differs_from_what_is_measured_is_followed_by_it(normal, question, answer, line):
    rate = re.search(r"rate (\d+) bpm", measured_in_words(normal))[1]
    assert measured_otherwise(normal, question, answer.format(rate=rate)) == ([line.format(rate=rate)] if line else [])


AXIS_LABEL = "; PTB-XL's label for a left axis begins near 0 degrees"


@pytest.mark.parametrize(
    ("degrees", "question", "answer", "line"),
    [
        (-20, "Does this ECG show left axis deviation?", "yes", f"axis -20 degrees; -30 to 90 is normal{AXIS_LABEL}"),
        (
            -20,
            "What direction is this ECG deviated to?",
            "left axis deviation",
            f"axis -20 degrees; -30 to 90 is normal{AXIS_LABEL}",
        ),
        (-20, "Does this ECG show left axis deviation?", "no", None),
        (-28, "Does this ECG show left axis deviation?", "yes", None),
        (-60, "Does this ECG show left axis deviation?", "no", "axis -60 degrees; -30 to 90 is normal"),
        (-60, "Does this ECG show normal heart axis?", "yes", "axis -60 degrees; -30 to 90 is normal"),
        (-60, "Does this ECG show right axis deviation?", "no", None),
        (120, "What direction is this ECG deviated to?", "right axis deviation", None),
        (
            120,
            "Which cardiac axis does this ECG show, normal heart axis or left axis deviation?",
            "normal heart axis",
            "axis 120 degrees; -30 to 90 is normal",
        ),
        (
            -120,
            "What direction is this ECG deviated to?",
            "left axis deviation",
            "axis -120 degrees; -30 to 90 is normal",
        ),
        (178, "What direction is this ECG deviated to?", "right axis deviation", None),
        (-178, "What direction is this ECG deviated to?", "right axis deviation", None),
        (-93, "What direction is this ECG deviated to?", "left axis deviation", None),
        (math.nan, "Does this ECG show left axis deviation?", "yes", None),
        (-60, "Does this ECG show symptoms of atrial fibrillation?", "yes", None),
    ],
)
def test_an_axis_that_differs_from_the_measured_one_is_followed_by_it(
    normal, monkeypatch, degrees, question, answer, line
):
    found = delineate(normal.signal, normal.fs)
    turned = replace(found, intervals=replace(found.intervals, axis=degrees))
    monkeypatch.setattr(ruler, "delineate", lambda *_: turned)
    assert measured_otherwise(normal, question, answer) == ([f"measured on the signal: {line}"] if line else [])


@pytest.mark.parametrize(
    ("values", "finding", "answer", "line"),
    [
        ({"qrs": 65.0}, "complete right bundle branch block", "yes", "QRS 65 ms"),
        ({"qrs": 120.0}, "complete right bundle branch block", "yes", None),
        ({"qrs": 150.0}, "complete right bundle branch block", "no", None),
        ({"mean_rr": 1463.0}, "sinus bradycardia", "no", "rate 41 bpm"),
        ({"mean_rr": 1463.0, "pr": math.nan}, "sinus bradycardia", "no", None),
        ({"mean_rr": 800.0}, "sinus bradycardia", "yes", "rate 75 bpm"),
        ({"mean_rr": 500.0}, "sinus tachycardia", "no", "rate 120 bpm"),
        ({"pr": 240.0}, "first degree av block", "no", "PR 240 ms"),
        ({"pr": 200.0}, "first degree av block", "no", None),
        ({"pr": 150.0}, "first degree av block", "yes", "PR 150 ms"),
    ],
)
def test_a_finding_that_the_measured_values_rule_out_or_imply_is_followed_by_them(
    normal, monkeypatch, values, finding, answer, line
):
    found = delineate(normal.signal, normal.fs)
    changed = replace(found, intervals=replace(found.intervals, **values))
    monkeypatch.setattr(ruler, "delineate", lambda *_: changed)
    expected = [f"measured on the signal: {line}"] if line else []
    assert measured_otherwise(normal, f"Does this ECG show symptoms of {finding}?", answer) == expected
    said = measured_otherwise(normal, "Report", f"{finding}.", report=True)
    assert said == (expected if answer == "yes" else []), "a report denies nothing that it leaves out"


def test_the_axis_of_a_report_is_compared_with_the_measured_one(normal, monkeypatch):
    found = delineate(normal.signal, normal.fs)
    turned = replace(found, intervals=replace(found.intervals, axis=-20.0))
    monkeypatch.setattr(ruler, "delineate", lambda *_: turned)
    for report, said in (
        ("Sinus rhythm. Marked left axis deviation.", 1),
        ("Normal axis.", 0),
        ("Normal ECG.", 0),
        ("No left axis deviation.", 0),
    ):
        assert len(measured_otherwise(normal, "Report", report, report=True)) == said


def test_an_interval_without_p_waves_is_no_number(normal, monkeypatch):
    found = delineate(normal.signal, normal.fs)
    without = replace(found, intervals=replace(found.intervals, pr=math.nan))
    monkeypatch.setattr(ruler, "delineate", lambda *_: without)
    question = "How long is the PR interval?"
    assert measured_otherwise(normal, question, "160 ms") == ["measured on the signal: not measurable"]
    assert measured_otherwise(normal, question, "not measurable") == []
    monkeypatch.setattr(ruler, "delineate", lambda *_: None)
    assert measured_otherwise(normal, question, "160 ms") == []

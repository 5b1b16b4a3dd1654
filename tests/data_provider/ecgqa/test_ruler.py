"""What is measured, in words for people."""

import re
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.data_provider.ecgqa.intervals import delineate, measure_halves
from cardiolect.data_provider.ecgqa.ruler import measured_in_words
from cardiolect.data_provider.readers import read_record


@pytest.fixture(scope="module")
def normal(shared_data):
    return read_record(shared_data / "ptb-xl/records500/00000/00001_hr")


@pytest.fixture(scope="module")
def fibrillation(shared_data):
    return read_record(shared_data / "ptb-xl/records500/00000/00017_hr")


def test_a_real_recording_is_measured(normal):
    words = measured_in_words(normal)
    pattern = r"rate (\d+) bpm, PR (\d+) ms, QRS (\d+) ms, QT (\d+) ms, QTc (\d+) ms, axis (-?\d+) degrees"
    assert [int(value) for value in re.fullmatch(pattern, words).groups()] == pytest.approx(
        [64, 150, 95, 380, 390, 50], abs=45
    )


def test_values_that_odd_and_even_beats_do_not_share_are_uncertain(normal):
    found = delineate(normal.signal, normal.fs)
    one, other = measure_halves(found)
    assert abs(one.qrs - other.qrs) <= 15 and "uncertain" not in measured_in_words(normal)
    rng = np.random.default_rng(0)
    noisy = replace(normal, signal=(normal.signal + rng.normal(0, 0.25, normal.signal.shape)).astype(np.float32))
    assert "(uncertain)" in measured_in_words(noisy) or "not measurable" in measured_in_words(noisy)


def test_what_cannot_be_measured_is_said(normal):
    flat = replace(normal, signal=np.zeros_like(normal.signal))
    assert measured_in_words(flat) == "fewer than three beats found, so nothing can be measured"

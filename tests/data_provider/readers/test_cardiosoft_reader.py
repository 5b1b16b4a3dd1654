"""GE CardioSoft: the strip, at the resolution that the file states."""

from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.readers import FileError
from cardiolect.data_provider.readers.channels import Channels
from cardiolect.data_provider.readers.xml_reader import read
from cardiolect.data_provider.record import LEADS
from tests.helpers.xml_files import cardiosoft, cardiosoft_strip, simulated


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulated()


def channels(folder: Path, *strips: str, more: str = "") -> Channels:
    (folder / "ecg.xml").write_text(f'<?xml version="1.0" encoding="ISO-8859-1"?>\n{cardiosoft(*strips, more=more)}')
    return read(folder / "ecg.xml")


def assert_whole(found: Channels, ecg: np.ndarray) -> None:
    assert found.fs == 500
    np.testing.assert_allclose(np.stack([found.leads[lead] for lead in LEADS]), ecg, atol=0.00251)


def test_the_strip_is_read_and_the_median_beat_left_out(ecg, tmp_path):
    median = cardiosoft_strip(ecg[:, :600], tag="MedianSamples")
    found = channels(tmp_path, cardiosoft_strip(ecg), more=f"<RestingECGMeasurements>{median}</RestingECGMeasurements>")
    assert_whole(found, ecg)
    assert found.kind == "GE CardioSoft XML V6.73" and found.scales["V1"] == "5 uV" and not found.notes


def test_a_strip_inside_another_element_and_a_comma_at_its_end(ecg, tmp_path):
    strip = cardiosoft_strip(ecg).replace("\n\t</WaveformData>", ",\n</WaveformData>")
    assert_whole(channels(tmp_path, f"<Strip>{strip}</Strip>"), ecg)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("uVperLsb", "mm"), "given in 'mm', not in uVperLsb"),
        (lambda text: text.replace("<ChannelSampleCountTotal>5000", "<ChannelSampleCountTotal>5001"), "5000 of 5001"),
        (lambda text: text.replace(">500<", "><"), "SampleRate is ''"),
        (lambda text: "<FullDisclosure/>", "at most the full disclosure of an exercise test; export"),
        (lambda text: "", "at most median beats"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(change, reason, ecg, tmp_path):
    with pytest.raises(FileError, match=reason):
        channels(tmp_path, change(cardiosoft_strip(ecg)))


def test_strips_of_an_exercise_test_are_not_joined(ecg, tmp_path):
    with pytest.raises(FileError, match="contains 2 recordings of 10 s and 12 leads, made one after the other"):
        channels(tmp_path, cardiosoft_strip(ecg), cardiosoft_strip(-ecg))

"""ISHNE Holter: the leads by their codes, at the resolution of each; the first half hour of a long recording."""

import numpy as np
import pytest

from cardiolect.data_provider.readers import RecordError, ishne_reader, read_record
from cardiolect.data_provider.readers.formats import read_channels
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient
from tests.helpers.ishne import write_ishne


@pytest.fixture(scope="module")
def steps() -> np.ndarray:
    return np.round(simulate(5, 0, draw_patient(5, 0, 1))[1] * 400).astype(int)


@pytest.mark.parametrize("comment", [b"", b"a comment of odd length"])
def test_a_recording_comes_back(comment, steps, tmp_path):
    channels = read_channels(write_ishne(tmp_path / "holter.ecg", steps, nanovolts=2500, comment=comment))
    assert (channels.kind, channels.fs, channels.scales["V6"]) == ("ISHNE 1.0", 500, "2.5 uV")
    assert channels.notes == ()
    for row, lead in enumerate(LEADS):
        np.testing.assert_allclose(channels.leads[lead], steps[row] / 400, atol=1e-9)


def test_only_the_first_half_hour_of_a_day_is_read(steps, tmp_path, monkeypatch):
    monkeypatch.setattr(ishne_reader, "MAX_SECONDS", 4)
    channels = read_channels(write_ishne(tmp_path / "holter.ecg", steps))
    assert len(channels.leads["I"]) == 2000 and "are read; cut out another part" in channels.notes[0]


def test_the_mark_of_a_lead_that_is_off_is_a_gap(steps, tmp_path):
    steps = steps.copy()
    steps[6, 1000:1010] = -32768
    channels = read_channels(write_ishne(tmp_path / "holter.ecg", steps))
    assert np.isnan(channels.leads["V1"]).sum() == 10


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"codes": [0] * 12}, "none of its signals is one of the 12 leads"),
        ({"nanovolts": 0}, "lead I is uncalibrated"),
        ({"fs": 0}, "0 Hz"),
        ({"codes": [5, 5, *range(7, 17)]}, "lead I occurs twice"),
    ],
)
def test_what_is_missing_is_named(change, reason, steps, tmp_path):
    with pytest.raises(RecordError, match=reason):
        read_record(write_ishne(tmp_path / "holter.ecg", steps, **change))


@pytest.mark.parametrize("stated", [5000, 60_000, 9000])
@pytest.mark.parametrize("share", [0.44, 0.9, 0.98])
def test_a_file_that_was_cut_off_is_refused(stated, share, steps, tmp_path):
    path = write_ishne(tmp_path / "holter.ecg", steps, stated=stated)
    path.write_bytes(path.read_bytes()[: 522 + 24 * round(5000 * share)])
    with pytest.raises(RecordError, match=rf"truncated: {5000 * share:.0f} samples a lead of {stated} that its header"):
        read_record(path)


@pytest.mark.parametrize("stated", [5000, -9])
def test_a_file_that_ends_within_a_sample_of_all_leads_is_refused(stated, steps, tmp_path):
    path = write_ishne(tmp_path / "holter.ecg", steps, stated=stated)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(RecordError, match="truncated: it does not end with a sample of every lead"):
        read_record(path)


def test_writers_that_count_the_samples_of_all_leads_are_understood(steps, tmp_path):
    path = write_ishne(tmp_path / "holter.ecg", steps, stated=60_000)
    assert read_channels(path).notes == ()


def test_a_header_that_is_damaged_or_promises_more_is_said(steps, tmp_path):
    path = write_ishne(tmp_path / "holter.ecg", steps, stated=5040)
    assert read_channels(path).notes == ("there are 5000 samples a lead, and the header states 5040",)
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    assert "does not match its checksum" in read_channels(path).notes[0]
    path.write_bytes(data[:300])
    with pytest.raises(RecordError, match="truncated"):
        read_record(path)

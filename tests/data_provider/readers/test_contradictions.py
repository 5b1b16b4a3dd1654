"""What a file says twice must agree: its length, its rate, the end of its leads. What does not is refused or said."""

import json
import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.formats import read_channels
from cardiolect.data_provider.record import LEADS
from tests.data_provider.readers.test_dicom_reader import group, save
from tests.data_provider.readers.test_edf_reader import write
from tests.helpers import wfdb_records, xml_files
from tests.helpers.ishne import write_ishne
from tests.helpers.scp import write_scp


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return xml_files.simulated()


def test_bytes_after_the_last_data_record_of_edf_are_said(ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(write(path, ecg) + bytes(24))
    assert read_channels(path).notes == ("24 bytes after its last data record are not read",)


def test_time_stamps_of_edf_that_contradict_its_header_are_said(ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    data = bytearray(write(path, ecg, pyedflib.FILETYPE_EDFPLUS))
    assert read_channels(path).notes == ()
    data[244:252] = b"2       "
    path.write_bytes(data)
    (note,) = read_channels(path).notes
    assert note.startswith("its time stamps are 1 s apart, and its header states data records of 2 s")


def test_more_samples_of_dicom_than_it_states_are_said(ecg, tmp_path):
    item = group(ecg)
    item.NumberOfWaveformSamples = 4000
    (note,) = read_channels(save(tmp_path / "ecg.dcm", item)).notes
    assert note.startswith("more samples are stored than the file states")


def test_bytes_added_to_the_samples_of_dicom_are_said(ecg, tmp_path):
    path = save(tmp_path / "ecg.dcm", group(ecg))
    data = path.read_bytes()
    assert read_channels(path).notes == ()
    middle = data.index(struct.pack("<HH2s", 0x5400, 0x1010, b"OW")) + 20_000
    for added in (4, 216):
        path.write_bytes(data[:middle] + data[middle : middle + added] + data[middle:])
        (note,) = read_channels(path).notes
        assert note.startswith("its elements are not in order, or do not end with the file")


def test_an_element_of_dicom_that_declares_gigabytes_takes_no_memory(ecg, tmp_path):
    path = save(tmp_path / "ecg.dcm", group(ecg))
    data = path.read_bytes()
    at = data.index(struct.pack("<HH2s", 0x5400, 0x1010, b"OW")) + 8
    path.write_bytes(data[:at] + struct.pack("<I", 0xFFFFFFF0) + data[at + 4 :])
    tracemalloc.start()
    read_record(path)  # all samples are there, whatever their length says
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000


def test_bytes_after_the_record_of_scp_are_said(ecg, tmp_path):
    path = write_scp(tmp_path / "ecg.scp", np.round(ecg * 1000).astype(int))
    path.write_bytes(path.read_bytes() + b"more")
    assert read_channels(path).notes == ("4 bytes after the record that it states are not read",)


def test_bytes_after_an_array_are_refused(ecg, tmp_path):
    layout = {"sampling_rate": 500, "unit": "mV", "leads": list(LEADS)}
    (tmp_path / "layout.json").write_text(json.dumps(layout))
    with open(tmp_path / "ecg.npy", "wb") as file:
        np.save(file, ecg)
        np.save(file, ecg)
    with pytest.raises(RecordError, match="bytes after its array: it is damaged, or holds several arrays"):
        read_record(tmp_path / "ecg.npy")


def test_a_holter_that_ends_amid_a_sample_or_late_says_so(ecg, tmp_path):
    steps = np.round(ecg * 1000).astype(int)
    path = write_ishne(tmp_path / "holter.ecg", steps)
    path.write_bytes(path.read_bytes() + bytes(25))
    assert read_channels(path).notes == (
        "there are 5001 samples a lead, and the header states 5000",
        "it does not end with a sample of every lead; bytes are missing or too many",
    )


def test_a_series_that_states_another_length_than_its_samples_have_is_said(ecg, tmp_path):
    times = '<effectiveTime><low value="20200101120000"/><high value="20200101120010"/></effectiveTime>'
    path = tmp_path / "ecg.xml"
    for fs, said in ((500, ()), (250, ("its series states 10 s, and its samples last 20 s; check its sampling rate",))):
        code = f'<code code="RHYTHM"/>{times}'
        path.write_text(xml_files.aecg(xml_files.aecg_series(xml_files.aecg_set(ecg, fs=fs), code=code)))
        assert read_channels(path).notes == said


def with_pulse(ecg: np.ndarray) -> np.ndarray:
    end = np.zeros((12, 500))
    end[:, 200:300] = 1
    return np.hstack([ecg, end])


@pytest.mark.parametrize("lead", ["I", "V5"])
def test_a_lead_of_philips_without_the_pulse_that_the_others_end_with_is_damaged(lead, ecg, tmp_path):
    ends = with_pulse(ecg)
    ends[LEADS.index(lead), 4000:] += 0.02
    (tmp_path / "ecg.xml").write_text(xml_files.philips(ends))
    with pytest.raises(RecordError, match=f"{lead} lack the calibration pulse"):
        read_record(tmp_path / "ecg.xml")


def test_compressed_samples_of_philips_without_an_end_are_said(ecg, tmp_path, monkeypatch):
    monkeypatch.setattr(xml_files, "xli_block", _with_more_bytes(xml_files.xli_block))
    (tmp_path / "ecg.xml").write_text(xml_files.philips(ecg))
    (note,) = read_channels(tmp_path / "ecg.xml").notes
    assert note.startswith("the compressed samples of I, II, III, aVR") and "have no proper end" in note


def _with_more_bytes(block):
    def longer(steps: np.ndarray) -> bytes:
        made = block(steps)
        return (len(made) - 8 + 4).to_bytes(4, "little") + made[4:] + b"\0\0\0\1"

    return longer


def test_an_error_that_quotes_a_damaged_header_stays_one_line(tmp_path):
    path = wfdb_records.write(tmp_path, wfdb_records.twelve_leads())
    header = Path(f"{path}.hea")
    header.write_bytes(re.sub(rb"rec\.dat", b"r\x07\x85c.dat", header.read_bytes()))
    with pytest.raises(RecordError) as error:
        read_record(path)
    assert str(error.value).isprintable()

"""Recordings are read by lead name in millivolts, and damage ends in one named error."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import LEADS
from tests.helpers.wfdb_records import assert_same, twelve_leads, write

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")


def edit_header(path: Path, old: str, new: str) -> Path:
    header = path.with_suffix(".hea")
    text = header.read_text()
    assert old in text
    header.write_bytes(text.replace(old, new).encode())
    return path


def test_leads_are_placed_by_name(tmp_path):
    signal = twelve_leads()
    order = [LEADS.index(lead) for lead in MIMIC_ORDER]
    assert_same(read_record(write(tmp_path, signal[order], MIMIC_ORDER)), signal)
    assert_same(read_record(write(tmp_path, signal, [lead.upper() for lead in LEADS], name="upper")), signal)


@pytest.mark.parametrize("unit", ["uV", "mV", "V"])
def test_units_become_millivolts(tmp_path, unit):
    assert_same(read_record(write(tmp_path, twelve_leads(), unit=unit)), twelve_leads())


def test_micro_sign_is_microvolt(tmp_path):
    path = edit_header(write(tmp_path, twelve_leads(), unit="uV"), "/uV", "/µV")
    assert_same(read_record(path), twelve_leads())


@pytest.mark.parametrize("fs", [100, 250, 400, 1000, 257.3])
def test_sampling_rates(tmp_path, fs):
    record = read_record(write(tmp_path, twelve_leads(2000, fs), fs=fs), record_id="a", patient_id="p")
    assert record.fs == fs and record.signal.shape == (12, 2000)
    assert (record.record_id, record.patient_id) == ("a", "p")


def test_gaps_are_bridged_or_get_the_median_of_their_lead(tmp_path):
    signal = twelve_leads()
    signal[1, 1000:1050] = np.nan  # 0.1 s
    signal[6, 2000:2500] = np.nan  # 1 s
    signal[7, :10] = np.nan  # no neighbour on the left
    record = read_record(write(tmp_path, signal))
    np.testing.assert_allclose(record.signal[1, 1000:1050], twelve_leads()[1, 1000:1050], atol=0.12)
    for lead, gap in ((6, slice(2000, 2500)), (7, slice(10))):
        np.testing.assert_allclose(record.signal[lead, gap], np.nanmedian(signal[lead]), atol=1e-3)
    np.testing.assert_array_equal(record.good, np.isfinite(signal))


def test_flat_lead_is_masked(tmp_path):
    signal = twelve_leads()
    signal[8] = 0.7
    record = read_record(write(tmp_path, signal))
    assert not record.good[8].any() and not record.signal[8].any()
    assert record.lead_present.sum() == 11


@pytest.mark.parametrize("kept", [("I", "II"), ("III", "aVF"), ("aVR", "aVL")])
def test_limb_leads_are_completed(tmp_path, kept):
    names = [*kept, *LEADS[6:]]
    signal = twelve_leads()
    assert_same(read_record(write(tmp_path, signal[[LEADS.index(n) for n in names]], names)), signal, atol=2e-3)


def test_gap_of_a_source_is_a_gap_of_the_computed_lead(tmp_path):
    names = ["I", "II", *LEADS[6:]]
    signal = twelve_leads()[[LEADS.index(n) for n in names]]
    signal[0, 1000:1050] = np.nan  # bridged
    signal[1, 3000:3500] = np.nan  # too long
    record = read_record(write(tmp_path, signal, names))
    assert not record.good[2:6, 1000:1050].any() and not record.good[2:6, 3000:3500].any()
    np.testing.assert_allclose(record.signal[2:6, 1000:1050], twelve_leads()[2:6, 1000:1050], atol=0.12)
    assert (np.ptp(record.signal[2:6, 3000:3500], axis=1) == 0).all()


def test_completion_equals_the_recorded_leads(tmp_path, shared_data):
    real = read_record(shared_data / "ptb-xl/records500/00000/00001_hr")
    names = ["I", "II", *LEADS[6:]]
    record = read_record(write(tmp_path, real.signal[[LEADS.index(n) for n in names]], names))
    np.testing.assert_allclose(record.signal, real.signal, atol=3e-3)  # PTB-XL rounds to 1 uV, I and II separately


def test_missing_chest_leads_are_masked(tmp_path):
    names = LEADS[:8]
    record = read_record(write(tmp_path, twelve_leads()[:8], names))
    assert record.lead_present.tolist() == [True] * 8 + [False] * 4
    assert not record.signal[8:].any()


def test_other_signals_are_ignored(tmp_path):
    signal = twelve_leads()
    path = write(tmp_path, np.concatenate([signal, signal[:2]]), [*LEADS, "vx", "resp"])
    header = path.with_suffix(".hea")
    lines = header.read_text().splitlines()
    header.write_text("\n".join(line.replace("/mV", "/mmHg") if line.endswith("resp") else line for line in lines))
    assert_same(read_record(path), signal)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["I", "II", "III", "aVR", "lead I"], "lead I occurs twice"),
        (["vx", "vy", "vz"], "none of its signals"),
        (["V1", "V2", "V3", "V4", "I"], "5 usable leads"),
    ],
)
def test_wrong_leads(tmp_path, names, reason):
    path = write(tmp_path, twelve_leads()[6 : 6 + len(names)], names)
    with pytest.raises(RecordError, match=reason):
        read_record(path)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("/mV", "/furlong", "unit 'furlong'"),
        ("/mV", "/", "unit ''"),
        ("4000.0(0)", "0(0)", "uncalibrated"),
        ("4000.0(0)", "4.0(0)", "reaches .* mV"),
        ("4000.0(0)", "nonsense", "signal line cannot be parsed"),
        ("rec 12 500", "rec 12 nan", "sampling rate 'nan'"),
        ("rec 12 500", "rec 12 0", "sampling rate '0'"),
        ("rec 12 500", "rec 12 -500", "sampling rate '-500'"),
        ("rec 12 500", "rec 12 inf", "sampling rate 'inf'"),
        ("rec 12 500", "rec", "declares 5000"),
        ("rec 12 500", "rec x 500", "cannot be parsed"),
        ("rec 12 500", "rec/2 12 500", "multi-segment"),
        ("rec 12 500", "rec 13 500", "declares 13"),
        ("500 5000", "500 5001", "truncated"),
        ("500 5000", "500 4000", "checksum"),
        ("500 5000", "500 many", "'many'"),
        ("rec.dat", "gone.dat", "missing"),
        ("rec.dat", "/etc/passwd", "not in the record's folder"),
        ("rec.dat 16", "rec.dat 99", "wfdb cannot read signals of format 99"),
        ("V6", "V6\nrec.dat 16 1/mV 16 0 0 0 0 resp", "declares 12"),
        ("/mV 16", "/mV 1a", "parse"),
        (" V6", "", "no name"),
    ],
)
def test_wrong_headers(tmp_path, old, new, reason):
    path = edit_header(write(tmp_path, twelve_leads()), old, new)
    with pytest.raises(RecordError, match=reason) as caught:
        read_record(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_unit_left_out_is_millivolt(tmp_path):
    assert_same(read_record(edit_header(write(tmp_path, twelve_leads()), "(0)/mV", "(0)")), twelve_leads())


@pytest.mark.parametrize("keep", [0, 1, 119_999])
def test_short_signal_file(tmp_path, keep):
    path = write(tmp_path, twelve_leads())
    data = path.with_suffix(".dat").read_bytes()
    path.with_suffix(".dat").write_bytes(data[:keep])
    with pytest.raises(RecordError, match="is empty" if keep == 0 else "is truncated"):
        read_record(path)


def test_changed_byte_is_noticed(tmp_path):
    path = write(tmp_path, twelve_leads())
    data = bytearray(path.with_suffix(".dat").read_bytes())
    data[4000] ^= 1
    path.with_suffix(".dat").write_bytes(data)
    with pytest.raises(RecordError, match="checksum"):
        read_record(path)


def test_checksum_left_out_is_accepted(tmp_path):
    path = write(tmp_path, twelve_leads())
    lines = path.with_suffix(".hea").read_text().splitlines()
    fields = [line.split() for line in lines[1:]]
    path.with_suffix(".hea").write_text(
        "\n".join([lines[0], *(" ".join([*line[:6], "0", *line[7:]]) for line in fields)])
    )
    assert_same(read_record(path), twelve_leads())


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\xff\xfe" * 50, b"# only a comment\n", b"<html></html>"])
def test_header_that_is_none(tmp_path, content):
    (tmp_path / "rec.hea").write_bytes(content)
    with pytest.raises(RecordError, match="rec: "):
        read_record(tmp_path / "rec")


def test_absent_short_and_folder(tmp_path):
    with pytest.raises(RecordError, match="no such"):
        read_record(tmp_path / "nothing")
    with pytest.raises(RecordError, match=r"0\.50 s long"):
        read_record(write(tmp_path, twelve_leads(250)))
    (tmp_path / "folder.hea").mkdir()
    with pytest.raises(RecordError, match="cannot be read"):
        read_record(tmp_path / "folder.hea")


def test_extension_is_optional(tmp_path):
    path = write(tmp_path, twelve_leads())
    for suffix in (".hea", ".dat"):
        assert_same(read_record(str(path) + suffix), twelve_leads())


def test_matlab_record(tmp_path, shared_data):
    """A .mat record moved elsewhere reads as before; its samples start behind 24 bytes of MATLAB header."""
    for suffix in (".hea", ".mat"):
        shutil.copy(shared_data / f"other/cpsc2018_extra/Q0001{suffix}", tmp_path)
    assert read_record(tmp_path / "Q0001.mat").seconds == 10


def test_every_real_record_reads(shared_data):
    headers = sorted(shared_data.glob("ptb-xl/records*/*/*.hea")) + sorted(shared_data.glob("other/*/*.hea"))
    assert len(headers) > 500
    for header in headers:
        record = read_record(header)
        assert record.signal.dtype == np.float32 and record.signal.shape[0] == 12
        assert np.isfinite(record.signal).all() and np.abs(record.signal).max() < 20
        assert record.seconds > 4

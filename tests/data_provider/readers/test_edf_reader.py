"""EDF, EDF+ and BDF as recorders write them: odd headers are read where they are certain, and named where not."""

import re
import sys
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.formats import read_channels
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient

FS = 500
N_HEADER = 256


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulate(5, 0, draw_patient(5, 0, 1))[1].astype(float)


def write(path: Path, ecg: np.ndarray, kind: int = pyedflib.FILETYPE_EDF, marker: bool = False) -> bytes:
    """Ten data records of a second at 0.25 uV a step; the marker is a thirteenth signal. Its bytes."""
    names = [f"ECG {lead}" for lead in LEADS] + ["Marker"] * marker
    with pyedflib.EdfWriter(str(path), len(names), kind) as writer:
        for row, name in enumerate(names):
            limits = {"physical_max": 8000, "physical_min": -8000, "digital_max": 32767, "digital_min": -32768}
            texts = {"label": name, "dimension": "uV", "transducer": "", "prefilter": ""}
            writer.setSignalHeader(row, {**texts, **limits, "sample_frequency": FS})
        writer.writeSamples([*np.ascontiguousarray(ecg * 1000), *[np.zeros(ecg.shape[1])] * marker])
    return path.read_bytes()


def replace_field(data: bytes, before: int, width: int, text: bytes, rows: range | None = None) -> bytes:
    """The header with a field of some signals replaced. before: bytes per signal of the fields that precede it."""
    count = int(data[252:256])
    out = bytearray(data)
    for row in rows or range(12):
        at = N_HEADER + before * count + row * width
        out[at : at + width] = text.ljust(width)
    return bytes(out)


LABEL, UNIT, LOW, HIGH = (0, 16), (96, 8), (104, 8), (112, 8)


def expect(path: Path, ecg: np.ndarray) -> None:
    np.testing.assert_allclose(read_record(path).signal, ecg, atol=2.5e-4)  # pyedflib cuts off what is less than a step


def test_a_library_that_is_missing_is_not_a_fault_of_the_file(ecg, tmp_path, monkeypatch):
    write(tmp_path / "ecg.edf", ecg)
    monkeypatch.delitem(sys.modules, "cardiolect.data_provider.readers.edf_reader", raising=False)
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(ModuleNotFoundError, match="edfio"):
        read_record(tmp_path / "ecg.edf")


def test_format_rate_and_step_are_said(ecg, tmp_path):
    write(tmp_path / "ecg.edf", ecg, pyedflib.FILETYPE_EDFPLUS)
    channels = read_channels(tmp_path / "ecg.edf")
    assert (channels.kind, channels.fs, channels.scales["aVR"]) == ("EDF+C", FS, "0.2441 uV")
    assert channels.names["V3"] == "ECG V3" and channels.notes == ()


@pytest.mark.parametrize("unit", [b"\xb5V", b"UV", b"uV\0\0", b"uVolt"])
def test_units_as_recorders_write_them_are_read(unit, ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(replace_field(write(path, ecg), *UNIT, unit))
    expect(path, ecg)


def test_a_blank_unit_is_the_one_in_which_leads_are_as_large_as_an_ecg(ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(replace_field(write(path, ecg), *UNIT, b"", range(4)))  # I to aVR
    expect(path, ecg)
    assert read_channels(path).notes == ("I, II, III, aVR without a unit, taken as uV by their size",)


def test_a_blank_unit_is_asked_for_if_no_unit_makes_an_ecg(ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(replace_field(write(path, ecg * 0.03), *UNIT, b""))
    with pytest.raises(RecordError, match="lead I states no unit; write uV or mV as the physical dimension"):
        read_record(path)


@pytest.mark.parametrize(("field", "text"), [(LOW, b"-8000,0"), (HIGH, b"8000,0")])
def test_decimal_commas_in_limits_are_read(field, text, ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(replace_field(write(path, ecg), *field, text))
    expect(path, ecg)


def test_inverted_limits_turn_the_signal(ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    turned = replace_field(replace_field(write(path, ecg), *LOW, b"8000"), *HIGH, b"-8000")
    path.write_bytes(turned)
    expect(path, -ecg)


@pytest.mark.parametrize(("text", "reason"), [(b"-8000", "give no scale"), (b"none", "are not numbers")])
def test_limits_of_a_lead_that_give_no_scale_are_refused(text, reason, ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(replace_field(write(path, ecg), *HIGH, text))
    with pytest.raises(RecordError, match=f"lead I has limits that {reason}"):
        read_record(path)


@pytest.mark.parametrize("text", [b"", b"-8000", b"0,5"])
def test_limits_of_another_signal_do_not_matter(text, ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(replace_field(write(path, ecg, marker=True), *HIGH, text, range(12, 13)))
    expect(path, ecg)
    assert read_channels(path).ignored == ("Marker",)


@pytest.mark.parametrize("records", [b"-1", b"0"])
def test_a_recording_that_was_not_closed_has_the_length_of_its_file(records, ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    data = write(path, ecg)
    path.write_bytes(data[:236] + records.ljust(8) + data[244:])
    expect(path, ecg)
    path.write_bytes(data[:236] + records.ljust(8) + data[244:-100])
    expect(path, ecg[:, : 9 * FS])
    assert "last data record is incomplete" in " ".join(read_channels(path).notes)
    path.write_bytes(data[:236] + records.ljust(8) + data[244 : 13 * N_HEADER + 100])
    with pytest.raises(RecordError, match="truncated"):
        read_record(path)


@pytest.mark.parametrize("n_bytes", [100, 12 * FS * 2, 3 * 12 * FS * 2 + 1])
def test_bytes_after_the_last_record_are_not_samples(n_bytes, ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    path.write_bytes(write(path, ecg) + b"\1" * n_bytes)
    expect(path, ecg)


@pytest.mark.parametrize("date", [b"00.00.00", b"01/01/20", b"        ", b"31.02.20"])
def test_dates_do_not_matter(date, ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    data = write(path, ecg)
    path.write_bytes(data[:168] + date + data[176:])
    expect(path, ecg)


def discontinuous(data: bytes, onset) -> bytes:
    """An EDF+ file as EDF+D, with ``onset(k)`` as the time stamp of record k."""
    data = data.replace(b"EDF+C", b"EDF+D", 1)
    stamps = iter(range(1000))

    def stamp(found: re.Match) -> bytes:
        text = f"+{onset(next(stamps)):g}\x14\x14".encode()
        return text + b"\0" * (len(found[0]) - len(text))

    return data[: 14 * N_HEADER] + re.sub(rb"\+[\d.]+\x14\x14\0{6}", stamp, data[14 * N_HEADER :])


def test_a_discontinuous_file_is_read_where_it_has_no_gap(ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    data = write(path, ecg, pyedflib.FILETYPE_EDFPLUS)
    path.write_bytes(discontinuous(data, lambda k: 7 + k))
    expect(path, ecg)
    assert read_channels(path).kind == "EDF+D"
    for onset, reason in (
        (lambda k: k + 50 * (k > 4), "a recording with gaps .*50 s are missing after 5 s"),
        (lambda k: k - 0.5 * (k > 2), "it goes back by 0.5 s after 3 s"),
    ):
        path.write_bytes(discontinuous(data, onset))
        with pytest.raises(RecordError, match=reason):
            read_record(path)


def test_a_discontinuous_file_without_time_stamps_is_refused(ecg, tmp_path):
    path = tmp_path / "ecg.edf"
    data = write(path, ecg)
    path.write_bytes(data[:192] + b"EDF+D" + data[197:])
    with pytest.raises(RecordError, match="without time stamps"):
        read_record(path)


def test_a_last_second_at_the_smallest_number_is_cut_off(ecg, tmp_path):
    """wfdb 4.3.1 writes one after a recording that fills its data records."""
    write(tmp_path / "ecg.edf", np.pad(ecg, ((0, 0), (0, FS)), constant_values=-8.0))
    record = read_record(tmp_path / "ecg.edf")
    assert record.seconds == 10 and record.good.all()
    assert record.notes == ("1.00 s without any signal cut off at the end",)
    np.testing.assert_allclose(record.signal, ecg, atol=2.5e-4)

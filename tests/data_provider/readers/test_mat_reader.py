"""MATLAB files: CPSC-2018's originals, a matrix with a layout, and what is refused, before it costs memory or time."""

import json
import struct
import time

import numpy as np
import pytest
import scipy.io

from cardiolect.data_provider.readers import RecordError, matlab_file, read_record
from cardiolect.data_provider.readers.formats import count_samples, read_channels
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulate(5, 0, draw_patient(5, 0, 1))[1].astype(float)


@pytest.mark.parametrize("compressed", [True, False])
def test_an_original_file_of_cpsc_2018_comes_back(compressed, ecg, tmp_path):
    path = tmp_path / "A0001.mat"
    scipy.io.savemat(path, {"ECG": {"sex": "Male", "age": 50, "data": ecg}}, do_compression=compressed)
    channels = read_channels(path)
    assert (channels.kind, channels.fs) == ("CPSC-2018 MAT", 500) and "are those of CPSC-2018" in channels.notes[0]
    for row, lead in enumerate(LEADS):
        np.testing.assert_array_equal(channels.leads[lead], ecg[row])
    assert count_samples(path) == ecg.size + 1  # the age is a matrix too


def test_a_matrix_needs_a_layout(ecg, tmp_path):
    path = tmp_path / "ecg.mat"
    scipy.io.savemat(path, {"val": np.round(ecg.T * 1000).astype("i2"), "note": "text"})
    with pytest.raises(RecordError, match=r"a MATLAB file with val; it needs .* ecg\.layout\.json"):
        read_record(path)
    layout = {"sampling_rate": 250, "unit": "uV", "leads": list(LEADS)}
    (tmp_path / "ecg.layout.json").write_text(json.dumps(layout))
    record = read_record(path)
    assert record.fs == 250
    np.testing.assert_allclose(record.signal, ecg, atol=6e-4)


def test_a_signal_file_of_wfdb_asks_for_its_header(tmp_path):
    scipy.io.savemat(tmp_path / "A0001.mat", {"val": np.ones((12, 50), "i2")}, format="4")
    with pytest.raises(RecordError, match=r"its header A0001\.hea is missing"):
        read_record(tmp_path / "A0001.mat")


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(class_: int, shape: tuple[int, ...], name: bytes, rest: bytes = b"") -> bytes:
    flags, dims = struct.pack("<II", class_, 0), struct.pack(f"<{len(shape)}i", *shape)
    return element(14, element(6, flags) + element(5, dims) + element(1, name) + rest)


def test_a_file_that_declares_more_than_it_holds_is_refused_at_once(tmp_path):
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<HH", 0x0100, 0x4D49)
    huge = (1 << 15, 1 << 15)
    fields = element(5, struct.pack("<i", 8)) + element(1, b"data\0\0\0\0") + matrix(1, huge, b"")
    for body in (matrix(2, (1, 1), b"ECG", fields), matrix(2, huge, b"ECG"), matrix(6, huge, b"ECG", element(9, b""))):
        (tmp_path / "hostile.mat").write_bytes(head + body)
        start = time.perf_counter()
        with pytest.raises(RecordError, match=r"hostile\.mat"):
            read_record(tmp_path / "hostile.mat")
        assert time.perf_counter() - start < 1


def test_a_bomb_is_refused_by_what_it_unpacks_to(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab_file, "MAX_BYTES", 100_000)
    scipy.io.savemat(tmp_path / "bomb.mat", {"ECG": {"data": np.zeros((12, 20_000))}}, do_compression=True)
    with pytest.raises(RecordError, match="decompresses to more than"):
        read_record(tmp_path / "bomb.mat")

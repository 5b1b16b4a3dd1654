"""Arrays in NPY, NPZ and HDF5 files: any order of axes and type of number, one recording of many by id, row or name."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from cardiolect.data_provider.readers import RecordError, hdf5_reader, numpy_reader, read_record
from cardiolect.data_provider.readers.formats import content_hash, files_of, is_on_disk, record_name, record_path
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient

FS = 400
ONE, TWO, THREE = (simulate(seed, 0, draw_patient(seed, 0, 1))[1][:, 200:1200].astype(float) for seed in (5, 6, 7))
MANY = np.stack([ONE, TWO, THREE])


@pytest.fixture(autouse=True)
def layout(tmp_path):
    """Writes a layout for all files of the folder; the arguments change it."""

    def write(**more) -> None:
        said = {"sampling_rate": FS, "unit": "mV", "leads": LEADS, **more}
        (tmp_path / "layout.json").write_text(json.dumps(said))

    write()
    return write


def assert_reads(path: Path | str, signal: np.ndarray, atol: float = 1e-5) -> None:
    record = read_record(path)
    assert record.fs == FS
    np.testing.assert_allclose(record.signal, signal, atol=atol)


def refused(path: Path | str) -> str:
    with pytest.raises(RecordError) as error:
        read_record(path)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"record {path}: ")


def write_hdf5(path: Path, **arrays: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


@pytest.mark.parametrize("suffix", ["npy", "npz", "hdf5", "h5"])
@pytest.mark.parametrize("turned", [False, True], ids=["leads first", "samples first"])
def test_one_recording_and_many_in_either_order_of_axes(suffix, turned, tmp_path):
    def write(name: str, values: np.ndarray) -> Path:
        path, values = tmp_path / f"{name}.{suffix}", np.swapaxes(values, -1, -2) if turned else values
        if suffix == "npy":
            np.save(path, values)
        elif suffix == "npz":
            np.savez(path, signal=values)
        else:
            write_hdf5(path, tracings=values)
        return path

    assert_reads(write("flat", ONE), ONE)
    assert_reads(write("alone", ONE[None]), ONE)
    many = write("many", MANY)
    for row, signal in enumerate(MANY):
        assert_reads(f"{many}#{row}", signal)
    assert refused(many) == f"contains 3 recordings; name one by its row, many.{suffix}#0 to many.{suffix}#2"
    for name in ("3", "-1", "x", "1.0", "²"):
        assert "contains 3 recordings without ids" in refused(f"{many}#{name}")
    assert "contains one recording" in refused(f"{tmp_path}/flat.{suffix}#1")
    assert refused(write("none", MANY[:0])) == "contains no recordings"


@pytest.mark.parametrize("kind", ["<f2", ">f4", ">f8", "<i2", ">i2"])
@pytest.mark.parametrize("suffix", ["npy", "npz", "hdf5"])
def test_types_of_numbers_and_their_scale(kind, suffix, tmp_path, layout):
    layout(unit="V", scale=1e-6)
    values = (ONE * 1000).astype(kind)
    if suffix == "hdf5":
        path = write_hdf5(tmp_path / "ecg.hdf5", tracings=values)
    else:
        path = tmp_path / f"ecg.{suffix}"
        (np.save if suffix == "npy" else np.savez)(path, values)
    assert_reads(path, ONE, atol=0.001 if "i" in kind else 0.002)
    reader = {"npy": numpy_reader, "npz": numpy_reader, "hdf5": hdf5_reader}[suffix]
    channels = reader.read(path, "")
    assert channels.scales["V6"] == "1e-06 V" and channels.kind == suffix.upper() and channels.names["I"] == "I"


def test_what_an_npz_file_says_of_itself_needs_no_layout_and_contradicts_none(tmp_path, layout):
    meaning = {"fs": [FS], "leads": np.array(LEADS, "S4"), "unit": b"uV", "scale": 5.0}
    np.savez(tmp_path / "ecg.npz", signal=ONE * 200, **meaning)
    assert refused(tmp_path / "ecg.npz").startswith("states 5 uV per number, and the layout next to it 1 mV")
    layout(sampling_rate=500, unit="uV", scale=5)
    assert refused(tmp_path / "ecg.npz").startswith("states 400 Hz, and the layout next to it 500 Hz")
    (tmp_path / "layout.json").unlink()
    assert_reads(tmp_path / "ecg.npz", ONE)
    np.savez(tmp_path / "ecg.npz", signal=ONE, fs=FS, leads=LEADS)
    assert refused(tmp_path / "ecg.npz").startswith("contains no unit; give it in ecg.layout.json")
    np.savez(tmp_path / "ecg.npz", signal=ONE, leads=LEADS)
    assert refused(tmp_path / "ecg.npz").startswith("contains neither sampling rate nor unit; give both")
    np.savez(tmp_path / "ecg.npz", signal=ONE, fs=[FS, 500], leads=LEADS, unit="mV")
    assert refused(tmp_path / "ecg.npz") == "contains 2 values of fs; it must be one"
    np.savez(tmp_path / "ecg.npz", x=ONE, y=ONE)
    assert "the ECG must be named signal" in refused(tmp_path / "ecg.npz") or "layout" in refused(tmp_path / "ecg.npz")


def test_a_layout_completes_an_npz_file_with_what_is_missing_only(tmp_path):
    for there, missing in (
        ({"fs": FS, "leads": LEADS}, {"unit": "mV"}),
        ({"unit": "mV", "leads": LEADS}, {"sampling_rate": FS}),
        ({"unit": "mV", "fs": FS}, {"leads": LEADS}),
    ):
        np.savez(tmp_path / "ecg.npz", signal=ONE, **there)
        (tmp_path / "layout.json").write_text(json.dumps(missing))
        assert_reads(tmp_path / "ecg.npz", ONE)
    np.save(tmp_path / "ecg.npy", ONE)
    assert refused(tmp_path / "ecg.npy") == "the layout next to it gives no sampling_rate and no unit"
    (tmp_path / "layout.json").write_text('{"sampling_rate": 400, "scale": 0.1}')
    assert "scale needs a unit" in refused(tmp_path / "ecg.npy")


IDS = {
    "numbers": [11, 12, 13],
    "whole floats": [11.0, 12.0, 13.0],
    "UIDs": [b"1.2.840.11", b"1.2.840.12", b"1.2.840.13"],
    "slashes": [b"a/1", b"a/2", b"b/1"],
    "names of files": [b"rec.csv", b"a.hea", b"x.hdf5"],
    "signs": [b"a#1", b"a#2", b"#"],
    "blanks": [b"11  ", b"12 b", b" 13"],
}


@pytest.mark.parametrize("kind", IDS)
def test_a_recording_is_named_by_any_id(kind, tmp_path):
    path = write_hdf5(tmp_path / "exams.HDF5", tracings=MANY, exam_id=IDS[kind])
    for row, name in enumerate(hdf5_reader.recordings(path)):
        named = Path(f"{path}#{name}")
        assert_reads(named, MANY[row])
        assert record_name(named) == name and read_record(named).record_id == name and is_on_disk(named)
        assert record_path(str(named)) == str(named)
        assert [Path(file.path).name for file in files_of(named)] == ["exams.HDF5", "layout.json"]
    hashes = {content_hash(Path(f"{path}#{name}")) for name in hdf5_reader.recordings(path)}
    assert len(hashes) == 3 and None not in hashes
    assert refused(path) == "contains 3 recordings; name one as exams.HDF5#exam_id"
    assert refused(f"{path}#1") == "has no exam_id 1"


def test_the_layout_of_one_file_belongs_to_all_its_recordings(tmp_path, layout):
    layout(unit="uV")
    path = write_hdf5(tmp_path / "part.1.h5", tracings=MANY, exam_id=[b"1.5", b"a/b", b"c"])
    (tmp_path / "part.1.layout.json").write_text(json.dumps({"sampling_rate": FS, "unit": "mV", "leads": LEADS}))
    assert_reads(f"{path}#a/b", TWO)
    assert [file.label for file in files_of(Path(f"{path}#1.5"))] == ["", "part.1.layout.json", "layout.json"]


def test_an_id_that_two_recordings_have_names_none(tmp_path):
    path = write_hdf5(tmp_path / "exams.h5", tracings=MANY, exam_id=[1, 2, 1])
    assert refused(f"{path}#1") == "has several recordings of exam_id 1"
    assert_reads(f"{path}#2", TWO)


def test_a_row_is_no_id(tmp_path, layout):
    """Where ids have another name than expected, a number might be either."""
    path = write_hdf5(tmp_path / "exams.h5", tracings=MANY, study_id=[2, 1, 0], age=[2, 1, 0])
    assert refused(f"{path}#1") == 'has no exam_id but study_id; give "ids": "study_id" in the layout next to it'
    layout(ids="study_id")
    assert_reads(f"{path}#2", ONE)
    layout(ids="uid")
    assert refused(f"{path}#2").startswith("has no uid but study_id")


def test_a_recording_in_an_array_or_group_of_its_own(tmp_path):
    path = write_hdf5(tmp_path / "apart.h5", **{"1.2.3": ONE, "1.2.4": TWO.T, "ward/rec.csv": THREE})
    for name, signal in (("1.2.3", ONE), ("1.2.4", TWO), ("ward/rec.csv", THREE)):
        assert_reads(f"{path}#{name}", signal)
    assert refused(f"{path}#1.2.5") == "has no array tracings and none named 1.2.5"
    assert refused(path).startswith("has no array tracings but 3 others; state one as dataset in the layout")
    groups = write_hdf5(tmp_path / "groups.h5", **{"a/tracings": ONE, "b/tracings": TWO, "b/age": 50})
    assert_reads(f"{groups}#b", TWO)


def test_the_only_array_needs_no_name(tmp_path, layout):
    path = write_hdf5(tmp_path / "ecg.h5", ecg=ONE.astype("f2"), age=50, beats=[1, 2, 3])
    assert_reads(path, ONE, atol=0.003)
    layout(dataset="signals")
    assert refused(path).startswith("has no array signals")


@pytest.mark.parametrize("turned", [False, True])
def test_padding_with_zeros_is_cut_off_and_said(turned, tmp_path):
    padded = np.pad(MANY, ((0, 0), (0, 0), (40, 80)))
    path = write_hdf5(tmp_path / "exams.h5", tracings=np.swapaxes(padded, 1, 2) if turned else padded)
    assert_reads(f"{path}#1", TWO)
    assert hdf5_reader.read(path, "1").notes == (
        "row 1 of 3, counted from 0",
        "0.10 s of zeros before it and 0.20 s after it were cut off",
    )


def test_arrays_that_are_no_table_of_leads_are_refused(tmp_path):
    for values, reason in (
        (np.zeros((3, 11, 1000)), "has the shape (11, 1000), which does not fit 12 leads"),
        (np.zeros((12, 12)), "has the shape (12, 12)"),
        (np.zeros(1000), "of three dimensions|shape (1000,)"),
        (np.zeros((1, 1, 12, 1000)), "of three dimensions|shape (1, 1, 12, 1000)"),
        (np.ones((12, 1000), complex), "contains complex128"),
        (np.full((12, 1000), "x", "S1"), "contains |S1"),
    ):
        np.save(tmp_path / "ecg.npy", values)
        path = write_hdf5(tmp_path / "ecg.h5", tracings=values)
        for name in (f"{tmp_path}/ecg.npy", str(path)):
            said = refused(f"{name}#0" if values.ndim == 3 else name)
            assert any(part in said for part in (reason, *reason.split("|"))), said
    np.save(tmp_path / "ecg.npy", np.array([{"a": 1}]), allow_pickle=True)
    assert "numpy cannot read it (Array can't be memory-mapped: Python objects" in refused(tmp_path / "ecg.npy")

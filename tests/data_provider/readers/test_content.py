"""A file is known by its content: suffixes that are missing or lie do not matter, and other kinds are named."""

import shutil
import zipfile

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.content import suffix_of_content
from cardiolect.data_provider.readers.formats import content_hash, count_samples, file_role, files_of
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient
from tests.data_provider.readers.test_formats import WRITERS, write_aecg, write_bdf, write_dicom, write_edf, write_muse
from tests.helpers.scp import write_scp


def write_scp_file(folder, signal):
    return write_scp(folder / "ecg.scp", np.round(signal * 1000).astype(int))


BINARY = {
    "edf": write_edf,
    "bdf": write_bdf,
    "dcm": write_dicom,
    "scp": write_scp_file,
    "xml": write_aecg,
    "muse": write_muse,
}


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulate(5, 0, draw_patient(5, 0, 1))[1]


@pytest.mark.parametrize("name", ["ecg", "1.2.840.113619.2", "ecg.dat", "ecg.csv", "ecg.EDF", "ecg.pdf", "ecg.mat"])
@pytest.mark.parametrize("kind", BINARY)
def test_a_suffix_that_is_missing_or_lies_does_not_matter(kind, name, ecg, tmp_path):
    path = BINARY[kind](tmp_path, ecg)
    (tmp_path / "other").mkdir()
    copy = shutil.copy(path, tmp_path / "other" / name)
    np.testing.assert_array_equal(read_record(copy).signal, read_record(path).signal)
    assert file_role(copy) == "recording" and count_samples(copy) == count_samples(path)
    assert content_hash(copy) == content_hash(path) and [file.path for file in files_of(copy)] == [str(copy)]


def test_a_dicom_file_without_preamble_is_read(ecg, tmp_path):
    path = write_dicom(tmp_path, ecg)
    dataset = pydicom.dcmread(path)
    del dataset.file_meta
    dataset.preamble = None
    dataset.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_record(tmp_path / "bare").signal, read_record(path).signal)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.4\n", "a PDF document.*export the ECG itself as DICOM"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "a JPEG picture"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "save the table as CSV"),
        (b"\x1f\x8b\x08" + bytes(20), "compressed with gzip; unpack it"),
        (b"ecg.csv".ljust(257, b"\0") + b"ustar\x0000" + bytes(248), "a tar archive; unpack it"),
        (b"\x80\x04\x95" + bytes(20), "a Python pickle"),
        (b"\x40\x20MFR " + bytes(20), "MFER"),
        (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "save it with -v7"),
        (b"ANN  1.0" + bytes(20), "annotations in ISHNE's format"),
        (b"MSH|^~\\&|A|B\r", "an HL7 version 2 message"),
        (b"", "an empty file; copy or export it again"),
    ],
)
@pytest.mark.parametrize("name", ["export", "export.dcm", "export.bin"])
def test_what_holds_no_ecg_is_named_with_what_to_do(content, reason, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordError, match=reason):
        read_record(tmp_path / name)


def test_an_archive_is_not_taken_for_numpys(tmp_path):
    with zipfile.ZipFile(tmp_path / "ecg.npz", "w") as archive:
        archive.writestr("ecg.xml", "<AnnotatedECG/>")
    with pytest.raises(RecordError, match="a ZIP archive or an Office file; unpack it"):
        read_record(tmp_path / "ecg.npz")


def test_the_suffix_ecg_has_several_meanings(tmp_path):
    (tmp_path / "a.ecg").write_bytes(bytes([25, 4, 3, 4] * 200))
    (tmp_path / "b.ecg").write_bytes(b"ISHNE1.0" + bytes(100))
    (tmp_path / "c.atr").write_bytes(bytes([25, 4, 3, 4] * 200))
    for name, reason in (
        ("a.ecg", "neither ISHNE nor SCP-ECG"),
        ("b.ecg", "ISHNE header"),
        ("c.atr", "annotations of"),
    ):
        with pytest.raises(RecordError, match=reason):
            read_record(tmp_path / name)


def test_tables_are_not_taken_for_binary_files(tmp_path):
    """Letters that mark binary files may begin a table, and samples of a WFDB record may look like a header."""
    (tmp_path / "a.csv").write_text("BMI,I,II\n1,2,3\n")
    with pytest.raises(RecordError, match="neither sampling rate nor unit"):
        read_record(tmp_path / "a.csv")
    np.array([8, 5, 2, 0, 8, 5, 2, 0] * 100, "<i2").tofile(tmp_path / "a.dat")
    assert suffix_of_content(tmp_path / "a.dat") is None and file_role(tmp_path / "a.dat") == "signal"


def test_the_header_of_a_wfdb_record_rules_its_signal_file(shared_data):
    record = next((shared_data / "other").glob("cpsc2018_extra/**/*.hea"))
    signal = record.with_suffix(".mat")
    np.testing.assert_array_equal(read_record(signal).signal, read_record(record).signal)
    assert file_role(signal) == "signal"


def test_dicom_without_waveforms_is_named_by_its_class(tmp_path):
    path = get_testdata_file("CT_small.dcm")
    with pytest.raises(RecordError, match=r"a DICOM file without waveforms \(CT Image Storage\)"):
        read_record(path)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_numpys_files_are_told_apart_by_their_content(kind, ecg, tmp_path):
    path = WRITERS[kind](tmp_path, ecg)
    for name in ("copy.bin", "copy.npy", "copy.npz"):
        copy = shutil.copy(path, tmp_path / name)
        np.testing.assert_array_equal(read_record(copy).signal, read_record(path).signal)
        assert count_samples(copy) == count_samples(path)

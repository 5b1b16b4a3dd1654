"""Damage to the binary formats without a test of their own for it: a cut or changed file is refused or stays an ECG."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.simulator import simulate
from cardiolect.data_provider.simulator.patients import draw_patient
from tests.data_provider.readers.test_dicom_reader import group, save
from tests.helpers.ishne import write_ishne
from tests.helpers.scp import Beats, write_scp

ZONES = [(200, 400), (600, 800)]


def write_scp_file(folder: Path, ecg: np.ndarray) -> Path:
    return write_scp(folder / "ecg.scp", np.round(ecg * 1000).astype(int))


def write_thinned_scp(folder: Path, ecg: np.ndarray) -> Path:
    beats = Beats(np.full((12, 100), 50), before=50, fiducials=[300, 700], zones=ZONES)
    return write_scp(folder / "thinned.scp", np.round(ecg * 1000).astype(int), beats=beats, thin=4)


def write_mat(folder: Path, ecg: np.ndarray) -> Path:
    scipy.io.savemat(folder / "ecg.mat", {"ECG": {"sex": "Female", "age": 60, "data": ecg}}, do_compression=True)
    return folder / "ecg.mat"


def write_bare_dicom(folder: Path, ecg: np.ndarray) -> Path:
    """What is cut off from the beat, or after it, is the rhythm."""
    return save(folder / "ecg", group(ecg[:, :500], label="MEDIAN BEAT"), group(ecg))


WRITERS = {
    "scp": write_scp_file,
    "thinned scp": write_thinned_scp,
    "mat": write_mat,
    "dicom without suffix": write_bare_dicom,
    "ishne": lambda folder, ecg: write_ishne(folder / "ecg.ecg", np.round(ecg * 1000).astype(int)),
}


@pytest.fixture(scope="module")
def ecg() -> np.ndarray:
    return simulate(5, 0, draw_patient(5, 0, 1))[1].astype(float)[:, :1200]


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if kind != "ishne"])  # ISHNE states no length to rely on
def test_a_truncated_file_never_gives_an_ecg(kind, ecg, tmp_path):
    path = WRITERS[kind](tmp_path, ecg)
    whole = path.read_bytes()
    for share in np.linspace(0, 0.999, 25):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(RecordError):
            read_record(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_changed_bytes_give_one_line_or_a_plausible_ecg(kind, ecg, tmp_path):
    path = WRITERS[kind](tmp_path, ecg)
    whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for trial in range(120):
        damaged = bytearray(whole)
        reach = 600 if trial % 2 else len(whole)  # half of them in the header
        for place in rng.integers(0, min(reach, len(whole)), 8):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            record = read_record(path)
        except RecordError as error:
            refused += 1
            assert path.name in str(error) and str(error).isprintable() and len(str(error)) < 400
        else:
            assert np.isfinite(record.signal).all() and record.signal.shape[0] == 12
    assert refused

"""Corpora come from several archives: a folder of the Challenge, zips of Zenodo, files of a Git repository."""

import hashlib
import json
import os
import zipfile
from io import BytesIO

import h5py
import numpy as np
import pytest

from cardiolect.data_provider.corpora.download.sources import SOURCES
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LIMB_FROM_I_II
from cardiolect.utils.errors import UserError
from tests.helpers.downloads import FileServer, get, physionet


def test_a_corpus_of_the_challenge_is_its_folder_alone(server, corpus, tmp_path):
    files = {"RECORDS": b"all", "training/ningbo/g1/JS10647.hea": b"another corpus"}
    for header in sorted((corpus / "records500").rglob("*.hea"))[:4]:
        for path in (header, header.with_suffix(".dat")):
            files[f"training/georgia/g1/{path.name}"] = path.read_bytes()
    physionet(server, "challenge-2021/1.0.3", files)
    assert get(server, tmp_path / "corpus", "georgia")
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == [".download", "g1"]
    assert prepare("georgia", tmp_path / "corpus", tmp_path / "manifest").records == 4


def zenodo(server: FileServer, files: dict[str, bytes]) -> None:
    """Serve files and their list as Zenodo does."""
    listed = [
        {"key": name, "size": len(data), "checksum": f"md5:{hashlib.md5(data).hexdigest()}"}
        for name, data in files.items()
    ]
    server.files["api/records/4916206"] = json.dumps({"files": listed}).encode()
    server.files |= {f"records/4916206/files/{name}": data for name, data in files.items()}


def zipped(name: str, data: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def hdf5(exams: list[int]) -> bytes:
    buffer = BytesIO()
    tracings = np.random.default_rng(0).normal(0, 0.2, (len(exams), 4096, 12))
    tracings[..., :6] = tracings[..., :2] @ LIMB_FROM_I_II.T
    with h5py.File(buffer, "w") as file:
        file["tracings"] = tracings.astype("float32")
        file["exam_id"] = np.array(exams)
    return buffer.getvalue()


def test_code_15_is_unpacked_and_prepared_and_its_zips_go(server, tmp_path):
    rows = "exam_id,patient_id,is_male,age,trace_file\n7,1,True,50,exams_part0.hdf5\n8,2,False,60,exams_part1.hdf5\n"
    parts = {f"exams_part{i}.zip": zipped(f"exams_part{i}.hdf5", hdf5([7 + i])) for i in range(2)}
    zenodo(server, {"exams.csv": rows.encode(), **parts})
    server.breaks["records/4916206/files/exams_part1.zip"] = 1
    folder = tmp_path / "corpus"
    assert get(server, folder, "code-15")
    assert {path.name for path in folder.iterdir()} == {
        ".download",
        "exams.csv",
        "exams_part0.hdf5",
        "exams_part1.hdf5",
        "layout.json",
    }
    assert prepare("code-15", folder, tmp_path / "manifest").records == 2
    assert read_record(f"{folder}/exams_part1.hdf5#8").fs == 400
    server.requests.clear()
    assert get(server, folder, "code-15") and server.requests == []
    (folder / "exams_part1.hdf5").write_bytes(bytes((folder / "exams_part1.hdf5").stat().st_size))
    assert get(server, folder, "code-15", verify=True)  # the unpacked file has a checksum of its own
    assert server.fetched() == ["records/4916206/files/exams_part1.zip"]
    assert read_record(f"{folder}/exams_part1.hdf5#8").fs == 400


def test_a_zip_writes_nothing_but_its_part(server, tmp_path):
    zenodo(server, {"exams.csv": b"exam_id\n", "exams_part0.zip": zipped("../../outside.hdf5", b"x")})
    with pytest.raises(UserError, match=r"holds 0 files named exams_part0\.hdf5"):
        get(server, tmp_path / "a/corpus", "code-15")
    assert not list(tmp_path.rglob("outside*"))
    zenodo(server, {"exams.csv": b"exam_id\n", "exams_part0.zip": zipped("../../exams_part0.hdf5", b"x")})
    assert get(server, tmp_path / "b/corpus", "code-15")
    assert [path.parent.name for path in (tmp_path / "b").rglob("*.hdf5")] == ["corpus"]


def test_ecg_qa_is_verified_by_gits_own_checksums(server, tmp_path):
    source = SOURCES["ecg-qa"]
    commit = source.listing.split("/")[-1].partition("?")[0]
    path, data = "ecgqa/ptbxl/template/train/00000.json", b"[]"
    digest = hashlib.sha1(b"blob 2\0[]").hexdigest()
    assert digest == "0637a088a01e8ddab3bf3fa98dbe804cbde1a0dc"  # as `git hash-object` says
    tree = [
        {"path": path, "type": "blob", "sha": digest, "size": 2},
        {"path": "ecgqa", "type": "tree", "sha": "0"},
        {"path": "mapping.py", "type": "blob", "sha": "1", "size": 1},
    ]
    server.files[source.listing.partition("?")[0]] = json.dumps({"tree": tree, "truncated": False}).encode()
    server.files[f"Jwoo5/ecg-qa/{commit}/{path}"] = data
    assert get(server, tmp_path, "ecg-qa")
    assert (tmp_path / path).read_bytes() == data and not os.path.exists(tmp_path / "mapping.py")

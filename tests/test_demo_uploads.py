"""What the demo refuses: every upload that means harm gets one line, and leaves nothing behind."""

import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from data_provider.readers import read_record
from data_provider.record import LEADS
from model.serving.demo import server
from model.serving.demo.uploads import read_upload

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'cardiolect[demo]'")

import httpx

from tests.test_demo import ATTACK, ask, new_client, upload, visible, write_record

LAYOUT = {"sampling_rate": 500, "unit": "mV", "leads": list(LEADS)}


@pytest.fixture(scope="module")
def demo(checkpoint_folder):
    """The page; uploads of at most 2 MB."""
    running = server.start(checkpoint_folder, port=0, device="cpu", max_upload_mb=2)
    yield running
    running.close()
    assert not running.folder.exists()


def hostile_files(folder: Path) -> list[tuple[list[Path], str]]:
    """Uploads and the line that each is refused with."""
    header, signal = write_record(folder)
    text = header.read_text()

    def put(name: str, content: bytes | str) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    layout = put("layout.json", json.dumps(LAYOUT))
    noise = np.random.default_rng(0).bytes(20_000)
    with zipfile.ZipFile(folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("signal.npy", bytes(300_000_000))
    # One byte a sample in the file, eight when it is read.
    np.savez_compressed(folder / "grows.npz", signal=np.zeros((12, 2_100_000), "i1"), fs=500, unit="mV", leads=LEADS)
    with (folder / "promises.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (12, 10**9)})
    with h5py.File(folder / "bomb.h5", "w") as file:
        file.create_dataset("tracings", (1, 10**8, 12), "f4", compression="gzip", chunks=(1, 10**6, 12))
    with h5py.File(folder / "link.h5", "w") as file:
        file["tracings"] = h5py.ExternalLink("/etc/passwd", "tracings")
    rows = "\n".join("0.1,0.2,0.3" for _ in range(600)) + "\n"
    return [
        ([header], "ecg.hea: its signal file ecg.dat is missing"),
        ([signal], "the header is missing"),
        ([put("a/x.hea", text.replace("ecg.dat", "../ecg.dat")), signal], "is not in the record's folder"),
        ([put("b/x.hea", text.replace("ecg.dat", "/etc/passwd")), signal], "is not in the record's folder"),
        ([put("c/ecg.hea", text.replace(" I\n", f" {ATTACK}\n").replace("ecg 12", f"{ATTACK} 12")), signal], ATTACK),
        ([put("html.csv", f"time,{ATTACK.replace(',', '')},<b>V1</b>\n{rows}"), layout], ATTACK[:20]),
        *(([put(f"noise.{kind}", noise), layout], f"noise.{kind}: ") for kind in
          ("csv", "npy", "npz", "h5", "edf", "bdf", "dcm", "xml", "hea")),
        ([put("ecg.edf", rows)], "its EDF header does not"),
        ([put("setup.exe", noise)], "files .exe are not read"),
        ([put("README", noise)], "a file without extension is not read"),
        ([folder / "bomb.npz", layout], "holds more than 25,000,000 samples"),
        ([folder / "grows.npz"], "holds more than 25,000,000 samples"),
        ([folder / "promises.npy", layout], "holds more than 25,000,000 samples"),
        ([folder / "bomb.h5", layout], "holds more than 25,000,000 samples"),
        ([put("short.csv", "I,II,V1,V2,V3,V4,V5,V6\n" + "0.1,0.2,0.1,0.2,0.3,0.4,0.5,0.6\n0,0,0,0,0,0,0,0\n" * 500),
          put("short.layout.json", json.dumps({"sampling_rate": 500, "unit": "mV"}))], "at least 2.5 s are needed"),
        ([folder / "link.h5", layout], "link.h5: "),
        ([header, signal, put("ecg.csv", rows)], "2 recordings at once"),
        ([put(f"many/{i}.dat", b"x") for i in range(9)], "9 files"),
        ([layout], "the recording is missing"),
    ]  # fmt: skip


def test_every_hostile_upload_is_refused_with_a_line_and_leaves_no_ecg(demo, capfd, tmp_path):
    client = new_client(demo, tmp_path)
    for paths, reason in hostile_files(tmp_path):
        shown = upload(client, *paths)
        line = visible(shown["about"])
        assert line.startswith("Not read. ") and reason in line, (paths, line)
        assert "<img" not in shown["about"] and "<b>" not in shown["about"] and str(demo.folder) not in line
        assert not shown["paper"] and shown["tokens"] == ""
    with pytest.raises(Exception, match="there is no ECG"):
        ask(client)
    logged = "".join(capfd.readouterr())
    assert not any(path.name in logged for paths, _ in hostile_files(tmp_path) for path in paths)


def test_a_file_or_request_that_is_too_large_is_refused_before_it_is_read(demo, tmp_path):
    for files, line in (
        ([("files", ("a.npy", bytes(2**21 + 1)))], "maximum allowed size"),
        ([("files", (f"{i}.npy", bytes(2**20))) for i in range(4)], "larger than 2 MB"),
    ):
        answer = httpx.post(f"{demo.url}gradio_api/upload", files=files)
        assert answer.status_code == 413 and line in answer.text


def test_a_path_in_a_file_name_stays_in_the_private_folder(demo):
    name = "../../../../cardiolect-escaped.csv"
    stored = httpx.post(f"{demo.url}gradio_api/upload", files=[("files", (name, b"0,1\n"))]).json()
    assert all(Path(path).resolve().is_relative_to(demo.folder.resolve()) for path in stored)
    assert demo.folder.stat().st_mode & 0o077 == 0


def test_an_hour_is_read_in_part(tmp_path):
    header, signal = write_record(tmp_path, "hour", np.tile(np.float32([[0.1, -0.1]]), (12, 900_000)))
    found = read_upload([header, signal], 50 * 2**20, tmp_path)
    assert found.record.seconds == 10 and "3600 s long" in found.remarks[0]
    assert (found.record.record_id, found.record.patient_id) == ("", None)
    np.testing.assert_array_equal(found.record.signal, read_record(header).signal[:, :5000])

"""What the demo refuses: every upload that means harm gets one line, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from cardiolect.data_provider.readers import count_samples, read_record
from cardiolect.data_provider.record import LEADS, LIMB_FROM_I_II
from cardiolect.model.demo import server
from cardiolect.model.demo.temporary_files import LIFETIME_SECONDS, Sweeper, stored_bytes
from cardiolect.model.demo.uploads import MAX_SAMPLES, read_upload
from cardiolect.utils.errors import UserError
from tests.helpers.servers import LoopbackHandler, LoopbackServer, serving

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[demo]'")

import httpx

from tests.helpers.demo import ATTACK, ask, new_client, upload, visible, write_record


class Counting(LoopbackHandler):
    """Counts who asks."""

    def do_GET(self) -> None:  # noqa: N802
        self.server.asked += 1
        self.head(404, {}, 0)


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
        ([put("a/x.hea", text.replace("ecg.dat", "../other.dat")), signal], "other.dat is not in the record's folder"),
        ([put("b/x.hea", text.replace("ecg.dat", "/etc/passwd")), signal], "is not in the record's folder"),
        ([put("c/ecg.hea", text.replace(" I\n", f" {ATTACK}\n").replace("ecg 12", f"{ATTACK} 12")), signal], ATTACK),
        ([put("html.csv", f"time,{ATTACK.replace(',', '')},<b>V1</b>\n{rows}"), layout], ATTACK[:20]),
        *(
            ([put(f"noise.{kind}", noise), layout], f"noise.{kind}: ")
            for kind in ("csv", "npy", "npz", "h5", "edf", "bdf", "dcm", "xml", "hea")
        ),
        ([put("ecg.edf", rows)], "its EDF header does not"),
        ([put("setup.exe", noise)], ".exe files are not supported"),
        ([put("README", noise)], "the file has no extension"),
        (
            [put("ecg.pdf", b"%PDF-1.7\n\0")],
            "ecg.pdf: a PDF document, a picture of an ECG at best; export the ECG itself",
        ),
        ([folder / "bomb.npz", layout], "holds more than 25,000,000 samples"),
        ([folder / "grows.npz"], "holds more than 25,000,000 samples"),
        ([folder / "promises.npy", layout], "holds more than 25,000,000 samples"),
        ([folder / "bomb.h5", layout], "holds more than 25,000,000 samples"),
        (
            [
                put(
                    "short.csv", "I,II,V1,V2,V3,V4,V5,V6\n" + "0.1,0.2,0.1,0.2,0.3,0.4,0.5,0.6\n0,0,0,0,0,0,0,0\n" * 500
                ),
                put("short.layout.json", json.dumps({"sampling_rate": 500, "unit": "mV"})),
            ],
            "at least 2.5 s are needed",
        ),
        ([folder / "link.h5", layout], "link.h5: "),
        ([header, signal, put("ecg.csv", rows)], "2 recordings were uploaded at once"),
        ([put(f"many/{i}.dat", b"x") for i in range(9)], "9 files"),
        ([layout], "the recording is missing"),
    ]


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


def test_a_request_of_unknown_length_is_refused(demo):
    answer = httpx.post(f"{demo.url}gradio_api/upload", content=iter([b"x" * 100]))
    assert answer.status_code == 413


def test_uploads_that_fill_the_folder_have_to_wait(demo, monkeypatch):
    from cardiolect.model.demo import temporary_files

    for stored, status in ((39 * 2**21, 200), (40 * 2**21, 503)):
        monkeypatch.setattr(temporary_files, "stored_bytes", lambda folder, stored=stored: stored)
        answer = httpx.post(f"{demo.url}gradio_api/upload", files=[("files", ("a.npy", b"x"))])
        assert answer.status_code == status
    assert "try again in 15 minutes" in answer.text


def test_an_address_in_the_place_of_an_upload_is_not_fetched(demo, tmp_path):
    with serving(LoopbackServer(Counting)) as elsewhere:
        elsewhere.asked = 0
        client = new_client(demo, tmp_path)
        file = {"path": f"{elsewhere.address}/ecg.csv", "meta": {"_type": "gradio.FileData"}}
        for arguments, name in (([[file], 0, None, ""], "/upload"), ([file, None, "", 5, 0], "/ask")):
            with pytest.raises(Exception, match="only uploaded files are read"):
                client.predict(*arguments, api_name=name)
        assert elsewhere.asked == 0


def test_an_upload_that_broke_off_is_deleted_as_well(demo):
    address = urlsplit(demo.url)
    begin = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.npy"\r\n\r\n' + b"PATIENT " * 100_000
    head = "POST /gradio_api/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"{head}Content-Length: 1500000\r\n\r\n".encode() + begin)
        time.sleep(1)
    assert stored_bytes(demo.folder) > 700_000
    demo.sweeper.sweep()
    assert stored_bytes(demo.folder) > 700_000, "it is not a quarter of an hour old"
    kept = sum(path.stat().st_size for path in demo.sweeper.permanent)
    try:
        demo.sweeper.lifetime = -1.0
        demo.sweeper.sweep()
    finally:
        demo.sweeper.lifetime = LIFETIME_SECONDS
    assert stored_bytes(demo.folder) == kept > 0, "the pictures that the page begins with stay"


def test_files_are_deleted_by_age_without_being_asked(tmp_path):
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "picture.png").write_text("x")
    sweeper = Sweeper(tmp_path, lifetime=0.2, interval=0.05)
    (tmp_path / "upload").mkdir()
    (tmp_path / "upload" / "ecg.dat").write_text("x")
    deadline = time.monotonic() + 10
    while (tmp_path / "upload").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    sweeper.close()
    assert [path.name for path in tmp_path.rglob("*")] == ["first", "picture.png"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_however_the_demo_is_ended(checkpoint_folder, tmp_path, end):
    command = [sys.executable, "-m", "cardiolect", "demo", "--checkpoint", str(checkpoint_folder), "--port", "0"]
    with subprocess.Popen(
        command,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(end, signal.SIG_DFL),  # a shell's background jobs ignore Ctrl-C
    ) as process:
        try:
            url = process.stdout.readline().removeprefix("demo: ").strip()
            httpx.post(f"{url}gradio_api/upload", files=[("files", ("a.npy", b"x"))]).raise_for_status()
            assert stored_bytes(tmp_path) > 0
            process.send_signal(end)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert list(tmp_path.glob("cardiolect-demo-*")) == [] and "Traceback" not in said


def test_a_path_in_a_file_name_stays_in_the_private_folder(demo):
    name = "../../../../cardiolect-escaped.csv"
    stored = httpx.post(f"{demo.url}gradio_api/upload", files=[("files", (name, b"0,1\n"))]).json()
    assert all(Path(path).resolve().is_relative_to(demo.folder.resolve()) for path in stored)
    assert demo.folder.stat().st_mode & 0o077 == 0


def test_files_that_do_not_belong_together_or_are_too_large_together_are_refused(tmp_path):
    header, signal = write_record(tmp_path)
    for name in ("other/ECG.HEA", "ecg.npy", "other.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(header.read_bytes())
    for names, limit, line in (
        (["ecg.hea", "ecg.dat", "other/ECG.HEA"], 2**20, "two files have the same name"),
        (["ecg.npy", "other.dat"], 2**20, "other.dat does not belong to a .npy file"),
        (["ecg.hea", "ecg.dat"], signal.stat().st_size, "larger than 0 MB"),
    ):
        with pytest.raises(UserError, match=line):
            read_upload([tmp_path / name for name in names], limit, tmp_path)


@pytest.mark.parametrize("fmt, too_many", [("80", 25_000_008), ("16", 50_000_016), ("524", 10)])
def test_the_samples_of_a_record_without_length_are_counted_by_its_file(tmp_path, fmt, too_many):
    """Twelve signals in one file that is too large, and of the other formats one that is not."""
    lines = [f"ecg.dat {fmt} 200/mV 8 0 0 0 0 {lead}" for lead in LEADS]
    (tmp_path / "ecg.hea").write_text("\n".join(["ecg 12 500", *lines]) + "\n")
    with (tmp_path / "ecg.dat").open("wb") as file:
        file.truncate(too_many)
    found = count_samples(tmp_path / "ecg.hea")
    assert found is None if fmt == "524" else found > MAX_SAMPLES
    with pytest.raises(UserError, match="holds more than 25,000,000 samples"):
        read_upload([tmp_path / "ecg.hea", tmp_path / "ecg.dat"], 2**30, tmp_path)
    if fmt != "524":
        with (tmp_path / "ecg.dat").open("wb") as file:
            file.truncate(too_many - 2)
        assert count_samples(tmp_path / "ecg.hea") <= MAX_SAMPLES


def test_the_samples_of_a_dicom_file_are_counted_by_its_header(tmp_path):
    """A third of a megabyte can unpack to gigabytes."""
    dataset = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))
    groups = dataset.WaveformSequence
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    dataset.save_as(tmp_path / "ecg.dcm")
    assert count_samples(tmp_path / "ecg.dcm") == sum(12 * group.NumberOfWaveformSamples for group in groups)
    groups[0].WaveformData, groups[0].NumberOfWaveformSamples = bytes(2 * 12 * 3_000_000), 3_000_000
    dataset.save_as(tmp_path / "bomb.dcm")
    assert (tmp_path / "bomb.dcm").stat().st_size < 500_000
    with pytest.raises(UserError, match="holds more than 25,000,000 samples"):
        read_upload([tmp_path / "bomb.dcm"], 2**20, tmp_path)


def test_a_high_sampling_rate_is_refused(tmp_path):
    signal = np.cumsum(np.random.default_rng(0).normal(0, 0.001, (12, 60_000)), 1).astype("f4")
    signal[:6] = LIMB_FROM_I_II @ signal[:2]
    np.savez(tmp_path / "fast.npz", signal=signal, fs=20_000, unit="mV", leads=LEADS)
    with pytest.raises(UserError, match="sampled at 20000 Hz; the limit is 10,000"):
        read_upload([tmp_path / "fast.npz"], 2**30, tmp_path)


def test_an_hour_is_read_in_part(tmp_path):
    sizes = np.array([[1], [3], [2], [-2], [-0.5], [2.5], *[[1]] * 6])
    header, signal = write_record(tmp_path, "hour", np.tile(np.float32([[0.1, -0.1]]), (12, 900_000)) * sizes)
    found = read_upload([header, signal], 50 * 2**20, tmp_path)
    assert found.record.seconds == 10 and "3600 s long" in found.warnings[0]
    assert (found.record.record_id, found.record.patient_id) == ("", None)
    np.testing.assert_array_equal(found.record.signal, read_record(header).signal[:, :5000])


@pytest.mark.parametrize("stated", [{"sampling_rate": 250.0}, {"unit": "uV"}])
def test_what_the_files_state_counts_and_not_what_was_entered(tmp_path, stated):
    paths = write_record(tmp_path)
    plain, found = (read_upload(paths, 2**20, tmp_path, stated=given) for given in (None, stated))
    assert (
        found.warnings[0] == ("The files state their own rate and unit; what was entered on the page is not used.")
        and found.warnings[1:] == plain.warnings
    )
    assert found.record.fs == plain.record.fs == 500
    np.testing.assert_array_equal(found.record.signal, plain.record.signal)

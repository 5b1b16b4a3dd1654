"""Openly served corpora are downloaded whole, verified and resumable, from a server that fails as servers do."""

import shutil
import signal
import subprocess
import time
from types import SimpleNamespace

import pytest

from cardiolect.data_provider.corpora.download.folder import readable
from cardiolect.data_provider.corpora.download.http_files import TRIES, WRONG
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.utils.errors import UserError
from tests.helpers.downloads import SIGNAL, URL, FileServer, command, get, physionet


def test_a_download_is_prepared_as_it_is_and_a_second_run_fetches_nothing(ptbxl, tmp_path):
    assert get(ptbxl, tmp_path / "corpus")
    assert not list((tmp_path / "corpus").rglob("*.part"))
    done = prepare("ptb-xl", tmp_path / "corpus", tmp_path / "manifest")
    assert (done.records, done.left_out["recordings that are not on disk"]) == (10, 110)
    ptbxl.requests.clear()
    assert get(ptbxl, tmp_path / "corpus") and ptbxl.requests == []


def test_size_is_said_before_anything_is_fetched(ptbxl, tmp_path, capsys):
    def refuse() -> bool:
        total = sum(len(data) for path, data in ptbxl.files.items() if "SHA256" not in path)
        said = capsys.readouterr().out
        assert "23 files, 0 already verified, 23 to fetch, about" in said and "free in" in said
        megabytes = float(said.split("about ")[1].split(" MB")[0])
        assert megabytes == pytest.approx(total / 1e6, rel=0.02)
        return False

    assert not get(ptbxl, tmp_path, go_ahead=refuse)
    assert ptbxl.fetched() == ["ptb-xl/1.0.3/SHA256SUMS.txt"]


def test_without_yes_nothing_is_fetched_and_the_command_says_so(ptbxl, tmp_path):
    done = subprocess.run(command(ptbxl, tmp_path), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "to fetch" in done.stdout and "add --yes" in done.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and ".download" not in path.parts]


def test_a_killed_download_goes_on_and_fetches_only_the_rest(ptbxl, tmp_path, capsys):
    ptbxl.hangs[URL] = 1
    process = subprocess.Popen(command(ptbxl, tmp_path, "--yes"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / f"{SIGNAL}.part"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
        part.is_file() and part.stat().st_size and len(list(tmp_path.rglob("*_hr.???"))) == 19
    ):
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    here, data = part.stat().st_size, ptbxl.files[URL]
    assert 0 < here < len(data) and not (tmp_path / SIGNAL).exists()
    ptbxl.requests.clear()
    ptbxl.sent.clear()
    assert get(ptbxl, tmp_path)
    assert f"22 already verified, 1 to fetch, {readable(len(data) - here)}" in capsys.readouterr().out
    assert ("GET", URL, f"bytes={here}-") in ptbxl.requests
    assert ptbxl.sent[URL] == len(data) - here and (tmp_path / SIGNAL).read_bytes() == data
    assert len(ptbxl.fetched()) == 1  # the other files were there


def test_a_broken_connection_is_taken_up_where_it_broke(ptbxl, tmp_path):
    ptbxl.breaks[URL] = TRIES + 1  # each time new bytes came
    assert get(ptbxl, tmp_path)
    assert ptbxl.sent[URL] == len(ptbxl.files[URL]) and ptbxl.fetched().count(URL) == TRIES + 2


def test_a_server_without_ranges_sends_the_file_anew(ptbxl, tmp_path):
    ptbxl.breaks[URL], ptbxl.ranges = 1, False
    assert get(ptbxl, tmp_path) and ptbxl.fetched().count(URL) == 2
    assert (tmp_path / SIGNAL).read_bytes() == ptbxl.files[URL]


def test_a_server_that_is_busy_is_asked_again_when_it_says(ptbxl, tmp_path, capsys):
    ptbxl.refusals[URL] = [(503, {}), (429, {"Retry-After": "1"}), (416, {})]
    start = time.monotonic()
    assert get(ptbxl, tmp_path) and time.monotonic() - start > 1
    assert "429; retrying in 1 s" in capsys.readouterr().err


def test_damaged_bytes_are_fetched_again(ptbxl, tmp_path):
    ptbxl.damages[URL] = WRONG - 1
    assert get(ptbxl, tmp_path)
    assert (tmp_path / SIGNAL).read_bytes() == ptbxl.files[URL]


def test_what_stays_damaged_or_is_not_there_is_named_and_never_gets_its_name(ptbxl, tmp_path):
    ptbxl.damages[URL] = 99
    gone = SIGNAL.replace("00002", "00003")
    del ptbxl.files[URL.replace("00002", "00003")]
    with pytest.raises(UserError) as caught:
        get(ptbxl, tmp_path)
    message = str(caught.value)
    assert f"{SIGNAL}: its checksum differs" in message and f"{gone}: the server returned 404" in message
    assert "2 of 23 files" in message and "\n" not in message
    assert not (tmp_path / SIGNAL).exists() and len(list((tmp_path / "records500").rglob("*_hr.dat"))) == 8


def test_a_damaged_file_is_found_by_verify_and_set_aside(ptbxl, tmp_path):
    get(ptbxl, tmp_path)
    data = (tmp_path / SIGNAL).read_bytes()
    (tmp_path / SIGNAL).write_bytes(bytes(len(data)))
    assert get(ptbxl, tmp_path, verify=True)
    assert (tmp_path / SIGNAL).read_bytes() == data
    assert (tmp_path / f"{SIGNAL}.differs").read_bytes() == bytes(len(data))


def test_files_that_another_program_fetched_are_hashed_not_fetched(ptbxl, tmp_path, capsys):
    get(ptbxl, tmp_path)
    lines = tmp_path / ".download/verified.tsv"
    lines.write_bytes(lines.read_bytes()[:-30])  # a killed run: half a line
    (tmp_path / SIGNAL).write_bytes(b"short")
    ptbxl.requests.clear()
    assert get(ptbxl, tmp_path) and ptbxl.fetched() == [URL]
    assert get(ptbxl, tmp_path) and "23 already verified, 0 to fetch" in capsys.readouterr().out
    lines.unlink()
    ptbxl.requests.clear()
    assert get(ptbxl, tmp_path) and ptbxl.fetched() == []


def test_a_file_with_another_checksum_in_the_list_is_fetched_again(ptbxl, tmp_path):
    get(ptbxl, tmp_path)
    files = {path.removeprefix("ptb-xl/1.0.3/"): data for path, data in ptbxl.files.items() if "SHA256" not in path}
    physionet(ptbxl, "ptb-xl/1.0.3", {**files, "LICENSE.txt": b"CC BY 4.1\n"})
    (tmp_path / ".download/ptb-xl.list").unlink()
    ptbxl.requests.clear()
    assert get(ptbxl, tmp_path)
    assert ptbxl.fetched() == ["ptb-xl/1.0.3/SHA256SUMS.txt", "ptb-xl/1.0.3/LICENSE.txt"]


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "a\\..\\outside", ".download/lock"])
def test_a_name_that_leaves_the_folder_is_refused(server, tmp_path, name):
    physionet(server, "ptb-xl/1.0.3", {"ptbxl_database.csv": b"x", name: b"x"})
    with pytest.raises(UserError, match="unsafe path"):
        get(server, tmp_path / "corpus")
    assert len(server.requests) == 1 and not list(tmp_path.rglob("outside"))


def test_a_page_in_place_of_the_list_is_no_list(server, tmp_path):
    server.files["ptb-xl/1.0.3/SHA256SUMS.txt"] = b"<html>Log in</html>"
    with pytest.raises(UserError, match="not the expected list of files"):
        get(server, tmp_path)
    server.files.clear()
    with pytest.raises(UserError, match="404"):  # nor was it kept
        get(server, tmp_path)


def test_a_disk_without_room_is_seen_before_and_one_that_fills_up_during_the_download(ptbxl, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
        with pytest.raises(UserError, match=r"needed, 100 kB free; .*--only"):
            get(ptbxl, tmp_path)
    assert ptbxl.fetched() == ["ptb-xl/1.0.3/SHA256SUMS.txt"]
    (tmp_path / SIGNAL).parent.mkdir(parents=True)
    (tmp_path / f"{SIGNAL}.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full; free some space and run the same command"):
        get(ptbxl, tmp_path)


def test_no_network_is_one_line_and_exit_code_2(ptbxl, tmp_path, monkeypatch):
    monkeypatch.setattr("cardiolect.data_provider.corpora.download.http_files.TRIES", 2)
    gone = FileServer()
    gone.server_close()
    with pytest.raises(UserError, match="no connection, 2 times; check the network"):
        get(gone, tmp_path)
    bad = [*command(ptbxl, tmp_path, "--yes")[:-2], "http://physionet.org/files", "--yes"]
    done = subprocess.run(bad, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "only https" in done.stderr


def test_a_redirection_to_an_open_connection_is_refused(ptbxl, tmp_path):
    ptbxl.refusals["ptb-xl/1.0.3/SHA256SUMS.txt"] = [
        (302, {"Location": f"http://[::ffff:127.0.0.1]:{ptbxl.server_port}/"})
    ]
    with pytest.raises(UserError, match="redirected to http"):
        get(ptbxl, tmp_path)


def test_a_part_is_taken_with_the_tables_that_prepare_needs(ptbxl, tmp_path):
    assert get(ptbxl, tmp_path, only=["records500/*/00002_hr.*"])
    names = {path.name for path in tmp_path.rglob("*") if path.is_file() and ".download" not in path.parts}
    assert names == {"ptbxl_database.csv", "scp_statements.csv", "00002_hr.dat", "00002_hr.hea"}
    with pytest.raises(UserError, match="no file matches"):
        get(ptbxl, tmp_path, only=["records900/*"])


def test_a_folder_holds_one_corpus_and_one_download(ptbxl, tmp_path):
    def meanwhile() -> bool:
        with pytest.raises(UserError, match="another download is using this folder"):
            get(ptbxl, tmp_path)
        return True

    assert get(ptbxl, tmp_path, go_ahead=meanwhile)
    with pytest.raises(UserError, match="this folder holds ptb-xl"):
        get(ptbxl, tmp_path, "georgia")

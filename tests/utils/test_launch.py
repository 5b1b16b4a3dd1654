"""Several ranks of a run on one machine: what the command that started them tells its caller, and that all end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from tests.helpers import ROOT

RANKS = """
import os, sys, time
if "RANK" not in os.environ:  # ranks need not wait for PyTorch
    from cardiolect.utils.launch import ensure_ranks
    ensure_ranks(2)
ends = sys.argv[1:][int(os.environ["RANK"])]
time.sleep(0.5 * ends.startswith("late"))
if ends.endswith("abort"):
    os.abort()
sys.exit(int(ends[-1]))
"""


def code_of(ends, folder) -> int:
    """The exit code of a command whose two ranks end as stated."""
    script = folder / "ranks.py"
    script.write_text(RANKS)
    env = {"PATH": "", "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, script, *ends], env=env, capture_output=True, timeout=300).returncode


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (("0", "0"), 0),
        (("2", "0"), 2),
        (("0", "late 2"), 2),
        (("late 2", "abort"), 2),  # a rank left alone may abort before the other has told why it failed
        (("2", "late abort"), 2),
    ],
)
def test_the_code_of_the_rank_that_says_why_it_failed_is_passed_on(ends, code, tmp_path):
    assert code_of(ends, tmp_path) == code


def test_a_rank_that_aborts_alone_is_a_failure_but_not_of_the_input(tmp_path):
    assert code_of(("abort", "late 0"), tmp_path) not in (0, 2)


WAITING = """
import os, sys, time
from pathlib import Path
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

def main():
    if "RANK" not in os.environ or sys.argv[2] == "follow":
        from cardiolect.utils.launch import ensure_ranks
        ensure_ranks(2)
    Path(sys.argv[1], os.environ["RANK"]).write_text(str(os.getpid()))
    if sys.argv[2] == "fail" and os.environ["RANK"] == "0":
        raise UserError("KEY: bad")
    time.sleep(60)

run_command(main, every_rank=True)
"""


def start(folder: Path, word: str) -> subprocess.Popen:
    """A command whose two ranks wait, or one of them fails."""
    script = folder / "waiting.py"
    script.write_text(WAITING)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    words, null = ["nohup", sys.executable, script, folder, word], subprocess.DEVNULL

    def heed_interrupts() -> None:
        """Tests that a shell runs in the background ignore SIGINT, and so would what they start."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return subprocess.Popen(
        words, env=env, stdin=null, stdout=null, stderr=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )


def process_ids(folder: Path) -> list[int]:
    """Those of the two ranks, once they wait."""
    files = [folder / "0", folder / "1"]
    deadline = time.monotonic() + 120
    while not all(file.is_file() and file.read_text() for file in files) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [int(file.read_text()) for file in files]


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"


@pytest.mark.parametrize(
    ("who", "number", "code", "printed"),
    [
        ("command", signal.SIGINT, 130, ""),
        ("command", signal.SIGTERM, 143, ""),
        ("command", signal.SIGKILL, -9, ""),
        ("rank 1", signal.SIGKILL, 137, "error: rank 1 was ended by SIGKILL, perhaps for lack of memory\n"),
    ],
)
def test_no_rank_outlives_the_others(who, number, code, printed, tmp_path):
    command = start(tmp_path, "follow" if code == -9 else "wait")
    ranks = process_ids(tmp_path)
    os.kill(command.pid, signal.SIGHUP)  # ignored, because of nohup
    os.kill(command.pid if who == "command" else ranks[1], number)
    assert (command.wait(120), command.stderr.read()) == (code, printed)
    deadline = time.monotonic() + 30
    while any(map(alive, ranks)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, ranks))


def test_bad_input_is_one_line_of_one_rank(tmp_path):
    command = start(tmp_path, "fail")
    assert (command.wait(120), command.stderr.read()) == (2, "error: KEY: bad\n")


JOINED = """
import atexit, os, sys, time
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import ensure_ranks, join_ranks, leave_ranks

def main():
    ensure_ranks(2)
    join_ranks("cpu")
    if sys.argv[1] == "together":
        leave_ranks()
        return
    atexit.register(os.abort)  # as the threads of a process group may
    raise UserError("KEY: bad") if sys.argv[1] == "fail" else SystemExit(75)

run_command(main, every_rank=True)
"""


@pytest.mark.parametrize(
    ("word", "code", "printed"), [("fail", 2, "error: KEY: bad\n"), ("stop", 75, ""), ("together", 0, "")]
)
def test_ranks_that_leave_their_group_by_themselves_tell_their_code(word, code, printed, tmp_path):
    """Now and then a rank with bad input ended with 134 and "terminate called without an active exception"."""
    (tmp_path / "joined.py").write_text(JOINED)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, tmp_path / "joined.py", word]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (code, printed)


LINES = """
import sys
from cardiolect.data_provider.splits import load_splits
from cardiolect.data_provider.storage.shards import open_shards
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils.command_line import run_command
from cardiolect.utils.launch import ensure_ranks
from pathlib import Path

def main():
    settings = FinetuneSettings.read(sys.argv[1])
    ensure_ranks(settings.num_processes)
    load_splits(settings, ("train", "valid"), task="qa")
    open_shards(Path(sys.argv[2]))

run_command(main, every_rank=True)
"""


def test_the_ranks_of_a_run_say_each_line_once(tmp_path, corpus):
    """Lines about settings came from the command and its first rank, those about texts and caches from every rank."""
    (tmp_path / "lines.py").write_text(LINES)
    (tmp_path / "shard.json").write_text("{")
    questions = json.loads((corpus / "comparisons/train.json").read_text())
    other = next(ref.record_id for ref in load_database(corpus).values() if ref.fold == 9)
    questions[0]["ecg_id"] = [questions[0]["ecg_id"][0], int(other)]  # a recording of another fold
    (tmp_path / "train.json").write_text(json.dumps(questions))
    lines = {
        "TASKTYPE": "qa",
        "DATA_ROOT": corpus,
        "OUTPUT_DIR": tmp_path / "out",
        "CACHE_DIR": tmp_path / "cache",
        "TRAIN_DATA": tmp_path / "train.json",
        "VALID_DATA": corpus / "questions/valid.json",
        "TRAIN_FOLDS": "1-8",
        "PRECISION": "auto",
        "NUM_PROCESSES": 2,
    }
    (tmp_path / "run.env").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    words = [sys.executable, tmp_path / "lines.py", tmp_path / "run.env", tmp_path]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()
    assert len(said) == len(set(said)), done.stdout
    for part in ("PRECISION=auto", "train", "comparisons", "damaged shard"):
        assert any(part in line for line in said), f"{part}: {done.stdout}"

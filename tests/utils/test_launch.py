"""Several ranks of a run on one machine: what the command that started them tells its caller, and that all end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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

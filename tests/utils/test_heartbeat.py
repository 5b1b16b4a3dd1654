"""A rank whose machine is gone, without closing a connection, does not keep the others waiting."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.helpers import ROOT

RANK = """
import os, signal, sys
from pathlib import Path
from cardiolect.utils import heartbeat
from cardiolect.utils.launch import barrier, gather, join_ranks, leave_ranks, rank
heartbeat.SECONDS = 0.1
join_ranks("cpu")
gather(rank())
if sys.argv[1] == str(rank()):
    os.kill(os.getpid(), signal.SIGSTOP)  # as a machine without power: no answer, and no closed connection
barrier()
leave_ranks()
"""


@pytest.fixture
def ranks(tmp_path):
    """Starts two ranks, of which one or none stops for good."""
    (tmp_path / "rank.py").write_text(RANK)
    started = []

    def start(stopping: str) -> list[subprocess.Popen]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
        for number in ("0", "1"):
            env = {**os.environ, "PYTHONPATH": str(ROOT), **place, "RANK": number, "LOCAL_RANK": number}
            words = [sys.executable, tmp_path / "rank.py", stopping]
            started.append(subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True))
        return started

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("stopping", "line"),
    [("1", "no sign of life of rank 1 on "), ("0", "rank 1 has not reached the first rank for ")],
)
def test_a_rank_that_is_silent_ends_the_others_with_one_line(ranks, stopping, line):
    started = ranks(stopping)
    other = started[1 - int(stopping)]
    _, printed = other.communicate(timeout=120)
    assert other.returncode == 1
    lines = [each for each in printed.splitlines() if each.startswith("error: ")]
    assert len(lines) == 1 and line in lines[0] and lines[0].endswith("see docs/CLUSTER.md"), printed


def test_a_job_that_is_suspended_and_resumed_loses_no_rank(ranks):
    started = ranks("0")
    deadline = time.monotonic() + 120
    while _state(started[0].pid) != "T" and time.monotonic() < deadline:
        time.sleep(0.05)
    started[1].send_signal(signal.SIGSTOP)
    time.sleep(4)  # longer than the silence after which a rank is lost
    for process in started:
        process.send_signal(signal.SIGCONT)
    assert [process.wait(120) for process in started] == [0, 0]


def _state(process: int) -> str:
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]

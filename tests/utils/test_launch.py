"""Several ranks of a run on one machine: what the command that started them tells its caller."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT

RANKS = """
import os, sys, time
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
    return subprocess.run([sys.executable, script, *ends], env=env, capture_output=True, timeout=60).returncode


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

"""Ranks that have the cache folder in common look at the recordings of a table once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT

RANKS = """
import sys
from pathlib import Path
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.texts import shared_examples
from cardiolect.utils.command_line import run_command
from cardiolect.utils.launch import ensure_ranks, gather, is_main, join_ranks, leave_ranks, rank

corpus, questions, cache, separate = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "separate"
asked, on_disk = [], shared_examples.is_on_disk

def main():
    ensure_ranks(2)
    join_ranks("cpu")
    shared_examples.is_on_disk = lambda path: asked.append(path) or on_disk(path)
    folder = cache / str(rank()) if separate else cache
    read = lambda: shared_examples.examples_of_files([questions], corpus, load_database(corpus), False, folder)[0]
    read()
    asked.clear()
    texts = [(e.sample_id, [r.record_id for r in e.records]) for e in read()]
    found = gather((len(asked), texts))
    if is_main():
        print([asked for asked, _ in found], found[0][1] == found[1][1], len(texts) > 0)
    leave_ranks()

run_command(main, every_rank=True)
"""


def ranks(folder: Path, corpus: Path, questions: Path, *words: str) -> subprocess.CompletedProcess:
    (folder / "ranks.py").write_text(RANKS)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, folder / "ranks.py", corpus, questions, folder / "cache", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("place", ["common", "separate"])
def test_one_rank_for_each_cache_folder_looks_for_the_recordings(tmp_path, corpus, place):
    """Each rank did, 800,000 times on a network drive."""
    questions = corpus / "questions/valid.json"
    done = ranks(tmp_path, corpus, questions, place)
    assert done.returncode == 0, done.stderr[-3000:]
    records = len({i for item in json.loads(questions.read_text()) for i in item["ecg_id"]})
    assert done.stdout == f"[{records}, {records if place == 'separate' else 0}] True True\n"


def test_an_error_of_that_rank_is_one_line_of_the_run(tmp_path, corpus):
    items = json.loads((corpus / "questions/valid.json").read_text())
    items[0]["ecg_id"] = [99999]
    (tmp_path / "questions.json").write_text(json.dumps(items))
    done = ranks(tmp_path, corpus, tmp_path / "questions.json", "common")
    assert done.returncode == 2 and done.stderr.count("error: ") == 1, done.stderr

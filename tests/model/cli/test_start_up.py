"""A command imports what its answer needs, and no more."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT

QUESTION = "Does this ECG show atrial fibrillation?"
PROBE = """
import gc, json, sys
from cardiolect.model.cli import ask, commands

answer = ask._print_stream
ask._print_stream = lambda *given, **options: print("collects", gc.isenabled()) or answer(*given, **options)
try:
    commands.run()
finally:
    print(json.dumps(sorted(sys.modules)))
"""


def run(*arguments) -> tuple[int, list[str], set[str]]:
    """Exit code, printed lines and the packages that a command has imported, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    *printed, modules = done.stdout.splitlines()
    return done.returncode, printed, set(json.loads(modules))


def test_a_question_to_a_merged_checkpoint_waits_for_nothing_that_its_answer_does_not_need(said, stock, record):
    arguments = ("ask", record, QUESTION, "--checkpoint", stock, "--max-new-tokens", 12, "--device", "cpu")
    code, printed, modules = run(*arguments)
    assert code == 0 and printed == ["collects True", *said(*arguments).splitlines()]
    unused = "peft bitsandbytes deepspeed datasets evaluate nltk sklearn matplotlib pydicom h5py edfio"
    assert set(unused.split()) & modules == set()


def test_a_question_to_adapters_imports_peft(said, adapters, record):
    arguments = ("ask", record, QUESTION, "--checkpoint", adapters, "--max-new-tokens", 12, "--device", "cpu")
    code, printed, modules = run(*arguments)
    assert code == 0 and printed[1:] == said(*arguments).splitlines() and "peft" in modules


@pytest.mark.parametrize("mistake", ["record", "patient", "checkpoint"])
def test_a_mistake_is_answered_before_pytorch_is_imported(mistake, stock, record, tmp_path):
    given = {"record": record, "patient": "age 56", "checkpoint": stock} | {mistake: tmp_path / "none"}
    options = ("--checkpoint", given["checkpoint"], "--patient", given["patient"])
    code, _, modules = run("ask", given["record"], QUESTION, *options)
    assert code == 2 and {"torch", "transformers"} & modules == set()


def test_a_plain_picture_needs_no_pytorch(stock, record, tmp_path):
    code, _, modules = run("show", record, "--checkpoint", stock, "--out", tmp_path / "ecg.png")
    assert code == 0 and (tmp_path / "ecg.png").is_file()
    assert {"torch", "transformers"} & modules == set()


def test_an_ecg_is_printed_without_a_language_model(stock, record):
    code, printed, modules = run("tokens", record, "--checkpoint", stock)
    assert code == 0 and printed[-1].startswith("<|ecg_start|>")
    assert {"transformers", "vector_quantize_pytorch"} & modules == set()


@pytest.mark.parametrize("stage", ["tokenizer", "pretrain", "finetune", "eval"])
@pytest.mark.parametrize("line", ["STEPSS=3", "DATA_ROOT=data/none"])
def test_a_mistake_in_an_env_file_is_answered_before_pytorch_is_imported(stage, line, tmp_path):
    env_file = tmp_path / "run.env"
    env_file.write_text(f"OUTPUT_DIR={tmp_path}/out\n{line}\n")
    code, _, modules = run(stage, env_file)
    assert code == 2 and {"torch", "transformers", "pandas", "scipy.signal"} & modules == set()

"""Training and evaluation through their entry points on recordings of very different lengths."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from tests.helpers import ROOT
from tests.helpers.runs import command, one_thread, pretrain_lines

LENGTHS = {1: (1, 2, 3.7, 40), 9: (2,), 10: (3, 40)}  # fold -> multiples of 10 s; 400 s exceed the language model


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, corpus) -> Path:
    """The corpus with some recordings repeated to be longer, in training, validation and test folds."""
    folder = shutil.copytree(corpus, tmp_path_factory.mktemp("mixed") / "corpus")
    refs = list(load_database(folder).values())
    for fold, lengths in LENGTHS.items():
        for ref, times in zip([ref for ref in refs if ref.fold == fold], lengths, strict=False):
            signal = np.tile(read_record(ref.path).signal, int(np.ceil(times)))
            write_wfdb(ref.path, signal[:, : round(5000 * times)])
    return folder


def lines(mixed: Path, tokenizer_folder: Path) -> dict:
    tiny = pretrain_lines(mixed, tokenizer_folder)
    texts = {f"{split.upper()}_DATA": mixed / f"questions/{split}.json" for split in ("train", "valid")}
    return {**tiny, **texts, "TASKTYPE": "qa", "QUESTIONS_PER_ECG": 16, "MAX_VALID": 0}


def run(*arguments, **values) -> tuple[str, Path]:
    words, output = command(*arguments, **values)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, output


def info(output: Path) -> dict:
    return json.loads((output / "cardiolect.json").read_text())


@pytest.fixture(scope="module")
def trained(tmp_path_factory, mixed, tokenizer_folder) -> tuple[str, Path]:
    """What a run printed and its checkpoint: windows of 10 s, batches of 4000 tokens, more than one epoch."""
    limits = {"RECORD_SECONDS": 10, "BATCH_TOKENS": 4000, "BATCH_SIZE": 100, "GRADIENT_ACCUMULATION_STEPS": 2}
    folder = tmp_path_factory.mktemp("one")
    return run("finetune", folder, "ft", **lines(mixed, tokenizer_folder), **limits, MAX_STEPS=10)


def test_windows_and_batches_of_tokens_are_counted_in_the_checkpoint(trained):
    said, output = trained
    found = info(output)
    assert found["lengths"]["record_seconds"] == 10
    assert found["lengths"]["train"]["cropped_recordings"] == 3 and found["lengths"]["valid"]["cropped_recordings"] == 1
    assert found["lengths"]["train"]["unfit"]["too_long"] == 0
    assert "train: 3 recordings are longer than RECORD_SECONDS=10" in said
    assert re.search(r"BATCH_TOKENS=4000: \d+ batches per epoch, with \d+ to \d+ sequences", said)
    sequences = found["sequences"]
    assert sequences["batches_per_epoch"] % 2 == 0 and found["epochs"] > 1
    assert len(sequences["unused_by_epoch"]) == np.ceil(found["epochs"]) and sequences["unused_by_epoch"][0] == 0


def test_two_ranks_and_a_resumed_run_have_the_losses_of_one(tmp_path, mixed, tokenizer_folder, trained):
    limits = {"RECORD_SECONDS": 10, "BATCH_TOKENS": 4000, "BATCH_SIZE": 100, "NUM_PROCESSES": 2}
    values = {**lines(mixed, tokenizer_folder), **limits, "CACHE_DIR": trained[1].parent / "cache", "MAX_STEPS": 10}
    _, output = run("finetune", tmp_path, "two", **values)
    curves = [json.loads((folder / "loss_curve.json").read_text()) for folder in (trained[1], output)]
    np.testing.assert_allclose(*curves, rtol=2e-4)
    assert info(output)["valid_loss"] == pytest.approx(info(trained[1])["valid_loss"], rel=1e-4)
    words, stopped = command("finetune", tmp_path, "stopped", **values)
    process = subprocess.Popen(words, cwd=ROOT, env=one_thread(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (stopped / "resume/begun_with.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 75
    run("finetune", tmp_path, "stopped", **values)
    again = json.loads((stopped / "loss_curve.json").read_text())
    np.testing.assert_allclose(again, curves[1], rtol=1e-5)
    assert info(stopped)["sequences"] == info(output)["sequences"]


def test_recordings_too_long_for_the_language_model_do_not_end_training(tmp_path, mixed, tokenizer_folder):
    """The run was refused, or ended with an error at a random step."""
    said, output = run("pretrain", tmp_path, "pre", **pretrain_lines(mixed, tokenizer_folder), MAX_STEPS=3)
    (line,) = [line for line in said.splitlines() if "left out" in line]
    assert line.startswith("train: 1 of ") and "the 4096 tokens that the language model takes" in line
    assert "set RECORD_SECONDS, or fewer tokens per second (a longer STRIDE_MS" in line
    unfit = info(output)["lengths"]["train"]["unfit"]
    assert unfit["too_long"] == 1 and unfit["longest_tokens"] > 4096
    assert info(output)["train_records"] == unfit["of"] - 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"BATCH_TOKENS": 100, "RECORD_SECONDS": 10},
            r"BATCH_TOKENS=100: .* record \S+ can have \d+ tokens",
        ),
        ({"RECORD_SECONDS": 0.2}, "RECORD_SECONDS: give at least 1 s, or 0 for whole recordings"),
        ({"RECORD_SECONDS": "inf"}, "RECORD_SECONDS"),
        ({"BATCH_TOKENS": -1}, "BATCH_TOKENS"),
    ],
)
def test_limits_that_nothing_can_keep_are_refused(tmp_path, mixed, tokenizer_folder, trained, values, message):
    cache = trained[1].parent / "cache"
    words, _ = command("finetune", tmp_path, "ft", **lines(mixed, tokenizer_folder), CACHE_DIR=cache, **values)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 2 and re.search(message, done.stderr), done.stderr[-2000:]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("seconds", [None, 0])
def test_evaluation_takes_windows_as_training_did_and_leaves_out_what_is_too_long(tmp_path, mixed, trained, seconds):
    env = {
        "TASKTYPE": "qa",
        "DATA_ROOT": mixed,
        "TEST_DATA": mixed / "questions/test.json",
        "CHECKPOINT": trained[1],
        "CACHE_DIR": trained[1].parent / "cache",
        "MAX_NEW_TOKENS": 2,
        "FLOORS": "silenced_leads",
        "WORKERS": 0,
        "BOOTSTRAP_RESAMPLES": 20,
        "PAGE_EXAMPLES": 1,
        "OUTPUT_DIR": tmp_path / "out",
    }
    env |= {} if seconds is None else {"RECORD_SECONDS": seconds}
    (tmp_path / "out.env").write_text("".join(f"{key}={value}\n" for key, value in env.items()))
    words = [sys.executable, "run_eval.py", str(tmp_path / "out.env")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "out/result.json").read_text())
    lengths, ecgs = result["data"]["lengths"], result["data"]["ecgs"]
    for text in ((tmp_path / "out/scores.txt").read_text(), (tmp_path / "out/result.html").read_text()):
        if seconds is None:
            assert "2 of" in text and "are longer than RECORD_SECONDS=10; their first 10 s are evaluated" in text
        else:
            assert "samples are left out, because ECG, question and answer may exceed the 4096 tokens" in text
    if seconds is None:
        assert lengths["record_seconds"] == 10 and lengths["cropped_recordings"] == 2
        assert lengths["unfit_samples"] == 0 and ecgs["seconds"]["max"] < 10.1
    else:
        assert lengths["cropped_recordings"] == 0 and lengths["unfit_samples"] > 0
        assert ecgs["seconds"]["max"] == pytest.approx(30, abs=0.1)

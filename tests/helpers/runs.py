"""Runs of training through its entry point, and the lines of their env files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.helpers import ROOT


def command(stage: str, folder: Path, name: str, **values) -> tuple[list[str], Path]:
    """The command of one run and its OUTPUT_DIR; ``values`` are the lines of its env file."""
    output = folder / name
    lines = {
        "OUTPUT_DIR": output,
        "CACHE_DIR": folder / "cache",
        "EVAL_STEPS": 3,
        "LEARNING_RATE": 1e-3,
        "WORKERS": 0,
        "MAX_VALID": 8,
        **values,
    }
    if stage != "tokenizer":
        lines = {"MAX_STEPS": 6, "VERBOSE_STEPS": 1, **lines}
        lines = {"WARMUP_STEPS": min(2, lines["MAX_STEPS"] - 1), **lines}
    env_file = folder / f"{name}.env"
    env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    main = ["run_main.py", stage]
    return [sys.executable, *main, str(env_file)], output


def one_thread() -> dict[str, str]:
    """The environment of a run; another number of threads would round otherwise."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run(stage: str, folder: Path, name: str, **values) -> Path:
    words, output = command(stage, folder, name, **values)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 0, done.stderr[-3000:]
    return output


def interrupted(folder: Path, name: str, learner: str, step: int, **values) -> Path:
    """A run of stage 1 that Ctrl-C ends before a step; ``learner`` names the class that takes it."""
    module, _, cls = learner.rpartition(".")
    (folder / "stop.py").write_text(
        "import runpy, sys\n"
        f"from {module} import {cls} as Learner\n"
        "learn = Learner.learn\n"
        "def stop(self, step):\n"
        f"    if step == {step}: raise KeyboardInterrupt\n"
        "    return learn(self, step)\n"
        "Learner.learn = stop\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    (python, *words), output = command("tokenizer", folder, name, **values)
    done = subprocess.run([python, folder / "stop.py", *words], cwd=ROOT, env=one_thread(), capture_output=True)
    assert done.returncode == 130, done.stderr[-3000:]
    return output


def curve(output: Path) -> np.ndarray:
    """The losses of a run."""
    return np.array(json.loads((output / "loss_curve.json").read_text()))


def pretrain_lines(corpus: Path, tokenizer_folder: Path) -> dict:
    return {
        "DATA_ROOT": corpus,
        "TRAIN_FOLDS": "1-8",
        "VALID_FOLDS": 9,
        "TOKENIZER_PATH": tokenizer_folder,
        "LLM_PATH": "tiny",
        "TUNING": "full",
        "TINY_CORPUS": corpus / "questions/train.json",
        "TINY_VOCABULARY": 400,
        "TINY_LAYERS": 2,
        "TINY_HIDDEN": 32,
        "TINY_HEADS": 2,
    }


def finetune_lines(corpus: Path, checkpoint: Path, task: str = "qa") -> dict:
    texts = {"qa": "questions", "report": "reports"}[task]
    return {
        "TASKTYPE": task,
        "DATA_ROOT": corpus,
        "CHECKPOINT": checkpoint,
        "TRAIN_DATA": corpus / texts / "train.json",
        "VALID_DATA": corpus / texts / "valid.json",
    }

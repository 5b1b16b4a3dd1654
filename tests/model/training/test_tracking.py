"""A run with adapters and recomputed activations that reports to Weights & Biases: what it logs, prints and records."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.helpers import ROOT
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import command, curve, one_thread, pretrain_lines

# What Transformers needs of the package; every call is a line of the file $CALLS.
WANDB = """
import json, os

def _note(name, **values):
    with open(os.environ["CALLS"], "a") as file:
        print(json.dumps({"call": name, **values}, default=str), file=file)

class _Run:
    summary = {}
    def _label(self, **_): pass

class _Config(dict):
    def update(self, values, allow_val_change=False):
        _note("config", output_dir=values["output_dir"])

run, config = None, _Config()

def init(**arguments):
    global run
    run = _Run()
    _note("init", folder=os.environ.get("WANDB_DIR"), **arguments)

def log(values):
    _note("log", values=values)

def termwarn(*_, **__): pass
"""


@pytest.fixture(scope="module")
def tracked(tmp_path_factory, corpus, tokenizer_folder) -> tuple[Path, list[dict], subprocess.CompletedProcess]:
    """OUTPUT_DIR, calls of wandb and the finished process of a run of two steps."""
    folder = tmp_path_factory.mktemp("tracked")
    package = folder / "modules/wandb"
    for module, text in {
        "": WANDB,
        "sdk": "",
        "sdk/lib": "",
        "sdk/lib/config_util": "class ConfigError(Exception): pass",
    }.items():
        file = package / f"{module}.py" if module.endswith("config_util") else package / module / "__init__.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    lines = {**pretrain_lines(corpus, tokenizer_folder), "LLM_PATH": tiny_language_model(folder / "llm")}
    lines |= {"TUNING": "lora", "LORA_RANK": 4, "GRADIENT_CHECKPOINTING": "true", "REPORT_TO": "wandb"}
    words, output = command("pretrain", folder, "pre", **lines, MAX_STEPS=2, EVAL_STEPS=2, MAX_TRAIN=16)
    environment = {key: value for key, value in one_thread().items() if not key.startswith("WANDB_")}
    path = f"{package.parent}:{environment.get('PYTHONPATH', '')}"
    environment |= {"CALLS": str(folder / "calls"), "PYTHONPATH": path}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return output, [json.loads(line) for line in (folder / "calls").read_text().splitlines()], done


def test_log_entries_go_to_wandb_in_its_project_and_files_to_output_dir(tracked):
    output, calls, _ = tracked
    (begun,) = [call for call in calls if call["call"] == "init"]
    assert begun["project"] == "cardiolect" and begun["folder"] == str(output)
    logged = [call["values"] for call in calls if call["call"] == "log"]
    assert [entry["train/loss"] for entry in logged if "train/loss" in entry] == pytest.approx(curve(output).tolist())
    assert all(entry["train/tokens_per_second"] > 0 for entry in logged if "train/loss" in entry)
    assert sum("eval/loss" in entry for entry in logged) == 1 and not (output / "tensorboard").exists()


def test_a_run_prints_and_records_the_rate_of_new_rows(tracked):
    output, _, done = tracked
    assert "peak learning rate 0.001, 0.005 for the rows of ECG tokens\n" in done.stdout
    info = json.loads((output / "cardiolect.json").read_text())
    assert info["settings"]["token_row_learning_rate"] == pytest.approx(5e-3) and info["warmup_steps"] == 1


def test_a_run_says_what_it_does_not_use_and_nothing_of_what_is_deprecated(tracked):
    _, _, done = tracked
    assert done.stdout.count(" not used: LLM_PATH is not tiny\n") == 1
    assert "deprecated" not in done.stderr and "FutureWarning" not in done.stderr, done.stderr[-3000:]

"""PATIENCE, REPORT_TO and the rate of token rows in whole runs, with ZeRO-2 and ZeRO-3 on two ranks."""

import json
import subprocess

import pytest
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cardiolect.model.llm.checkpoint import load_checkpoint
from tests.helpers import ROOT
from tests.helpers.runs import command, finetune_lines, one_thread, run


@pytest.fixture
def lines(corpus, pretrained) -> dict:
    """Two ranks, and a warm-up from a rate of 0: step 1 is the best one if the rates are ruinous."""
    lines = {**finetune_lines(corpus, pretrained), "TUNING": "full", "BATCH_SIZE": 4, "NUM_PROCESSES": 2}
    return lines | {"EVAL_STEPS": 1, "WARMUP_STEPS": "", "WARMUP_RATIO": 0.3}


def info(output) -> dict:
    return json.loads((output / "cardiolect.json").read_text())


def test_training_that_diverges_ends_in_one_line_without_a_checkpoint(tmp_path, lines):
    lines |= {"LEARNING_RATE": 1e30, "WARMUP_STEPS": 0, "WARMUP_RATIO": 0, "EVAL_STEPS": 2}
    words, output = command("finetune", tmp_path, "ft", **lines)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 2, done.stderr[-3000:]
    assert "training diverged: no validation" in done.stderr and "Traceback" not in done.stderr
    assert not list(output.glob("*.safetensors")) and not (output / "cardiolect.json").exists()


@pytest.mark.parametrize("zero", [2, 3])
def test_training_stops_after_its_patience_and_says_so(tmp_path, lines, zero):
    lines |= {"LEARNING_RATE": 100, "PATIENCE": 2, "DEEPSPEED_CONFIG": f"ds_config_zero{zero}.json"}
    words, output = command("finetune", tmp_path, "ft", **lines)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 0, done.stderr[-3000:]
    assert "PATIENCE: stopped at step 3, 2 validations after the best" in done.stdout
    found = info(output)
    assert (found["steps"], found["best_step"], found["stopped_early"]) == (3, 1, True)
    last = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("best validation loss"))
    assert "at step 1 of 3; " in last and " tokens/s, peak memory " in last
    assert found["speed"]["tokens_per_second"] > found["speed"]["targets_per_second"] > 0
    assert found["peak_memory"].keys() == {"host_gb"} and "mfu" not in found["speed"]
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/tokens_per_second")] == [1, 2, 3]
    assert events.Scalars("train/host_gb")[0].value > 0.1


@pytest.mark.parametrize(
    ("zero", "tuning", "optimizer"), [(2, "full", "adamw"), (2, "full", "muon"), (3, "lora", "adamw")]
)
def test_token_rows_learn_at_a_rate_of_their_own(tmp_path, lines, pretrained, zero, tuning, optimizer):
    """All else has a rate of almost 0."""
    rates = {"LEARNING_RATE": 1e-30, "MUON_LEARNING_RATE": 1e-30, "TOKEN_ROW_LEARNING_RATE": 1e-2}
    lines |= {**rates, "TUNING": tuning, "OPTIMIZER": optimizer, "REPORT_TO": "none", "EVAL_STEPS": 3}
    output = run("finetune", tmp_path, "ft", **lines, DEEPSPEED_CONFIG=f"ds_config_zero{zero}.json", ECG_LOSS_WEIGHT=1)
    before, after = (load_file(folder / "model.safetensors") for folder in (pretrained, output))
    new = load_checkpoint(pretrained, "fp32").vocabulary.new_ids
    for name, old in before.items():
        change = (after[name] - old).abs()
        if "embed_tokens" in name or "lm_head" in name:
            assert change[new.start : new.stop].max() > 1e-3
            change[new.start : new.stop] = 0
        assert change.max() < 1e-6, name
    assert not (output / "tensorboard").exists()

"""Saved steps of adapters hold what is trained, not the language model."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from tests.helpers import ROOT
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import command, finetune_lines, one_thread, run

KEEPING_STEPS = """
import runpy, sys
import cardiolect.model.training.stages
cardiolect.model.training.stages.finish = lambda folder: None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("embeds", [False, True], ids=["codes", "embedded"])
def test_a_saved_step_holds_trained_weights_only_and_is_enough(embeds, tmp_path, corpus, tokenizer_folder):
    base, tokenizer = tiny_language_model(tmp_path / "llm"), tokenizer_folder
    if embeds:
        ECGPatches(PatchConfig("conv")).save_pretrained(tokenizer := tmp_path / "patches")
    lines = {**finetune_lines(corpus, base), "LLM_PATH": base, "TOKENIZER_PATH": tokenizer, "MAX_TRAIN": 40}
    lines |= {"LORA_RANK": 4, "LORA_VARIANT": "dora", "TRAIN_NORMS": "true", "CHECKPOINT_FORMAT": "adapter"}
    del lines["CHECKPOINT"]
    (_, *words), output = command("finetune", tmp_path, "ft", **lines)
    kept = [sys.executable, "-c", KEEPING_STEPS, *words]
    done = subprocess.run(kept, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = output.glob("resume/checkpoint-6/*/mp_rank_00_model_states.pt")
    names = set(torch.load(file, weights_only=True)["module"])
    parts = ("lora_", "trainable_tokens_delta", "modules_to_save", *(("projector", "representation") if embeds else ()))
    assert all(any(part in name for name in names) for part in parts)
    assert [name for name in names if not any(part in name for part in parts)] == []
    before = load_file(output / "adapter_model.safetensors")
    run("finetune", tmp_path, "ft", **lines)
    after = load_file(output / "adapter_model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert not (output / "resume").exists()

"""Training of the tokenizer."""

import pytest
from safetensors.torch import load_file

from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.train import train_tokenizer
from tests.helpers.runs import run


@pytest.mark.parametrize("steps", [1, 2, 3, 19, 20, 21, 40])
def test_any_number_of_steps_can_be_trained(tmp_path, corpus, steps):
    """OneCycleLR divides by zero if its warm-up is a single step."""
    env = tmp_path / "tokenizer.env"
    env.write_text(f"DATA_ROOT={corpus}\nTRAIN_FOLDS=1-8\nVALID_FOLDS=9\nMAX_VALID=1\nMAX_TRAIN=4\nWORKERS=0\n")
    settings = TokenizerSettings.load(
        env,
        output_dir=tmp_path / "out",
        cache_dir=corpus.parent / "cache",
        steps=steps,
        eval_steps=steps,
        batch_size=1,
        crop_seconds=1,
        hidden=8,
        encoder_depth=1,
        decoder_depth=1,
    )
    assert train_tokenizer(settings)["step"] == steps


def test_two_ranks_train_as_one(tmp_path, corpus):
    """Small rates: Muon rounds to bfloat16, which enlarges differences in the last digit of gradients."""
    lines = {
        **{"DATA_ROOT": corpus, "TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "MAX_TRAIN": 12, "MAX_VALID": 3},
        **{"STEPS": 3, "EVAL_STEPS": 3, "BATCH_SIZE": 6, "CROP_SECONDS": 1, "HIDDEN": 16, "LEARNING_RATE": 1e-4},
        **{"MUON_LEARNING_RATE": 1e-4, "WANDER_CHANCE": 0.5, "ELECTRODE_JITTER": 0.3, "TIME_STRETCH": 0.2},
    }
    folders = [run("tokenizer", tmp_path, f"{ranks} ranks", **lines, NUM_PROCESSES=ranks) for ranks in (1, 2)]
    one, two = (load_file(folder / "model.safetensors") for folder in folders)
    for name, value in one.items():
        assert (two[name] - value).abs().max() < 3e-5, name

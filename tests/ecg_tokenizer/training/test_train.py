"""Training of the tokenizer."""

import pytest

from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.train import train_tokenizer


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

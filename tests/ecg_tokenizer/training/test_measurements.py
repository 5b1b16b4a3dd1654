"""Measurements as training targets of the tokenizer: read by id, missing ones ignored, never a guess."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.measurements import MeasurementHead, standardised
from cardiolect.ecg_tokenizer.training.reconstruction import measurement_loss
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.train import train_tokenizer
from cardiolect.utils.errors import UserError


def test_missing_measurements_affect_neither_the_scale_nor_the_loss():
    table = {"a": np.array([1.0, np.nan], np.float32), "b": np.array([3.0, 8.0], np.float32)}
    targets = standardised(table, ["a", "b", "no row"], columns=2)
    torch.testing.assert_close(targets[:, 0], torch.tensor([-1.0, 1.0, torch.nan]), equal_nan=True)
    wild = torch.tensor([[-1.0, 99.0], [1.0, 0.0], [99.0, 99.0]], requires_grad=True)
    loss = measurement_loss(wild, targets)
    loss.backward()
    assert loss == 0 and torch.equal(wild.grad, torch.zeros(3, 2))


def test_the_head_reads_frames_one_by_one():
    """If it mixed neighbours, the codes would not have to hold the measurement themselves."""
    torch.manual_seed(0)
    head, frames = MeasurementHead(8, 3), torch.randn(1, 20, 8)
    torch.testing.assert_close(head(frames), head(frames[:, torch.randperm(20)]))


def test_the_loss_on_measurements_reaches_the_encoder():
    torch.manual_seed(0)
    tokenizer = ECGTokenizer(TokenizerConfig(hidden=16, encoder_depth=1, decoder_depth=1))
    features = tokenizer.quantize(torch.randn(2, 12, 200)).features
    measurement_loss(MeasurementHead(16, 1)(features), torch.tensor([[-1.0], [1.0]])).backward()
    assert tokenizer.encoder.fine.weight.grad.abs().sum() > 0


def test_training_on_measurements_saves_no_head_and_names_a_bad_column_before_reading(corpus: Path, tmp_path: Path):
    lines = {
        "DATA_ROOT": corpus,
        "TRAIN_FOLDS": "1-8",
        "VALID_FOLDS": "9",
        "CACHE_DIR": tmp_path / "cache",
        "HIDDEN": 16,
        "ENCODER_DEPTH": 1,
        "DECODER_DEPTH": 1,
        "STEPS": 3,
        "EVAL_STEPS": 3,
        "BATCH_SIZE": 4,
        "WORKERS": 0,
        "MEASUREMENTS_DATA": corpus / "measurements.csv",
    }
    env = tmp_path / "tokenizer.env"
    env.write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
    with pytest.raises(UserError, match="no column qtc"):
        train_tokenizer(TokenizerSettings.load(env, output_dir=tmp_path / "out", measurements=["qtc"]))
    assert not (tmp_path / "cache").exists()
    train_tokenizer(TokenizerSettings.load(env, output_dir=tmp_path / "out", measurements=["qrs_duration"]))
    trained = ECGTokenizer.from_pretrained(tmp_path / "out")
    assert set(load_file(tmp_path / "out/model.safetensors")) == set(trained.state_dict())

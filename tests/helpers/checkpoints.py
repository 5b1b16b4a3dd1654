"""Checkpoints of random weights that answer at length, and calibrations of theirs."""

from pathlib import Path

import torch

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.calibration import Calibration, QuestionMap
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.llm.checkpoint_folder import fingerprint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.training.adaptation import prepare_for_training
from cardiolect.model.training.settings import TrainSettings
from tests.helpers.language_models import tiny_language_model


def _shake(model, size: float) -> None:
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(size * torch.randn_like(parameter))


def made(folder: Path, tokenizer_folder: Path, lora: bool) -> Path:
    """A checkpoint of random weights that answers at length; with ``lora`` adapters of ``folder``/llm."""
    model, words = load_language_model(tiny_language_model(folder / "llm"), "fp32")
    _shake(model, 0.1)
    model.save_pretrained(folder / "llm")  # what adapters belong to
    checkpoint = new_checkpoint(model, words, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    if lora:
        settings = TrainSettings.model_construct(
            lora_targets=["v_proj", "up_proj"],
            lora_rank=4,
            lora_alpha=8,
            lora_dropout=0.0,
        )
        checkpoint.model = prepare_for_training(model, checkpoint.vocabulary, settings)
        _shake(checkpoint.model, 0.3)
    checkpoint.info |= {
        "stage": "finetune",
        "valid_loss": 1.5,
        "best_step": 10,
        "settings": {
            "data_root": [str(folder / "ptb-xl")],
            "train_data": [str(folder / "questions/train.json")],
            "output_dir": str(folder),
            "precision": "fp32",
            "tasktype": "qa",
        },
    }
    out = folder / "checkpoint"
    save_checkpoint(checkpoint, out, merge=False)
    (out / "seen_recordings.json").write_text('["0123456789abcdef"]\n')
    return out


def calibrated(
    folder: Path, lines: dict[str, QuestionMap], unsure_below: float = 0.8, weights: str = ""
) -> Calibration:
    """Write a calibration of the checkpoint with these ``lines`` into its folder."""
    validation = {"folds": "8", "recordings": 9, "patients": 9, "answers": 90, "left_out": {}, "not_asked": 0}
    shared = {"a": 1.0, "b": 0.0}
    found = Calibration(weights or fingerprint(folder), lines, shared, unsure_below, validation, {})
    found.write(folder)
    return found

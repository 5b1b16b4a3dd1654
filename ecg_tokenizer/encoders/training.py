"""Stage 1 of encoders: ``REPRESENTATION=encoder`` in an env file of run_tokenizer.sh."""

import json

import torch

from cardiolect.data_provider.audit.seen import record_seen, save_seen
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.encoders.supervised import SupervisedLearner
from cardiolect.ecg_tokenizer.training.loop import run_stage
from cardiolect.ecg_tokenizer.training.resume import METRICS, SETTINGS
from cardiolect.utils import launch


def train_encoder(settings: EncoderSettings) -> dict:
    """Write the encoder to OUTPUT_DIR and return its figures."""
    if settings.objective == "none":
        return _write_untrained(settings)
    return run_stage(settings, lambda train, valid, _: SupervisedLearner(settings, train, valid))


def _write_untrained(settings: EncoderSettings) -> dict:
    torch.manual_seed(settings.seed)
    encoder = ECGEncoder(settings.config())
    figures = {"parameters": sum(value.numel() for value in encoder.parameters())}
    if launch.is_main():
        encoder.save_pretrained(settings.output_dir)
        record_seen(settings.output_dir, save_seen(settings.output_dir, []))
        (settings.output_dir / SETTINGS).write_text(settings.to_json())
        (settings.output_dir / METRICS).write_text(json.dumps(figures, indent=2) + "\n")
        print(f"{settings.encoder} with random weights, {figures['parameters']:,} parameters: {settings.output_dir}")
    return figures

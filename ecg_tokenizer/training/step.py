"""One training step of the tokenizer: forward pass, loss, optimizers and their schedules."""

from typing import NamedTuple

import torch
from torch import Tensor

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.measurements import MeasurementHead
from cardiolect.ecg_tokenizer.training.optimizers import descend, make_optimizers
from cardiolect.ecg_tokenizer.training.reconstruction import distortion, measurement_loss
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.schedule import make_schedule


class StepResult(NamedTuple):
    """The losses of one step, and the codes of its crops."""

    loss: Tensor
    measurement_loss: Tensor | None  # None if no measurements are trained on
    codes: Tensor


class TrainingStep:
    """Trains a tokenizer, and the measurement head if there is one, by one batch per call."""

    def __init__(self, tokenizer: ECGTokenizer, head: MeasurementHead | None, settings: TokenizerSettings):
        self.tokenizer, self.head, self.settings = tokenizer, head, settings
        self.optimizers = make_optimizers(tokenizer, head, settings)
        self.schedules = [
            make_schedule(settings.schedule, optimizer, settings.steps, settings.warmup)
            for optimizer in self.optimizers
        ]

    def __call__(self, signal: Tensor, present: Tensor, targets: Tensor | None) -> StepResult:
        """signal: ``(batch, 12, T)`` mV; present: ``(batch, 12)``; targets: ``(batch, measurements)`` for the head."""
        device = self.tokenizer.device
        signal, present = signal.to(device), present.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            quantized = self.tokenizer.quantize(signal)
            reconstruction = self.tokenizer.reconstruct(quantized.features, quantized.slow)
            predicted = self.head(quantized.features) if self.head is not None else None
        loss = quantized.loss + distortion(signal, reconstruction.float(), present, self.settings)
        error = None
        if predicted is not None:
            error = measurement_loss(predicted.float(), targets.to(device))
            loss = loss + self.settings.measurement_weight * error
        descend(loss, self.optimizers)
        for schedule in self.schedules:
            schedule.step()
        return StepResult(loss, error, quantized.codes)

    def parts(self) -> dict[str, list]:
        """All that the next steps depend on."""
        modules = [self.tokenizer, *([self.head] if self.head is not None else [])]
        return {"modules": modules, "optimizers": self.optimizers, "schedules": self.schedules}

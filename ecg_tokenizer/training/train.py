"""Stage 1 of codes: train the tokenizer. Run it as ``bash ecg_tokenizer/run_tokenizer.sh [env file]``.

With several ranks, each computes its share of every batch and the gradients are averaged. With fsq the result equals
that of one rank, up to rounding; vq and rvq draw the vectors that start and restart their codes differently.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.data_provider.texts.measurements import load_all_measurements
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training import loop
from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.early_stopping import validate
from cardiolect.ecg_tokenizer.training.measurements import MeasurementHead, training_targets
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.step import TrainingStep
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device

LOG_STEPS = 50  # of code use in batches


class CodesLearner(loop.Learner):
    """A tokenizer and, if measurements are given, the head that reads them from its codes."""

    metric, title = "prdn", "PRDN"

    def __init__(
        self,
        settings: TokenizerSettings,
        train: SignalCache,
        valid: SignalCache,
        table: dict[str, np.ndarray] | None = None,
    ):
        """table: measurements by record id, as `load_measurements` returns them."""
        torch.manual_seed(settings.seed)
        device = choose_device(settings.device)
        self.representation = ECGTokenizer(settings.config()).to(device)
        head = self.targets = None
        if table is not None:
            self.targets = training_targets(settings, table, train)
            head = MeasurementHead(self.representation.config.hidden, len(settings.measurements)).to(device)
        self.sampler, self.train_step = CropSampler(settings, train), TrainingStep(self.representation, head, settings)
        self.valid = valid

    def learn(self, step: int) -> dict[str, float | torch.Tensor]:
        signal, present, rows = self.sampler.draw(step)
        result = self.train_step(signal, present, None if self.targets is None else self.targets[rows])
        found = {"loss": result.loss}
        if result.measurement_loss is not None:
            found["measurement_loss"] = result.measurement_loss
        if step % LOG_STEPS == 0:
            use = self.representation.code_use([result.codes.cpu().numpy()])
            found["batch_entropy_bits"] = use["entropy_bits"]
        return found

    def validate(self) -> dict[str, Any]:
        return validate(self.representation, self.valid)

    def parts(self) -> dict[str, list]:
        return self.train_step.parts()

    def in_words(self, figures: Mapping[str, Any]) -> str:
        return (
            f"PRDN {figures['prdn']:.1f} %, {figures['codes_used']} of {figures['codebook_size']} codes used, entropy "
            f"{figures['entropy_bits']:.2f} bits"
        )

    def figures(self) -> dict[str, Any]:
        return {"tokens_per_second_of_ecg": self.representation.token_rate}


def train_tokenizer(settings: TokenizerSettings) -> dict:
    """Run stage 1. Returns the figures of the best tokenizer."""
    table = None
    if settings.measurements_data:  # before recordings are read, so that a misspelled column is reported at once
        table = load_all_measurements(settings.measurements_data, settings.data_root, settings.measurements)
    figures = loop.run_stage(settings, lambda train, valid, _: CodesLearner(settings, train, valid, table))
    if settings.search_rounds and launch.is_main():
        print(f"these are figures of the encoder alone; the fidelity panel adds SEARCH_ROUNDS={settings.search_rounds}")
    return figures


def fit(settings: TokenizerSettings, train: SignalCache, valid: SignalCache) -> dict:
    """Train a tokenizer on cached signals, save the best by validation PRDN in OUTPUT_DIR and return its figures."""
    return loop.train(settings, CodesLearner(settings, train, valid), recordings=(len(train), len(valid)))

"""Fine-tuning of an encoder on the classes of a probe, by the supervised objective of stage 1."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import nn

from cardiolect.data_provider.audit.seen import read_seen, save_seen
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.ecg_tokenizer.encoders.objectives.supervised import SupervisedLearner
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.encoders.settings import PATCHED, EncoderSettings
from cardiolect.ecg_tokenizer.training.loop import train
from cardiolect.utils.scp_codes import LabelTask

SECONDS = 10.0  # of a training crop; PTB-XL's recordings are as long
EVALUATIONS, PATIENCE = 20, 5  # validations if training does not stop early, and after how many without improvement
Layers = Literal["all", "last"]


class FineTuning(NamedTuple):
    """layers: which weights are trained. root, labels: what is learned."""

    layers: Layers
    root: Path
    labels: LabelTask
    steps: int
    learning_rate: float
    batch_size: int
    workers: int
    seed: int


class FineTuningLearner(SupervisedLearner):
    """Goes on from the weights of an encoder, with a new head.

    Batch norms keep the statistics of pretraining: those of the few recordings of a small share would be worse, and
    those of a layer that is not trained must not move.
    """

    def __init__(self, settings: EncoderSettings, train: SignalCache, valid: SignalCache, layers: Layers):
        super().__init__(settings, train, valid, {})
        if layers == "last":
            self.encoder.requires_grad_(False)
            for module in last_layers(self.encoder):
                module.requires_grad_(True)
        self.best = -np.inf
        self.best_head: dict[str, Any] = {}

    def learn(self, step: int) -> dict[str, torch.Tensor]:
        for module in self.encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return super().learn(step)

    def validate(self) -> dict[str, Any]:
        """As in pretraining; the head of the best validation is kept, as the loop keeps the encoder."""
        figures = super().validate()
        if figures[self.metric] > self.best:
            self.best = figures[self.metric]
            self.best_head = {name: value.clone() for name, value in self.head.state_dict().items()}
        return figures

    @torch.inference_mode()
    def scores(self, signals: SignalCache) -> np.ndarray:
        """Logits ``(recordings, classes)`` of whole recordings."""
        found = []
        for k in range(len(signals)):
            signal = torch.from_numpy(signals.signal(k))[None].to(self.device)
            found.append(self.head(self.encoder(self.representation.scaled(signal)))[0].float().cpu().numpy())
        return np.stack(found)


def fine_tune(
    encoder: ECGEncoder,
    how: FineTuning,
    train_refs: Sequence[RecordRef],
    valid_refs: Sequence[RecordRef],
    test_refs: Sequence[RecordRef],
    folder: Path,
    before: Path,
) -> list[np.ndarray]:
    """Train on the first recordings, stop by the second; logits ``(recordings, classes)`` of the second and third.

    Classes are in alphabetical order. The encoder is saved in ``folder``; before: the folder that it was in, whose
    training recordings count as seen. Raises `UserError` if no class has recordings with and without it in training and
    validation, or if training diverges; its message names settings of stage 1.
    """
    settings = _settings(encoder, how, folder, before)
    signals = [
        open_signal_cache(refs, settings.sampling_rate, settings.cache_dir, how.workers, 1.0, f"{what} recordings")
        for what, refs in (("train", train_refs), ("valid", valid_refs), ("test", test_refs))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    seen = save_seen(folder, [*train_refs, *valid_refs], read_seen(before).marks)
    learner = FineTuningLearner(settings, *signals[:2], how.layers)
    train(settings, learner, seen=seen, recordings=[len(each) for each in signals[:2]])
    learner.head.load_state_dict(learner.best_head)
    for module in learner.modules():
        module.eval()
    return [learner.scores(each) for each in signals[1:]]


def last_layers(encoder: nn.Module) -> list[nn.Module]:
    """The last block of an encoder (of ConvNeXt the last stage) and the norm after it."""
    blocks = encoder.blocks if hasattr(encoder, "blocks") else encoder.stages
    return [blocks[-1], *(getattr(encoder, name) for name in ("norm", "final") if hasattr(encoder, name))]


def _settings(encoder: ECGEncoder, how: FineTuning, folder: Path, before: Path) -> EncoderSettings:
    """The encoder as it is, and how it is trained."""
    config = encoder.config
    seconds = config.patch / config.sampling_rate if config.encoder == "mlae" else SECONDS
    patch = {"patch_ms": 1000 * config.patch / config.sampling_rate} if config.encoder in PATCHED else {}
    return EncoderSettings(
        data_root=[how.root],
        output_dir=folder,
        encoder=config.encoder,
        encoder_init=before,
        encoder_width=config.width,
        encoder_depth=config.depth,
        sampling_rate=config.sampling_rate,
        encoder_scaling=config.scaling,
        encoder_tokens=config.tokens,
        encoder_frozen=config.frozen,
        encoder_seconds=seconds,
        crop_seconds=seconds,
        objective="supervised",
        labels=how.labels,
        steps=how.steps,
        eval_steps=max(1, how.steps // EVALUATIONS),
        patience=PATIENCE,
        learning_rate=how.learning_rate,
        batch_size=how.batch_size,
        workers=how.workers,
        seed=how.seed,
        **patch,
    )

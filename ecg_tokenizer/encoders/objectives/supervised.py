"""Supervised training of an encoder on the SCP statements of PTB-XL's label table, as in its benchmark."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from cardiolect.data_provider.ecgqa.scp_classes import indicators, load_all_classes
from cardiolect.data_provider.splits import Split
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.encoders.base import pool
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.encoders.start import first_encoder
from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.loop import Learner
from cardiolect.ecg_tokenizer.training.optimizers import adamw, descend
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError
from cardiolect.utils.schedule import make_schedule
from cardiolect.utils.scp_codes import LABEL_TASKS


class LabelHead(nn.Module):
    """Logits of classes from the mean and the maximum of features over time.

    Without dropout, so that ranks train as one does: what they would draw depends on their number.
    """

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, classes))

    def forward(self, features: Tensor) -> Tensor:
        """``(batch, tokens, width)`` -> ``(batch, classes)``."""
        return self.layers(pool(features))


class SupervisedLearner(Learner):
    """An encoder and a head for the classes of LABELS; recordings without a label do not count."""

    metric, title, lower_is_better = "macro_auroc", "the mean AUROC", False

    def __init__(self, settings: EncoderSettings, train: SignalCache, valid: SignalCache, splits: Mapping[str, Split]):
        """Raises `UserError` if no class has recordings with and without it on both sides."""
        self.settings, self.valid, device = settings, valid, choose_device(settings.device)
        labels, self.classes = load_all_classes(settings.data_root, settings.labels), class_names(settings)
        sides = [indicators(labels, side.record_ids, self.classes) for side in (train, valid)]
        self.judged = np.flatnonzero(np.all([(np.nanmin(s, 0) < np.nanmax(s, 0)) for s in map(_known, sides)], axis=0))
        if not len(self.judged):
            raise UserError(
                f"LABELS={settings.labels}: no class has recordings with and without it in training and validation; "
                "check TRAIN_FOLDS, VALID_FOLDS and MAX_VALID"
            )
        self.targets, self.truth = torch.from_numpy(sides[0]), sides[1]
        self.representation = first_encoder(settings).to(device)
        self.encoder = self.representation.encoder
        self.head = LabelHead(self.encoder.width, len(self.classes)).to(device)
        modules, rate = [self.encoder, self.head], settings.learning_rate
        self.optimizer = adamw(modules, rate, settings.weight_decay, betas=(0.9, 0.999))
        self.schedule = make_schedule(settings.schedule, self.optimizer, settings.steps, settings.warmup)
        self.sampler, self.device = CropSampler(settings, train), device

    def learn(self, step: int) -> dict[str, Tensor]:
        signal, _, rows = self.sampler.draw(step)
        targets = self.targets[rows].to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            logits = self.head(self.encoder(self.representation.scaled(signal.to(self.device))))
        known = ~targets.isnan()
        losses = F.binary_cross_entropy_with_logits(logits.float(), targets.nan_to_num(), reduction="none") * known
        count = known.sum().float()
        launch.average([count])  # so that the mean over ranks is the loss of their batches joined
        loss = losses.sum() / count.clamp(min=1 / launch.world_size())
        descend(loss, [self.optimizer])
        self.schedule.step()
        return {"loss": loss.detach()}

    @torch.inference_mode()
    def validate(self) -> dict[str, Any]:
        """AUROC over whole recordings, the mean over classes."""
        self.representation.average_statistics()
        found = []
        for k in range(len(self.valid))[launch.share()]:
            signal = torch.from_numpy(self.valid.signal(k))[None].to(self.device)
            found.append(self.head(self.encoder(self.representation.scaled(signal)))[0].float().cpu().numpy())
        scores = np.stack(launch.gather_shares(found))
        if not np.isfinite(scores).all():  # training has diverged
            return {"macro_auroc": float("nan"), "classes": len(self.judged), "recordings": 0}
        rows = ~np.isnan(self.truth[:, 0])
        each = [roc_auc_score(self.truth[rows, k], scores[rows, k]) for k in self.judged]
        return {"macro_auroc": float(np.mean(each)), "classes": len(each), "recordings": int(rows.sum())}

    def parts(self) -> dict[str, list]:
        return {"modules": [self.encoder, self.head], "optimizers": [self.optimizer], "schedules": [self.schedule]}

    def in_words(self, figures: Mapping[str, Any]) -> str:
        return (
            f"mean AUROC {100 * figures['macro_auroc']:.1f} over {figures['classes']} of {len(self.classes)} classes, "
            f"{figures['recordings']} recordings"
        )

    def figures(self) -> dict[str, Any]:
        return {"parameters": sum(value.numel() for value in self.encoder.parameters()), "labels": list(self.classes)}


def class_names(settings: EncoderSettings) -> tuple[str, ...]:
    """The classes of LABELS, in alphabetical order."""
    return tuple(sorted(set(LABEL_TASKS[settings.labels].values())))


def _known(side: np.ndarray) -> np.ndarray:
    """The rows with labels; one of NaN if there are none."""
    rows = side[~np.isnan(side[:, 0])]
    return rows if len(rows) else np.zeros((1, side.shape[1]), np.float32)

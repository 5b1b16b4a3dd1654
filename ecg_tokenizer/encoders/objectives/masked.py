"""Masked reconstruction: an encoder of patches sees a quarter of them, and a small decoder restores the rest.

As ST-MEM, MTAE and MLAE are pretrained (Na et al. 2024, arXiv 2402.09450); of ST-MEM, the decoder sees each lead alone,
and equally many patches of each are hidden. Labels are not used.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cardiolect.data_provider.splits import Split
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.encoders.architectures.transformer import PatchTransformer, TransformerBlock, positions
from cardiolect.ecg_tokenizer.encoders.base import LEADS_IN
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.encoders.start import first_encoder
from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.loop import Learner
from cardiolect.ecg_tokenizer.training.optimizers import adamw, descend
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.schedule import make_schedule

DECODER_HEAD = 64  # width of its attention heads
_OF_VALIDATION, _OF_TRAINING = 0, 1  # first numbers of the generators of masks


class MaskedDecoder(nn.Module):
    """Restores all patches from the features of those that were seen. Used in pretraining only and not saved."""

    def __init__(self, encoder: PatchTransformer, width: int, depth: int):
        super().__init__()
        self.by_lead = encoder.sizes.patching == "lead"
        self.project, self.hidden = nn.Linear(encoder.width, width), nn.Parameter(torch.zeros(width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, max(1, width // DECODER_HEAD)) for _ in range(depth)))
        self.norm, self.restore = nn.LayerNorm(width), nn.Linear(width, encoder.embedding.in_features)
        nn.init.normal_(self.hidden, std=0.02)

    def forward(self, features: Tensor, kept: Tensor) -> Tensor:
        """features: ``(batch, seen, width)``; kept: ``(batch, patches)`` -> ``(batch, patches, samples)``."""
        seen = self.project(features)
        rows = self.hidden.to(seen).expand(*kept.shape, -1).masked_scatter(kept[..., None], seen)
        if self.by_lead:
            rows = rows.unflatten(1, (LEADS_IN, -1)).flatten(0, 1)
        rows = rows + positions(rows.shape[1], rows.shape[2]).to(rows)
        rows = self.restore(self.norm(self.blocks(rows)))
        return rows.unflatten(0, (-1, LEADS_IN)).flatten(1, 2) if self.by_lead else rows


def seen_patches(count: int, by_lead: bool, share: float, generators: Sequence[np.random.Generator]) -> Tensor:
    """bool ``(generators, count)``: which patches are seen, a share of all, or with ``by_lead`` of each lead's."""
    groups = LEADS_IN if by_lead else 1
    each = count // groups
    number = max(1, round(share * each))
    order = np.stack([rng.random((groups, each)).argsort(axis=1) for rng in generators])
    return torch.from_numpy((order < number).reshape(len(generators), count))


def hidden_error(patches: Tensor, restored: Tensor, kept: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Summed squared error of hidden patches, relative to each one's own variance, and their number.

    patches, restored: ``(batch, patches, samples)``; present: bool of the same shape, the samples that were recorded.
    """
    mean, variance = patches.mean(2, keepdim=True), patches.var(2, keepdim=True)
    target = (patches - mean) / (variance + 1e-6).sqrt()
    counted = (~kept)[..., None] & present
    error = ((restored - target).square() * counted).sum()
    return error, counted.sum().float()


class MaskedLearner(Learner):
    """An encoder of patches, and the decoder of its pretraining."""

    metric, title = "hidden_error", "the error of hidden patches"

    def __init__(self, settings: EncoderSettings, train: SignalCache, valid: SignalCache, splits: Mapping[str, Split]):
        self.settings, self.valid, self.device = settings, valid, choose_device(settings.device)
        self.representation = first_encoder(settings).to(self.device)
        self.encoder: PatchTransformer = self.representation.encoder
        self.decoder = MaskedDecoder(self.encoder, settings.decoder_width, settings.decoder_depth).to(self.device)
        modules, rate = [self.encoder, self.decoder], settings.learning_rate
        self.optimizer = adamw(modules, rate, settings.weight_decay, betas=(0.9, 0.95))
        self.schedule = make_schedule(settings.schedule, self.optimizer, settings.steps, settings.warmup)
        self.sampler = CropSampler(settings, train)

    def learn(self, step: int) -> dict[str, Tensor]:
        signal, present, _ = self.sampler.draw(step)
        numbers = range(self.settings.batch_size)[launch.share()]
        generators = [np.random.default_rng((self.settings.seed, _OF_TRAINING, step, number)) for number in numbers]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            error, count = self._error(signal, present, generators)
        total = count.clone()
        launch.average([total])  # so that the mean over ranks is the loss of their batches joined
        loss = error / total.clamp(min=1 / launch.world_size())
        descend(loss, [self.optimizer])
        self.schedule.step()
        return {"loss": loss.detach()}

    @torch.inference_mode()
    def validate(self) -> dict[str, Any]:
        """Mean squared error of hidden patches in the first crop of each recording, with masks that stay the same."""
        sums = torch.zeros(2, dtype=torch.float64)
        for k in range(len(self.valid))[launch.share()]:
            signal = torch.from_numpy(self.valid.crop(k, 0.0, self.sampler.length))[None]
            present = torch.from_numpy(self.valid.present[k]).float()[None]
            generator = np.random.default_rng((self.settings.seed, _OF_VALIDATION, k))
            sums += torch.stack(self._error(signal, present, [generator])).double().cpu()
        error, count = np.sum([each.numpy() for each in launch.gather(sums)], axis=0)
        return {"hidden_error": float(error / max(count, 1)), "recordings": len(self.valid)}

    def _error(
        self, signal: Tensor, present: Tensor, generators: Sequence[np.random.Generator]
    ) -> tuple[Tensor, Tensor]:
        signal = signal.to(self.device)
        patches = self.encoder.patches(self.representation.scaled(signal))
        recorded = self.encoder.patches(present.to(self.device)[..., None].expand_as(signal)) > 0
        by_lead = self.encoder.sizes.patching == "lead"
        kept = seen_patches(patches.shape[1], by_lead, 1 - self.settings.mask_share, generators).to(self.device)
        restored = self.decoder(self.encoder.encode(patches, kept), kept)
        return hidden_error(patches, restored.float(), kept, recorded)

    def parts(self) -> dict[str, list]:
        return {"modules": [self.encoder, self.decoder], "optimizers": [self.optimizer], "schedules": [self.schedule]}

    def in_words(self, figures: Mapping[str, Any]) -> str:
        return f"error of hidden patches {figures['hidden_error']:.3f} of their variance"

    def figures(self) -> dict[str, Any]:
        return {"parameters": sum(value.numel() for value in self.encoder.parameters())}

"""Patches without an encoder (ELF, the encoder-free models of ECG-Bench's successor): the projector sees raw samples.

    base    one row of 12 * samples for the whole ECG
    patch   one row per patch of time: its samples, lead by lead
    conv    the same patches after two convolutions and a mean over time: 128 features per row

There is no position embedding, lead embedding or norm: order comes from the positions of the language model. Stage 1
has nothing to learn; the convolutions are trained together with the language model.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cardiolect.data_provider.audit.seen import record_seen, save_seen
from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.base import Coverage, ECGRepresentation
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig, PatchSettings
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import save_weights

HIDDEN, FEATURES, KERNELS = 64, 128, (3, 7)  # ELF's convolutions
MV_SCALE = 4.0  # millivolts times this have a variance of about 1


class ECGPatches(nn.Module, ECGRepresentation):
    """An ECG as rows of samples."""

    name = "patches"
    fewer_tokens = "a longer PATCH_MS"
    embeds = True
    vocabulary_size = 1

    def __init__(self, config: PatchConfig):
        super().__init__()
        self.config = config
        self.convolutions = None
        if config.mode == "conv":
            widths = (len(LEADS), HIDDEN, FEATURES)
            layers = [
                layer
                for k, kernel in enumerate(KERNELS)
                for layer in (nn.Conv1d(widths[k], widths[k + 1], kernel, padding="same"), nn.ReLU())
            ]
            self.convolutions = nn.Sequential(*layers)

    @property
    def sampling_rate(self) -> float:
        return self.config.sampling_rate

    @property
    def embedding_width(self) -> int:
        return FEATURES if self.convolutions else len(LEADS) * self.config.patch

    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """float16 ``(rows, 12 * patch)``, lead by lead; the last patch is padded with the last sample."""
        return [self._rows(signal) for signal in signals]

    def _rows(self, signal: np.ndarray) -> np.ndarray:
        size = self.config.patch
        if self.config.scaling == "minmax":
            low, high = signal.min(), signal.max()
            signal = (signal - low) / max(high - low, 1e-6)
        else:
            signal = signal * MV_SCALE
        if self.config.mode == "base":
            signal = np.pad(signal[:, :size], ((0, 0), (0, max(0, size - signal.shape[1]))))
        else:
            signal = np.pad(signal, ((0, 0), (0, -signal.shape[1] % size)), mode="edge")
        rows = signal.reshape(len(LEADS), -1, size).swapaxes(0, 1).reshape(-1, len(LEADS) * size)
        return np.clip(rows, -6e4, 6e4).astype(np.float16)

    def token_ids(self, item: np.ndarray) -> list[int]:
        return [0] * len(item)

    def times(self, item: np.ndarray) -> np.ndarray:
        starts = np.arange(len(item), dtype=np.float64) * self.config.patch
        return np.stack([starts, starts + self.config.patch], axis=1) / self.config.sampling_rate

    def coverage(self, item: np.ndarray) -> Coverage:
        """All leads, and the time up to the last sample; what "base" is filled up with does not count."""
        samples = item.reshape(len(item), len(LEADS), self.config.patch).any(axis=1).ravel()
        shown = np.flatnonzero(samples)[-1] + 1 if self.config.mode == "base" and samples.any() else len(samples)
        return Coverage(len(LEADS), float(shown / self.config.sampling_rate))

    def embed(self, items) -> Tensor:
        rows = torch.cat(list(items))
        if self.convolutions is None:
            return rows
        return self.convolutions(rows.unflatten(1, (len(LEADS), self.config.patch))).mean(dim=2)

    def fingerprint(self) -> str:
        """Does not cover the convolutions, because the cache holds their input."""
        return hashlib.sha256(repr((self.config, MV_SCALE)).encode()).hexdigest()[:16]

    def save_pretrained(self, folder: Path | str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"representation": self.name, **asdict(self.config)}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        if self.convolutions:
            save_weights(self, folder / "model.safetensors")

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        folder = Path(folder)
        try:
            values = json.loads((folder / "config.json").read_text())
            if values.pop("representation") != cls.name:
                raise ValueError("another representation")
            values.pop("seen", None)
            patches = cls(PatchConfig(**values))
            if patches.convolutions:
                patches.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}: no ECG patches can be loaded from this folder ({reason})") from None
        return patches.eval().requires_grad_(False).to(device)


def make_patches(settings: PatchSettings) -> dict:
    """Write the representation to OUTPUT_DIR and return its figures; there is nothing to learn from recordings."""
    torch.manual_seed(settings.seed)
    patches = ECGPatches(settings.config())
    figures = {
        "rows_per_10_s": 1 if settings.patch_mode == "base" else round(10 * 1000 / settings.patch_ms, 1),
        "embedding_width": patches.embedding_width,
    }
    if launch.is_main():
        patches.save_pretrained(settings.output_dir)
        record_seen(settings.output_dir, save_seen(settings.output_dir, []))
        (settings.output_dir / "settings.json").write_text(settings.to_json())
        (settings.output_dir / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
        print(
            f"patches, {figures['rows_per_10_s']:g} rows of {patches.embedding_width} per 10 s: {settings.output_dir}"
        )
    return figures

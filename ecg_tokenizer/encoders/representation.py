"""ECGs as rows of an encoder's features: ``REPRESENTATION=encoder``.

A frozen encoder computes an ECG once: the cache holds its features, and training sees neither signal nor encoder. A
trained one is given samples, and learns together with the language model, its batch norms frozen: their statistics
would be those of a few ECGs.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.func import functional_call

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.encoders.architectures.table import build_encoder
from cardiolect.ecg_tokenizer.encoders.base import MV_SCALE
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.exact import full_float32
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import save_weights

WEIGHTS = "model.safetensors"
TEXT_FOLDER = "text"  # of the text encoder of `objectives.alignment`
_LENGTH_BASE = 1024  # float16 holds whole numbers up to 2048


class ECGEncoder(nn.Module, ECGRepresentation):
    """An encoder, and how its tokens become the rows of an ECG."""

    name = "encoder"
    fewer_tokens = "a lower ENCODER_TOKENS"
    embeds = True
    vocabulary_size = 1

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config, self.encoder = config, build_encoder(config)

    @property
    def sampling_rate(self) -> float:
        return self.config.sampling_rate

    @property
    def embedding_width(self) -> int:
        return self.encoder.width

    def train(self, mode: bool = True) -> Self:
        super().train(mode and not self.config.frozen)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def trained_parameters(self) -> Iterable[nn.Parameter]:
        return () if self.config.frozen else self.parameters()

    def average_statistics(self) -> None:
        """Average those of batch norms over ranks, which have seen different shares of each batch in training."""
        for module in self.encoder.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                launch.average([module.running_mean, module.running_var])

    def scaled(self, signals: Tensor) -> Tensor:
        """The input of the encoder, ``(batch, 12, samples)``, from millivolts."""
        whole = signals.flatten(1)
        if self.config.scaling == "deviation":
            mean, deviation = whole.mean(1)[:, None, None], whole.std(1)[:, None, None]
            return (signals - mean) / deviation.clamp(min=1e-6)
        if self.config.scaling == "range":
            low, high = whole.amin(1)[:, None, None], whole.amax(1)[:, None, None]
            return (signals - low) / (high - low).clamp(min=1e-6)
        return signals * MV_SCALE

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @torch.inference_mode()
    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """float16: samples ``(12, T)`` for an encoder that is trained; ``(rows, width + 2)`` of a frozen one.

        The last two columns hold T, which the times of rows depend on, as multiples of `_LENGTH_BASE` and the rest.
        """
        scaled = [self.scaled(torch.from_numpy(signal)[None].float().to(self.device)) for signal in signals]
        if self.config.frozen:
            with full_float32(self.device.type):  # one by one: sums of a batch are added in another order
                found = [self._features(each) for each in scaled]
        else:
            found = [each[0].cpu().numpy() for each in scaled]
        return [np.clip(each, -6e4, 6e4).astype(np.float16) for each in found]

    def _features(self, signal: Tensor) -> np.ndarray:
        rows = self._rows(signal)[0].cpu().numpy()
        return np.column_stack([rows, np.tile(divmod(signal.shape[2], _LENGTH_BASE), (len(rows), 1))])

    def _rows(self, signals: Tensor) -> Tensor:
        """``(batch, 12, samples)`` -> ``(batch, rows, width)``."""
        # Training in bf16 casts parameters, but not the statistics of batch norms, which stay as they were.
        buffers = {name: b.to(signals) for name, b in self.encoder.named_buffers() if b.is_floating_point()}
        features = functional_call(self.encoder, buffers, (signals,))
        if not self.config.tokens:
            return features
        return F.adaptive_avg_pool1d(features.transpose(1, 2), self.config.tokens).transpose(1, 2)

    def _samples(self, item: np.ndarray) -> int:
        if not self.config.frozen:
            return item.shape[1]
        return int(item[0, -2]) * _LENGTH_BASE + int(item[0, -1])

    def token_ids(self, item: np.ndarray) -> list[int]:
        return [0] * (self.config.tokens or len(self.times(item)))

    def num_tokens(self, item: np.ndarray) -> int:
        return len(self.token_ids(item))

    def times(self, item: np.ndarray) -> np.ndarray:
        """A row of several tokens spans them all; of st-mem, the rows of a lead come after those of the one before."""
        spans = self.encoder.spans(self._samples(item)) / self.sampling_rate
        if not self.config.tokens:
            return spans
        count, rows = len(spans), np.arange(self.config.tokens)
        first, last = rows * count // self.config.tokens, -(-(rows + 1) * count // self.config.tokens)  # as in pooling
        return np.array([[spans[a:b, 0].min(), spans[a:b, 1].max()] for a, b in zip(first, last, strict=True)])

    def embed(self, items: Sequence[Tensor]) -> Tensor:
        if self.config.frozen:
            return torch.cat([item[:, :-2] for item in items])
        found: dict[int, Tensor] = {}
        like = next(self.parameters())
        for length in {item.shape[1] for item in items}:  # ECGs of equal length share a pass
            places = [k for k, item in enumerate(items) if item.shape[1] == length]
            found |= dict(zip(places, self._rows(torch.stack([items[k] for k in places]).to(like)), strict=True))
        return torch.cat([found[k] for k in range(len(items))])

    def fingerprint(self) -> str:
        """Of a frozen encoder with its weights; those of a trained one do not affect the items."""
        digest = hashlib.sha256(repr((self.config, MV_SCALE)).encode())
        for name, value in sorted(self.state_dict().items()) if self.config.frozen else ():
            digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save_pretrained(self, folder: Path | str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / TEXT_FOLDER, ignore_errors=True)  # of an encoder that was here before
        config = {"representation": self.name, **asdict(self.config)}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        save_weights(self, folder / WEIGHTS)

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        folder = Path(folder)
        try:
            values = json.loads((folder / "config.json").read_text())
            if values.pop("representation") != cls.name:
                raise ValueError("another representation")
            values.pop("seen", None)
            encoder = cls(EncoderConfig(**values))
            encoder.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}: no ECG encoder can be loaded from this folder ({reason})") from None
        return encoder.eval().requires_grad_(False).to(device)

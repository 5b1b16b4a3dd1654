"""HeartLLM's ECG tokenizer, reimplemented from its description (arXiv 2508.15338): baseline of `bench.tokenizer_speed`.

One shared convolutional encoder processes each lead; the features of all leads are concatenated, projected to four
numbers and rounded to six levels each (1296 codes, one per 16 samples at 500 Hz). Input is z-scored per lead and
record. Only the architecture is reimplemented; no original weights are used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEADS, WIDTH, DIMENSIONS, LEVELS, STRIDE = 12, 32, 4, 6, 16


class ResInception(nn.Module):
    """Parallel convolutions over 3, 5 and 7 samples and a pooling branch, with a shortcut."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        branch = outputs // 4
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs, branch, kernel, padding=kernel // 2, bias=False) for kernel in (3, 5, 7)
        )
        self.pooled = nn.Conv1d(inputs, branch, 1, bias=False)
        self.shortcut = nn.Conv1d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()
        self.norm = nn.GroupNorm(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pooled(F.max_pool1d(x, 3, stride=1, padding=1))
        joined = torch.cat([*(convolution(x) for convolution in self.convolutions), pooled], dim=1)
        return F.leaky_relu(self.norm(joined + self.shortcut(x)))


class HeartLLMTokenizer(nn.Module):
    """``(batch, 12, T)`` at 500 Hz, z-scored -> codes ``(batch, ceil(T / 16))`` and reconstruction."""

    def __init__(self):
        super().__init__()
        stages: list[nn.Module] = []
        for inputs in (1, WIDTH, WIDTH, WIDTH):
            stages += [ResInception(inputs, WIDTH), nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1, bias=False)]
        self.encoder = nn.Sequential(*stages, ResInception(WIDTH, WIDTH))
        joined = LEADS * WIDTH
        self.to_code, self.from_code = nn.Linear(joined, DIMENSIONS), nn.Linear(DIMENSIONS, joined)
        stages = []
        for _ in range(4):
            stages += [nn.ConvTranspose1d(joined, joined, 3, stride=2, padding=1, output_padding=1)]
            stages += [ResInception(joined, joined)]
        self.decoder = nn.Sequential(*stages, nn.Conv1d(joined, LEADS, 1))

    def quantize(self, signal: Tensor) -> Tensor:
        """Levels in 0..1, ``(batch, frames, 4)``, with a straight-through gradient."""
        features = [
            self.encoder(signal[:, lead : lead + 1]) for lead in range(LEADS)
        ]  # twelve passes, like the original
        scalars = torch.sigmoid(self.to_code(torch.cat(features, dim=1).transpose(1, 2)))
        return scalars + (torch.round(scalars * (LEVELS - 1)) / (LEVELS - 1) - scalars).detach()

    def encode(self, signal: Tensor) -> Tensor:
        """``(batch, 12, T)`` -> int64 codes ``(batch, frames)``."""
        levels = torch.round(self.quantize(signal) * (LEVELS - 1)).long()
        return (levels * LEVELS ** torch.arange(DIMENSIONS, device=levels.device)).sum(dim=-1)

    def forward(self, signal: Tensor) -> Tensor:
        """Reconstruction of ``signal``."""
        decoded = self.decoder(self.from_code(self.quantize(signal)).transpose(1, 2))
        return decoded[..., : signal.shape[-1]]


def z_score(signal: Tensor) -> Tensor:
    """Standardise each lead of each recording over time, as HeartLLM does."""
    deviation = signal.std(dim=-1, keepdim=True)
    return (signal - signal.mean(dim=-1, keepdim=True)) / deviation.clamp(min=1e-6)

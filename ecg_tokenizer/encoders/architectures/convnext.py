"""ConvNeXt V2 in one dimension, as in ESI (Yu et al. 2024, arXiv 2405.19366).

Blocks of Woo et al. (2023, arXiv 2301.00808). Written from the papers; layer norms are over channels.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.ecg_tokenizer.encoders.base import LEADS_IN, ConvolutionalEncoder


class ConvNeXtV2(ConvolutionalEncoder):
    """A stem of stride 4 and three halvings of the rate; features are those of the last stage after a norm."""

    def __init__(self, depths: Sequence[int], widths: Sequence[int]):
        super().__init__()
        self.stem = nn.Conv1d(LEADS_IN, widths[0], 4, 4)
        normed = (widths[0], *widths[:-1])  # after the stem, and before each halving
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for width in normed)
        self.halvings = nn.ModuleList(nn.Conv1d(before, after, 2, 2) for before, after in pairwise(widths))
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(depth))) for depth, width in zip(depths, widths, strict=True)
        )
        self.final = nn.LayerNorm(widths[-1], eps=1e-6)
        self.width, self.stride = widths[-1], 4 * 2 ** (len(widths) - 1)
        for module in self.modules():
            if isinstance(module, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, signal: Tensor) -> Tensor:
        signal = F.pad(signal, (0, -signal.shape[2] % self.stride), mode="replicate")  # no sample is left out
        x = self.norms[0](self.stem(signal).transpose(1, 2))
        for k, stage in enumerate(self.stages):
            if k:
                x = self.halvings[k - 1](self.norms[k](x).transpose(1, 2)).transpose(1, 2)
            x = stage(x)
        return self.final(x)


class _Block(nn.Module):
    """Depthwise convolution of 7, norm, four times the width and back; ``(batch, time, width)``."""

    def __init__(self, width: int):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.response = _ResponseNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        return x + self.narrow(self.response(F.gelu(self.widen(y))))


class _ResponseNorm(nn.Module):
    """Global response normalisation: each channel by its norm over time, relative to the mean of all channels."""

    def __init__(self, width: int):
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        norms = x.norm(dim=1, keepdim=True)
        return x + self.gain * (x * norms / (norms.mean(dim=2, keepdim=True) + 1e-6)) + self.offset

"""The two halves around the quantizer: 12 leads to features per frame, and back.

A frame is ``stride`` samples of all 12 leads. Normalisation is over channels only, so a code depends on nothing but
the receptive field around it: crops, streams and whole records agree away from their edges.
"""

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then an MLP over channels (Liu et al. 2022, arXiv 2201.03545, in 1-D)."""

    def __init__(self, width: int, kernel: int = 7, expansion: int = 3):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, frames, width)`` -> the same shape."""
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return x + self.contract(F.gelu(self.expand(self.norm(y))))


class Encoder(nn.Module):
    """``(batch, 12, frames * stride)`` in scaled millivolts -> features ``(batch, frames, width)``."""

    def __init__(self, leads: int, stride: int, width: int, depth: int):
        super().__init__()
        # Patches overlap by half a stride on both sides: a frame sees its neighbours before any block.
        self.patch = nn.Conv1d(leads, width, 2 * stride, stride=stride, padding=stride // 2)
        self.stride = stride
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, signal: Tensor) -> Tensor:
        frames = signal.shape[-1] // self.stride
        x = self.patch(F.pad(signal, (0, self.stride % 2)))[..., :frames]
        return self.norm(self.blocks(x.transpose(1, 2)))


class Decoder(nn.Module):
    """Features ``(batch, frames, width)`` -> ``(batch, 12, frames * stride)`` in scaled millivolts."""

    def __init__(self, leads: int, stride: int, width: int, depth: int):
        super().__init__()
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.unpatch = nn.ConvTranspose1d(width, leads, 2 * stride, stride=stride, padding=stride // 2)
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        frames = features.shape[1]
        x = self.unpatch(self.norm(self.blocks(features)).transpose(1, 2))
        return x[..., : frames * self.stride]

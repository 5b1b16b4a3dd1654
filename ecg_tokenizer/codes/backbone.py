"""Encoder and decoder on either side of the quantizer: 12 leads to features per frame, and back.

A frame is ``stride`` samples of all 12 leads. Normalisation is over channels only, so a code depends only on its
receptive field. Away from its edges, a crop that begins at a frame (with coarse codes, at a group) therefore has the
same codes as the whole recording.
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


def _hop(stride: int) -> int:
    """Stride of the fine convolutions in samples: the largest divisor of the frame's stride up to 4."""
    return max(d for d in range(1, 5) if stride % d == 0)


class Encoder(nn.Module):
    """``(batch, 12, frames * stride)`` in scaled millivolts -> features ``(batch, frames, width)``."""

    def __init__(self, leads: int, stride: int, width: int, depth: int):
        super().__init__()
        hop = _hop(stride)
        self.fine = nn.Conv1d(leads, width // 2, 2 * hop + 1, stride=hop, padding=hop)
        # Patches overlap by half a stride on both sides, so a frame sees its neighbours even before the blocks.
        steps = stride // hop
        self.patch = nn.Conv1d(width // 2, width, 2 * steps, stride=steps, padding=steps // 2)
        self.stride, self.steps = stride, steps
        self.blocks = nn.Sequential(*(ConvNeXtBlock(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, signal: Tensor) -> Tensor:
        frames = signal.shape[-1] // self.stride
        fine = F.gelu(self.fine(signal))
        x = self.patch(F.pad(fine, (0, self.steps % 2)))[..., :frames]
        return self.norm(self.blocks(x.transpose(1, 2)))


class Decoder(nn.Module):
    """Features ``(batch, frames, width)`` -> ``(batch, 12, frames * stride)`` in scaled millivolts."""

    block = ConvNeXtBlock

    def __init__(self, leads: int, stride: int, width: int, depth: int):
        super().__init__()
        self.blocks = nn.Sequential(*(self.block(width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        hop = _hop(stride)
        steps = stride // hop
        self.unpatch = nn.ConvTranspose1d(width, width // 2, 2 * steps, stride=steps, padding=steps // 2)
        self.fine = nn.ConvTranspose1d(width // 2, leads, 2 * hop + 1, stride=hop, padding=hop // 2)
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        frames = features.shape[1]
        x = self.fine(F.gelu(self.unpatch(self.norm(self.blocks(features)).transpose(1, 2))))
        return x[..., : frames * self.stride]

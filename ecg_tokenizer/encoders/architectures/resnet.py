"""One-dimensional ResNets: MERL's (Liu et al. 2024, arXiv 2403.06659) and XResNet1D (Strodthoff et al. 2020).

MERL's is the ResNet of He et al. (2015) in one dimension, without the pooling after the stem. XResNet1D has the changes
of He et al. (2018, arXiv 1812.01187): a stem of three convolutions, average pooling before the shortcut's convolution,
and residual branches that begin as zero; kernels of 5 samples, and the same width in all stages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from cardiolect.ecg_tokenizer.encoders.base import LEADS_IN, ConvolutionalEncoder


@dataclass(frozen=True)
class Residual:
    """Sizes of a residual network.

    blocks: of each stage. widths: of each stage's inner convolutions. expansion: of the width that a block gives; 1 for
    blocks of two convolutions. kernel: of the inner convolutions. stem: widths of its convolutions. pooled: max-pooling
    of stride 2 after it. averaged: shortcuts pool before their convolution, which then has stride 1.
    """

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    expansion: int
    kernel: int = 3
    stem: tuple[int, ...] = (64,)
    stem_kernel: int = 7
    pooled: bool = False
    averaged: bool = False


class ResNet1D(ConvolutionalEncoder):
    """A residual network; features are those of its last stage, not pooled over time."""

    def __init__(self, sizes: Residual):
        super().__init__()
        stem = [
            layer
            for k, (before, after) in enumerate(pairwise((LEADS_IN, *sizes.stem)))
            for layer in (*_convolution(before, after, sizes.stem_kernel, 2 if k == 0 else 1), nn.ReLU(inplace=True))
        ]
        self.stem = nn.Sequential(*stem, *([nn.MaxPool1d(3, 2, 1)] if sizes.pooled else []))
        width, stages = sizes.stem[-1], []
        for k, (count, inner) in enumerate(zip(sizes.blocks, sizes.widths, strict=True)):
            for number in range(count):
                stages.append(_Block(width, inner, sizes, stride=2 if k and number == 0 else 1))
                width = inner * sizes.expansion
        self.stages = nn.Sequential(*stages)
        self.width, self.stride = width, 2 * (2 if sizes.pooled else 1) * 2 ** (len(sizes.blocks) - 1)

    def forward(self, signal: Tensor) -> Tensor:
        return self.stages(self.stem(signal)).transpose(1, 2)


class _Block(nn.Module):
    """Two convolutions, or three of which the outer ones mix channels only, around a shortcut."""

    def __init__(self, before: int, inner: int, sizes: Residual, stride: int):
        super().__init__()
        after = inner * sizes.expansion
        shape: Sequence[tuple[int, int, int, int]] = (
            [(before, inner, sizes.kernel, stride), (inner, after, sizes.kernel, 1)]
            if sizes.expansion == 1
            else [(before, inner, 1, 1), (inner, inner, sizes.kernel, stride), (inner, after, 1, 1)]
        )
        layers = [layer for each in shape for layer in (*_convolution(*each), nn.ReLU(inplace=True))]
        self.branch = nn.Sequential(*layers[:-1])
        shortcut: list[nn.Module] = []
        if stride > 1 and sizes.averaged:
            shortcut.append(nn.AvgPool1d(2, ceil_mode=True))
        if before != after or (stride > 1 and not sizes.averaged):
            shortcut += _convolution(before, after, 1, 1 if sizes.averaged else stride)
        self.shortcut, self.activation = nn.Sequential(*shortcut), nn.ReLU(inplace=True)
        if sizes.averaged:
            nn.init.zeros_(self.branch[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.branch(x) + self.shortcut(x))


def _convolution(before: int, after: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv1d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return [convolution, nn.BatchNorm1d(after)]

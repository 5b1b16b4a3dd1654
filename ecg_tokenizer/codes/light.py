"""The light backbone: half the computation of the standard one at about the same distortion.

The encoder is narrower than the decoder, because its features end in a few bits per frame, and reads a frame by one
convolution. MLPs are only twice as wide as their blocks. Depthwise convolutions are computed in the layout of the MLPs,
which saves copies.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.ecg_tokenizer.codes.backbone import ConvNeXtBlock, Decoder


class LightBlock(ConvNeXtBlock):
    """A `ConvNeXtBlock` with a smaller MLP, computed without transposing."""

    def __init__(self, width: int, kernel: int = 7):
        super().__init__(width, kernel, expansion=2)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, frames, width)`` -> the same shape."""
        conv = self.depthwise
        # A 2-D convolution over (1, frames), the only kind for which PyTorch knows this layout.
        weight = conv.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        y = x.transpose(1, 2).unsqueeze(2)
        y = F.conv2d(y, weight, conv.bias, padding=(0, *conv.padding), groups=conv.groups)
        y = self.norm(y.squeeze(2).transpose(1, 2))
        return x + self.contract(F.gelu(self.expand(y)))


class LightEncoder(nn.Module):
    """``(batch, 12, frames * stride)`` in scaled millivolts -> features ``(batch, frames, width)``."""

    def __init__(self, leads: int, stride: int, width: int, depth: int):
        super().__init__()
        self.stride, inner = stride, 3 * width // 4
        # Patches overlap by half a stride on both sides, so a frame sees its neighbours even before the blocks.
        self.patch = nn.Conv1d(leads, inner, 2 * stride, stride=stride)
        self.blocks = nn.Sequential(*(LightBlock(inner) for _ in range(depth)))
        self.norm = nn.LayerNorm(inner)
        self.widen = nn.Linear(inner, width)

    def forward(self, signal: Tensor) -> Tensor:
        before = self.stride // 2
        x = self.patch(F.pad(signal, (before, self.stride - before)))
        return self.widen(self.norm(self.blocks(x.transpose(1, 2))))


class LightDecoder(Decoder):
    block = LightBlock

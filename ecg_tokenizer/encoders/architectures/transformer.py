"""Transformers over patches: the encoders of ST-MEM (Na et al. 2024, arXiv 2402.09450), MTAE and MLAE.

    ST-MEM  patches of each lead apart, between separators, with an embedding of the lead: 12 tokens per span of time
    MTAE    patches of all leads together
    MLAE    one token for each lead, which holds the whole ECG

MTAE and MLAE are the variants that ST-MEM is compared with (Zhang et al. 2022). Written from the paper; features are
those of the encoder, nothing masked.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.ecg_tokenizer.encoders.base import LEADS_IN, SignalEncoder

Patching = Literal["lead", "time", "whole"]  # of ST-MEM, MTAE and MLAE


@dataclass(frozen=True)
class TransformerSizes:
    """width, depth, heads of the encoder; patch: samples of a patch, and with "whole" those of an ECG."""

    patching: Patching
    patch: int
    width: int = 768
    depth: int = 12
    heads: int = 12


class PatchTransformer(SignalEncoder):
    """Patches, a linear embedding, fixed positions and a pre-norm transformer."""

    def __init__(self, sizes: TransformerSizes):
        super().__init__()
        self.sizes, self.width = sizes, sizes.width
        self.embedding = nn.Linear(sizes.patch * (LEADS_IN if sizes.patching == "time" else 1), sizes.width)
        self.summary = nn.Parameter(torch.zeros(sizes.width))  # of MTAE and MLAE: the token in front
        if sizes.patching == "lead":
            self.separator, self.lead = nn.Parameter(torch.zeros(sizes.width)), nn.Embedding(LEADS_IN, sizes.width)
            del self.summary
        self.blocks = nn.Sequential(*(TransformerBlock(sizes.width, sizes.heads) for _ in range(sizes.depth)))
        self.norm = nn.LayerNorm(sizes.width)
        for name, value in self.named_parameters():
            if value.ndim == 2:
                nn.init.xavier_uniform_(value)
            elif name in ("summary", "separator"):
                nn.init.normal_(value, std=0.02)

    def forward(self, signal: Tensor) -> Tensor:
        """Tokens in time, and of ST-MEM lead by lead; separators and the summary are left out."""
        return self.encode(self.patches(signal))

    def patches(self, signal: Tensor) -> Tensor:
        """``(batch, 12, samples)`` -> ``(batch, patches, samples of each)``; the last sample fills up the last patch.

        With "whole", a longer ECG is cut, and a shorter one filled up with 0.
        """
        size = self.sizes.patch
        if self.sizes.patching == "whole":
            return F.pad(signal[..., :size], (0, max(0, size - signal.shape[-1])))
        signal = F.pad(signal, (0, -signal.shape[-1] % size), mode="replicate")
        each = signal.unflatten(2, (-1, size))  # batch, leads, patches, samples
        return each.flatten(1, 2) if self.sizes.patching == "lead" else each.transpose(1, 2).flatten(2)

    def encode(self, patches: Tensor, kept: Tensor | None = None) -> Tensor:
        """Features of patches. kept: ``(batch, patches)``, True for those that the encoder sees, equally many in each
        row (with "lead" in each lead); None: all.
        """
        tokens, leads = self.embedding(patches), self.sizes.patching == "lead"
        count = tokens.shape[1] // LEADS_IN if leads else tokens.shape[1]
        places = positions(count + 2 if leads else count + 1, self.width).to(tokens)
        if leads:
            tokens = tokens + (places[1:-1].repeat(LEADS_IN, 1) + self.lead.weight.repeat_interleave(count, 0))
        else:
            tokens = tokens + places[1:]
        batch = len(tokens)
        if kept is not None:
            tokens = tokens[kept].view(batch, -1, self.width)
        if not leads:
            first = (self.summary + places[0]).expand(batch, 1, -1)
            return self.norm(self.blocks(torch.cat([first, tokens], 1)))[:, 1:]
        ends = self.separator + self.lead.weight  # leads, width
        first, last = ((ends + place).expand(batch, 1, -1, -1).transpose(1, 2) for place in (places[0], places[-1]))
        rows = torch.cat([first, tokens.unflatten(1, (LEADS_IN, -1)), last], 2)
        rows = self.norm(self.blocks(rows.flatten(1, 2))).view_as(rows)
        return rows[:, :, 1:-1].flatten(1, 2)

    def spans(self, samples: int) -> np.ndarray:
        size = self.sizes.patch
        if self.sizes.patching == "whole":
            return np.tile([0.0, size], (LEADS_IN, 1))
        starts = size * np.arange(-(-samples // size), dtype=np.float64)
        spans = np.stack([starts, starts + size], axis=1)
        return np.tile(spans, (LEADS_IN, 1)) if self.sizes.patching == "lead" else spans


class TransformerBlock(nn.Module):
    """Self-attention and an MLP of four times the width, each after a norm and around a shortcut."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.queries_keys_values, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.queries_keys_values(self.norms[0](x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norms[1](x))


def positions(count: int, width: int) -> Tensor:
    """Fixed positions ``(count, width)``: sines, then cosines, of wavelengths from 2 pi to 20,000 pi."""
    angles = torch.arange(count)[:, None] / 10_000 ** (torch.arange(width // 2) / (width // 2))
    return torch.cat([angles.sin(), angles.cos()], 1)

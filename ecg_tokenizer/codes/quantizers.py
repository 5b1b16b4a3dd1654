"""Quantizers with a common interface: features ``(batch, frames, width)`` -> quantized features, codes, loss.

All come from vector-quantize-pytorch; this module sets their parameters. A quantizer
has ``num_codebooks`` codebooks of ``codebook_size`` codes. Its codes are flat, ``(batch, frames * num_codebooks)``:
frame by frame, within a frame codebook by codebook, with code ``c`` of codebook ``q`` as ``q * codebook_size + c``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from vector_quantize_pytorch import FSQ, ResidualVQ, VectorQuantize

from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig

# Decay and restart as in EnCodec (Defossez et al. 2022): a code used by fewer than two vectors (exponential average) is
# replaced by a vector of the batch. Ten k-means iterations on the first batch. Commitment weight as in VQ-VAE.
EMA_SETTINGS = {
    "decay": 0.99,
    "kmeans_init": True,
    "kmeans_iters": 10,
    "threshold_ema_dead_code": 2,
    "commitment_weight": 0.25,
}


# The tanh of FSQ reaches the outermost of eight levels below 1.5 and is flat from about 2: no gradient passes.
SATURATED = 2.0


class FiniteScalarQuantizer(nn.Module):
    """FSQ (Mentzer et al. 2023, arXiv 2309.15505), which has no codebook to learn.

    Its loss keeps scalars away from the flat ends of the tanh: a dimension that drifts there stays at one level.
    """

    num_codebooks = 1

    def __init__(self, levels: Sequence[int], width: int):
        super().__init__()
        self.levels = tuple(levels)
        self.fsq = FSQ(levels=list(levels), dim=width)
        self.codebook_size = self.fsq.codebook_size

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        saturation = F.relu(self.fsq.project_in(features).float().abs() - SATURATED).square().mean()
        quantized, codes = self.fsq(features)
        return quantized, codes.long(), saturation

    def lookup(self, codes: Tensor) -> Tensor:
        """``(batch, frames)`` codes -> ``(batch, frames, width)``."""
        return self.fsq.indices_to_codes(codes.int())

    def geometry(self) -> Tensor:
        """``(codebook_size, dims)``: position of each code in the quantized space."""
        return self.fsq.implicit_codebook.float()

    def vectors(self) -> Tensor:
        """``(codebook_size, width)``: contribution of each code to the quantized features."""
        return self.lookup(torch.arange(self.codebook_size, device=self.fsq.implicit_codebook.device)[None])[0]

    def neighbours(self) -> Tensor:
        """``(codebook_size, 2 * dims)``: the codes one level up and one down in each dimension; at an end, itself."""
        device = self.fsq.implicit_codebook.device
        levels = torch.tensor(self.levels, device=device)
        step = levels.cumprod(0) // levels
        codes = torch.arange(self.codebook_size, device=device)[:, None]
        level = codes // step % levels
        return torch.cat([codes + step * (level + 1 < levels), codes - step * (level > 0)], dim=1)


class EMAVectorQuantizer(nn.Module):
    """VQ-VAE with an EMA codebook (van den Oord et al. 2017), k-means initialisation and restarts of dead codes."""

    num_codebooks = 1

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.vq = VectorQuantize(
            dim=config.hidden,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
            **EMA_SETTINGS,
        )
        self.codebook_size = config.codebook_size

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, commitment_loss = self.vq(features)
        return quantized, codes.long(), commitment_loss.sum()

    def lookup(self, codes: Tensor) -> Tensor:
        """``(batch, frames)`` codes -> ``(batch, frames, width)``."""
        return self.vq.get_output_from_indices(codes)

    def geometry(self) -> Tensor:
        """``(codebook_size, dims)``: position of each code in the quantized space."""
        return self.vq.codebook.detach().float()

    def vectors(self) -> Tensor:
        """``(codebook_size, width)``: contribution of each code to the quantized features."""
        return self.lookup(torch.arange(self.codebook_size, device=self.vq.codebook.device)[None])[0]


class ResidualVectorQuantizer(nn.Module):
    """RVQ (Zeghidour et al. 2021, SoundStream): each codebook quantizes the residual of those before it."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.rvq = ResidualVQ(
            dim=config.hidden,
            num_quantizers=config.num_codebooks,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
            **EMA_SETTINGS,
        )
        self.codebook_size, self.num_codebooks = config.codebook_size, config.num_codebooks

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, commitment_losses = self.rvq(features)
        return quantized, (codes.long() + self._first(codes.device)).flatten(1), commitment_losses.sum()

    def lookup(self, codes: Tensor) -> Tensor:
        """``(batch, frames * num_codebooks)`` codes -> ``(batch, frames, width)``."""
        by_codebook = codes.unflatten(1, (-1, self.num_codebooks)) - self._first(codes.device)
        return self.rvq.get_output_from_indices(by_codebook)

    def geometry(self) -> Tensor:
        """``(num_codebooks * codebook_size, dims)``: position of each code, and its codebook (one-hot)."""
        books = self.rvq.codebooks.detach().float()
        codebook = torch.eye(self.num_codebooks, device=books.device).repeat_interleave(self.codebook_size, dim=0)
        return torch.cat([books.flatten(0, 1), codebook], dim=1)

    def vectors(self) -> Tensor:
        """``(num_codebooks * codebook_size, width)``: contribution of each code to the quantized features."""
        return self.rvq.project_out(self.rvq.codebooks.flatten(0, 1))

    def _first(self, device: torch.device) -> Tensor:
        return torch.arange(self.num_codebooks, device=device) * self.codebook_size


def build_quantizer(config: TokenizerConfig) -> nn.Module:
    """The quantizer of the frames."""
    if config.quantizer == "fsq":
        return FiniteScalarQuantizer(config.fsq_levels, config.hidden)
    return {"vq": EMAVectorQuantizer, "rvq": ResidualVectorQuantizer}[config.quantizer](config)

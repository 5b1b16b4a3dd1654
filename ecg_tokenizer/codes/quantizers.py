"""Quantizers with a common interface: features ``(batch, frames, width)`` -> quantized features, codes, loss.

FSQ is here; vector-quantize-pytorch has the others, and is imported only for them, which takes a second. A quantizer
has ``num_codebooks`` codebooks of ``codebook_size`` codes. Its codes are flat, ``(batch, frames * num_codebooks)``:
frame by frame, within a frame codebook by codebook, with code ``c`` of codebook ``q`` as ``q * codebook_size + c``.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


class Scalars(nn.Module):
    """A projection to few dimensions, each rounded to one of its levels, and one back.

    A level is an integer around 0 over half their number, so that all lie in -1 to 1. If the levels are even in number,
    there is one more below 0 than above. The number of a code counts the levels of the first dimension fastest.
    """

    MARGIN = 1e-3  # the tanh goes so much further than the outermost levels, which it would otherwise never reach

    def __init__(self, levels: Sequence[int], width: int):
        super().__init__()
        same = len(levels) == width
        self.project_in = nn.Identity() if same else nn.Linear(width, len(levels))
        self.project_out = nn.Identity() if same else nn.Linear(len(levels), width)
        numbers = torch.tensor(levels)
        self.register_buffer("levels", numbers, persistent=False)
        self.register_buffer("step", numbers.cumprod(0) // numbers, persistent=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Quantized features, and codes; gradients pass the rounding unchanged. Always rounds in fp32."""
        scalars = self.project_in(features)
        reach = (self.levels - 1) * (1 + self.MARGIN) / 2
        centre = 0.5 * (self.levels % 2 == 0)
        bounded = (scalars.float() + (centre / reach).atanh()).tanh() * reach - centre
        level = bounded + (bounded.round() - bounded).detach()
        codes = ((level.detach().round().long() + self.levels // 2) * self.step).sum(-1)
        return self.project_out((level / (self.levels // 2)).to(scalars.dtype)), codes

    def positions(self, codes: Tensor) -> Tensor:
        """``(..., dims)``: the levels of codes ``(...)``, in -1 to 1."""
        half = self.levels // 2
        return (codes[..., None] // self.step % self.levels - half) / half


class FiniteScalarQuantizer(nn.Module):
    """FSQ (Mentzer et al. 2023, arXiv 2309.15505), which has no codebook to learn.

    Its loss keeps scalars away from the flat ends of the tanh: a dimension that drifts there stays at one level.
    """

    num_codebooks = 1

    def __init__(self, levels: Sequence[int], width: int):
        super().__init__()
        self.fsq = Scalars(levels, width)
        self.codebook_size = math.prod(levels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        saturation = F.relu(self.fsq.project_in(features).float().abs() - SATURATED).square().mean()
        return *self.fsq(features), saturation

    def lookup(self, codes: Tensor) -> Tensor:
        """``(batch, frames)`` codes -> ``(batch, frames, width)``."""
        return self.fsq.project_out(self.fsq.positions(codes))

    def geometry(self) -> Tensor:
        """``(codebook_size, dims)``: position of each code in the quantized space."""
        return self.fsq.positions(self._codes())

    def vectors(self) -> Tensor:
        """``(codebook_size, width)``: contribution of each code to the quantized features."""
        return self.lookup(self._codes())

    def neighbours(self) -> Tensor:
        """``(codebook_size, 2 * dims)``: the codes one level up and one down in each dimension; at an end, itself."""
        levels, step, codes = self.fsq.levels, self.fsq.step, self._codes()[:, None]
        level = codes // step % levels
        return torch.cat([codes + step * (level + 1 < levels), codes - step * (level > 0)], dim=1)

    def _codes(self) -> Tensor:
        return torch.arange(self.codebook_size, device=self.fsq.levels.device)


class EMAVectorQuantizer(nn.Module):
    """VQ-VAE with an EMA codebook (van den Oord et al. 2017), k-means initialisation and restarts of dead codes."""

    num_codebooks = 1

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        from vector_quantize_pytorch import VectorQuantize

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
        from vector_quantize_pytorch import ResidualVQ

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

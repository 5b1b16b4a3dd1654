"""Quantizers behind one interface: features ``(batch, frames, width)`` -> quantized features, codes, loss.

Both come from vector-quantize-pytorch; this page fixes their settings and gives them the same face.
"""

from torch import Tensor, nn
from vector_quantize_pytorch import FSQ, VectorQuantize

from ecg_tokenizer.config import TokenizerConfig


class FiniteScalarQuantizer(nn.Module):
    """FSQ (Mentzer et al. 2023, arXiv 2309.15505): no codebook to learn, no auxiliary loss."""

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.fsq = FSQ(levels=list(config.fsq_levels), dim=config.hidden)
        self.codebook_size = self.fsq.codebook_size

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes = self.fsq(features)
        return quantized, codes.long(), features.new_zeros(())

    def lookup(self, codes: Tensor) -> Tensor:
        """``(batch, frames)`` codes -> ``(batch, frames, width)``."""
        return self.fsq.indices_to_codes(codes.int())

    def geometry(self) -> Tensor:
        """``(codebook_size, dims)``: where each code lies in the quantized space."""
        return self.fsq.implicit_codebook.float()


class EMAVectorQuantizer(nn.Module):
    """VQ-VAE with an EMA codebook (van den Oord et al. 2017), k-means start and restart of dead codes.

    Settings follow EnCodec: decay 0.99, ten k-means rounds on the first batch, a code used by fewer than two vectors
    (exponential average) is replaced by one of the batch.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.vq = VectorQuantize(
            dim=config.hidden,
            codebook_size=config.codebook_size,
            codebook_dim=config.codebook_dim,
            decay=0.99,
            kmeans_init=True,
            kmeans_iters=10,
            threshold_ema_dead_code=2,
            commitment_weight=0.25,
        )
        self.codebook_size = config.codebook_size

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, commitment_loss = self.vq(features)
        return quantized, codes.long(), commitment_loss.sum()

    def lookup(self, codes: Tensor) -> Tensor:
        """``(batch, frames)`` codes -> ``(batch, frames, width)``."""
        return self.vq.get_output_from_indices(codes)

    def geometry(self) -> Tensor:
        """``(codebook_size, dims)``: where each code lies in the quantized space."""
        return self.vq.codebook.detach().float()


def build_quantizer(config: TokenizerConfig) -> nn.Module:
    return {"fsq": FiniteScalarQuantizer, "vq": EMAVectorQuantizer}[config.quantizer](config)

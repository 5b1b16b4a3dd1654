"""Coarse codes: each holds the slow waves of all leads over several frames, and the frames encode the residual.

A frame is too short for baseline wander: its few bits would have to repeat the same offset again and again. Without
coarse codes, offsets were reconstructed at a third of their size. Codes at two rates come from VQ-VAE-2 (Razavi et al.
2019, arXiv 1906.00446) and, in one flat sequence, from SNAC (Siuzdak et al. 2024, arXiv 2410.14411).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.ecg_tokenizer.codes.backbone import ConvNeXtBlock
from cardiolect.ecg_tokenizer.codes.quantizers import FiniteScalarQuantizer

WIDTH, DEPTH, KERNEL = 64, 2, 5
MEAN_WEIGHT = 0.3
VARIANCE_FLOOR = 0.08  # in squared units of the input, 0.005 mV^2 at its usual scale


class CoarseCoder(nn.Module):
    """An autoencoder with its own FSQ for the means of each lead over ``samples`` samples."""

    def __init__(self, leads: int, samples: int, levels: tuple[int, ...]):
        super().__init__()
        self.samples = samples
        self.read = nn.Linear(leads, WIDTH)
        self.encoder = nn.Sequential(*(ConvNeXtBlock(WIDTH, KERNEL) for _ in range(DEPTH)), nn.LayerNorm(WIDTH))
        self.quantizer = FiniteScalarQuantizer(levels, WIDTH)
        self.decoder = nn.Sequential(*(ConvNeXtBlock(WIDTH, KERNEL) for _ in range(DEPTH)), nn.LayerNorm(WIDTH))
        self.write = nn.Linear(WIDTH, leads)

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(batch, leads, T)`` -> slow waves of the same shape, codes ``(batch, ceil(T / samples))``, loss.

        The loss is that of the quantizer plus the distance between the reconstructed and the true means.
        """
        length = signal.shape[-1]
        means = F.avg_pool1d(F.pad(signal, (0, -length % self.samples), mode="replicate"), self.samples)
        features, codes, loss = self.quantizer(self.encoder(self.read(means.transpose(1, 2))))
        reconstructed = self._means(features)
        variance = signal.square().mean(dim=(1, 2)) + VARIANCE_FLOOR
        distance = ((reconstructed - means).float().square().mean(dim=(1, 2)) / variance).mean()
        return self._interpolate(reconstructed, length), codes, loss + MEAN_WEIGHT * distance

    def lookup(self, codes: Tensor, length: int) -> Tensor:
        """Codes ``(batch, groups)`` -> slow waves ``(batch, leads, length)``; a code affects five groups each way."""
        return self._interpolate(self._means(self.quantizer.lookup(codes)), length)

    def vectors(self) -> Tensor:
        """``(codebook_size, leads)``: the means that each code decodes to when surrounded by copies of itself."""
        return self._means(self.quantizer.vectors()[:, None].expand(-1, 2 * KERNEL + 1, -1))[..., KERNEL]

    def _means(self, features: Tensor) -> Tensor:
        return self.write(self.decoder(features)).transpose(1, 2)

    def _interpolate(self, means: Tensor, length: int) -> Tensor:
        return F.interpolate(means, scale_factor=self.samples, mode="linear")[..., :length]

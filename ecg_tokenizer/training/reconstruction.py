"""Reconstruction losses of the tokenizer, minimised together with the quantizer's own loss."""

import torch
import torch.nn.functional as F

from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.launch import average, world_size

# Added to the variance of a crop (mV^2) in the loss: quiet crops count more than with plain MSE, pure noise does not.
VARIANCE_FLOOR = 0.005
SMALL_WAVE = 0.15  # mV, the size of a P wave: above it, `compand` is logarithmic


def reconstruction_loss(
    signal: torch.Tensor, reconstruction: torch.Tensor, present: torch.Tensor, derivative_weight: float
) -> torch.Tensor:
    """Squared error relative to each crop's variance, over present leads, plus the same on first differences.

    signal, reconstruction: ``(batch, 12, T)`` mV; present: ``(batch, 12)``, 1 where the lead was recorded.
    """
    samples = present.sum(dim=1) * signal.shape[-1] + 1e-6

    def power(x: torch.Tensor) -> torch.Tensor:
        """Mean square ``(batch,)``; leads are left out after the sum over time, which is cheaper than before."""
        return (x.square().sum(dim=2) * present).sum(dim=1) / samples

    variance = power(signal - signal.mean(dim=2, keepdim=True)) + VARIANCE_FLOOR
    error = reconstruction - signal
    loss = (power(error) / variance).mean()
    if derivative_weight:
        slope = power(signal.diff(dim=2)) + VARIANCE_FLOOR / 10
        loss = loss + derivative_weight * (power(error.diff(dim=2)) / slope).mean()
    return loss


def compand(signal: torch.Tensor) -> torch.Tensor:
    """Compress millivolts, linear for small waves and logarithmic for large ones, so that P waves count too."""
    return torch.asinh(signal / SMALL_WAVE) * SMALL_WAVE


def texture_loss(
    signal: torch.Tensor, reconstruction: torch.Tensor, present: torch.Tensor, window: int
) -> torch.Tensor:
    """Mean absolute difference of log slope energy in half-overlapping windows of ``window`` samples.

    Squared error lets a decoder smooth noise away; this loss makes it keep the noise level at each time.
    """
    floor = 0.005**2  # mV^2; anything quieter counts as flat

    def energy(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool1d(x.diff(dim=2).square(), window, window // 2)

    difference = ((energy(reconstruction) + floor).log() - (energy(signal) + floor).log()).abs() * present[:, :, None]
    return difference.mean()


def distortion(
    signal: torch.Tensor, reconstruction: torch.Tensor, present: torch.Tensor, settings: TokenizerSettings
) -> torch.Tensor:
    """The reconstruction loss, its terms weighted by the settings."""
    small, slopes = settings.small_wave_weight, settings.derivative_weight
    loss = torch.zeros((), device=signal.device)
    if small < 1:
        loss = loss + (1 - small) * reconstruction_loss(signal, reconstruction, present, slopes)
    if small > 0:
        loss = loss + small * reconstruction_loss(compand(signal), compand(reconstruction), present, slopes)
    if settings.texture_weight:
        loss = loss + settings.texture_weight * texture_loss(signal, reconstruction, present, 2 * settings.stride)
    return loss


def measurement_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Huber loss over the values that were measured, with equal weight for each column.

    predicted, target: ``(batch, measurements)``, NaN in target if missing. The mean over ranks equals the loss of their
    batches joined.
    """
    known = ~target.isnan()
    error = F.smooth_l1_loss(predicted, target.nan_to_num(), reduction="none", beta=0.5) * known
    count = known.sum(0).float()
    average([count])
    return (error.sum(0) / count.clamp(min=1 / world_size())).mean()

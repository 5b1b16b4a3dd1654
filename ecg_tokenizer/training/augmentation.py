"""Augmentation of training crops: voltage, electrode position, heart rate, baseline wander, missing leads.

Random numbers are drawn for the whole batch and applied to the rows that a rank trains on.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cardiolect.data_provider.record import INDEPENDENT, LIMB_FROM_I_II
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings

WANDER_HZ = (0.04, 1.0)
WANDER_MV = (0.01, 0.3)  # rms, log-uniform


def twelve_leads(independent: Tensor) -> Tensor:
    """``(batch, 8, T)`` of I, II, V1-V6 -> ``(batch, 12, T)`` by Einthoven's and Goldberger's laws."""
    return torch.cat([torch.from_numpy(LIMB_FROM_I_II).float() @ independent[:, :2], independent[:, 2:]], dim=1)


def baseline_wander(batch: int, samples: int, fs: float, generator: torch.Generator) -> Tensor:
    """Slow drift of nine electrodes, seen in the eight independent leads: ``(batch, 8, samples)`` mV."""
    n = 4 * samples  # resolves periods longer than the crop
    frequency = torch.fft.rfftfreq(n, 1 / fs)
    inside = (frequency > WANDER_HZ[0]) & (frequency < WANDER_HZ[1])
    steepness = 0.3 + 1.5 * torch.rand(batch, 1, 1, generator=generator)
    envelope = torch.where(inside, frequency.clamp(min=WANDER_HZ[0]) ** -steepness, torch.zeros(()))
    noise = torch.view_as_complex(torch.randn(batch, 9, len(frequency), 2, generator=generator))
    drift = torch.fft.irfft(noise * envelope, n)
    # Scaled over the whole period, so that drift that is almost flat within a crop is not amplified into an offset.
    drift = (drift / drift.std(dim=-1, keepdim=True))[..., :samples]
    low, high = WANDER_MV
    level = low * (high / low) ** torch.rand(batch, 1, 1, generator=generator)
    gains = torch.exp(0.7 * torch.randn(batch, 9, 1, generator=generator))
    shared = torch.rand(batch, 1, 1, generator=generator)  # breathing moves all electrodes; a loose one moves alone
    sway = drift[:, :1] * torch.randn(batch, 9, 1, generator=generator)
    right_arm, left_arm, left_leg, *chest = ((1 - shared) * drift + shared * sway).mul(level * gains).unbind(1)
    terminal = (right_arm + left_arm + left_leg) / 3  # Wilson's
    return torch.stack([left_arm - right_arm, left_leg - right_arm, *(c - terminal for c in chest)], dim=1)


def stretched_length(crop: int, settings: TokenizerSettings, rng: np.random.Generator) -> int:
    """Number of samples to read for a crop: fewer slow the heart rate down, more speed it up."""
    if not settings.time_stretch:
        return crop
    return round(crop * math.exp(rng.uniform(-settings.time_stretch, settings.time_stretch)))


def augment(
    signal: Tensor,
    present: Tensor,
    crop: int,
    settings: TokenizerSettings,
    generator: torch.Generator,
    share: slice = slice(None),
) -> tuple[Tensor, Tensor]:
    """Augment the rows ``share`` of a batch; signals that obeyed Einthoven's law still do.

    signal: ``(rows, 12, samples)`` mV, resampled to ``crop`` samples; present: ``(rows, 12)``, 0 for missing leads.
    Returns both, with silenced leads marked as missing. Electrodes move only in ECGs that have all leads: otherwise the
    potentials cannot be derived.
    """
    batch = settings.batch_size
    if signal.shape[-1] != crop:
        signal = F.interpolate(signal, crop, mode="linear")
    gain = 1 + settings.gain_jitter * (2 * torch.rand(batch, 1, 1, generator=generator)[share] - 1)
    uniform = torch.rand(batch, present.shape[1], generator=generator)[share]
    kept = (uniform >= settings.lead_dropout).float() * present
    if settings.electrode_jitter:
        amount = settings.electrode_jitter * torch.rand(batch, 1, 1, generator=generator)
        mixing = torch.eye(8) + amount * torch.randn(batch, 8, 8, generator=generator) / math.sqrt(8)
        moved = twelve_leads(mixing[share] @ signal[:, INDEPENDENT])
        signal = torch.where(present.all(dim=1)[:, None, None], moved, signal)
    if settings.wander_chance:
        wander = baseline_wander(batch, crop, settings.sampling_rate, generator)
        wander *= torch.rand(batch, 1, 1, generator=generator) < settings.wander_chance
        signal = signal + twelve_leads(wander[share])
    return signal * gain * kept[:, :, None], kept

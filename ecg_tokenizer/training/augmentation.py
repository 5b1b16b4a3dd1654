"""Augmentation of training crops: voltage, electrode position, heart rate, baseline wander, missing leads.

Every crop has a random generator of its own, so that what is drawn for it does not depend on the rest of the batch.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cardiolect.data_provider.record import INDEPENDENT, LIMB_FROM_I_II
from cardiolect.ecg_tokenizer.training.settings import TrainingSettings

WANDER_HZ = (0.04, 1.0)
WANDER_MV = (0.01, 0.3)  # rms, log-uniform


def twelve_leads(independent: Tensor) -> Tensor:
    """``(batch, 8, T)`` of I, II, V1-V6 -> ``(batch, 12, T)`` by Einthoven's and Goldberger's laws."""
    return torch.cat([torch.from_numpy(LIMB_FROM_I_II).float() @ independent[:, :2], independent[:, 2:]], dim=1)


def baseline_wander(samples: int, fs: float, generators: Sequence[np.random.Generator]) -> Tensor:
    """Slow drift of nine electrodes, seen in the eight independent leads: ``(generators, 8, samples)`` mV."""
    n = 4 * samples  # resolves periods longer than the crop
    frequency = torch.fft.rfftfreq(n, 1 / fs)
    band = (frequency > WANDER_HZ[0]) & (frequency < WANDER_HZ[1])
    steepness = 0.3 + 1.5 * _uniform(generators, 1, 1)
    spectrum = torch.zeros(len(generators), 9, len(frequency), dtype=torch.complex64)
    noise = torch.view_as_complex(_normal(generators, 9, int(band.sum()), 2))
    spectrum[..., band] = noise * frequency[band] ** -steepness
    drift = torch.fft.irfft(spectrum, n)
    # Scaled over the whole period, so that drift that is almost flat within a crop is not amplified into an offset.
    drift = (drift / drift.std(dim=-1, keepdim=True))[..., :samples]
    low, high = WANDER_MV
    level = low * (high / low) ** _uniform(generators, 1, 1)
    gains = torch.exp(0.7 * _normal(generators, 9, 1))
    shared = _uniform(generators, 1, 1)  # breathing moves all electrodes; a loose one moves alone
    sway = drift[:, :1] * _normal(generators, 9, 1)
    right_arm, left_arm, left_leg, *chest = ((1 - shared) * drift + shared * sway).mul(level * gains).unbind(1)
    terminal = (right_arm + left_arm + left_leg) / 3  # Wilson's
    return torch.stack([left_arm - right_arm, left_leg - right_arm, *(c - terminal for c in chest)], dim=1)


def _uniform(generators: Sequence[np.random.Generator], *shape: int) -> Tensor:
    """``(generators, *shape)`` from 0 to below 1."""
    return torch.from_numpy(np.stack([each.random(shape, np.float32) for each in generators]))


def _normal(generators: Sequence[np.random.Generator], *shape: int) -> Tensor:
    """``(generators, *shape)``, standard normal."""
    return torch.from_numpy(np.stack([each.standard_normal(shape, np.float32) for each in generators]))


def stretched_length(crop: int, settings: TrainingSettings, rng: np.random.Generator) -> int:
    """Number of samples to read for a crop: fewer slow the heart rate down, more speed it up."""
    if not settings.time_stretch:
        return crop
    return round(crop * math.exp(rng.uniform(-settings.time_stretch, settings.time_stretch)))


def augment(
    signal: Tensor, present: Tensor, crop: int, settings: TrainingSettings, generators: Sequence[np.random.Generator]
) -> tuple[Tensor, Tensor]:
    """Augment crops, each by its generator; signals that obeyed Einthoven's law still do.

    signal: ``(rows, 12, samples)`` mV, resampled to ``crop`` samples; present: ``(rows, 12)``, 0 for missing leads.
    Returns both, with silenced leads marked as missing. Electrodes move only in ECGs that have all leads: otherwise the
    potentials cannot be derived.
    """
    if signal.shape[-1] != crop:
        signal = F.interpolate(signal, crop, mode="linear")
    gain = 1 + settings.gain_jitter * (2 * _uniform(generators, 1, 1) - 1)
    kept = (_uniform(generators, present.shape[1]) >= settings.lead_dropout).float() * present
    if settings.electrode_jitter:
        amount = settings.electrode_jitter * _uniform(generators, 1, 1)
        mixing = torch.eye(8) + amount * _normal(generators, 8, 8) / math.sqrt(8)
        moved = twelve_leads(mixing @ signal[:, INDEPENDENT])
        signal = torch.where(present.all(dim=1)[:, None, None], moved, signal)
    if settings.wander_chance:
        chosen = torch.nonzero(_uniform(generators) < settings.wander_chance)[:, 0]
        if len(chosen):
            wander = baseline_wander(crop, settings.sampling_rate, [generators[i] for i in chosen])
            signal = signal.index_add(0, chosen, twelve_leads(wander))
    return signal * gain * kept[:, :, None], kept

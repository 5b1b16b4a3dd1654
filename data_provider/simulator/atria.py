"""Atrial activity without P waves: fibrillatory waves and flutter waves."""

import numpy as np

from cardiolect.data_provider.simulator.leads import frontal, horizontal


def fibrillation(t: np.ndarray, gain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """f-waves ``(8, T)`` in mV: two wandering oscillations of 5-8 Hz, largest in V1."""
    size = rng.uniform(0.05, 0.1)
    drift = np.sin(2 * np.pi * rng.uniform(0.15, 0.4, (2, 1)) * t + rng.uniform(0, 6.3, (2, 1)))
    phase = 2 * np.pi * rng.uniform(5.0, 8.0, (2, 1)) * t + 1.6 * drift + rng.uniform(0, 6.3, (2, 1))
    swell = 1 + 0.45 * np.sin(2 * np.pi * rng.uniform(0.25, 0.8, (2, 1)) * t + rng.uniform(0, 6.3, (2, 1)))
    curves = swell * (np.sin(phase) + 0.3 * np.sin(2 * phase))
    limb = frontal(size * np.array([0.55, 0.35]), np.array([75.0, 30.0]))
    chest = horizontal(size * np.array([0.9, 0.5]), np.array([118.0, 60.0]), gain)
    chest *= np.array([1.0, 0.6, 0.45, 0.35, 0.3, 0.3])
    return np.concatenate([limb, chest], axis=1).T @ curves


def flutter(t: np.ndarray, first: float, rate_hz: float, gain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """F-waves ``(8, T)`` in mV, in step with the QRS at ``first`` seconds.

    The sawtooth falls slowly and rises fast in II, III and aVF; V1 shows separate upright waves.
    """
    size = rng.uniform(0.11, 0.19)
    cycle = ((t - first) * rate_hz + rng.uniform(0.1, 0.9)) % 1.0
    teeth = np.where(cycle < 0.7, 1 - 2 * cycle / 0.7, 2 * (cycle - 0.7) / 0.3 - 1)
    teeth = np.convolve(np.pad(teeth, 6, mode="edge"), np.hanning(15)[1:-1] / np.hanning(15).sum(), mode="valid")
    upright = np.exp(-0.5 * ((cycle - 0.5) / 0.14) ** 2)
    upright -= 0.35
    limb = frontal(np.array([size]), np.array([rng.uniform(84, 98)]))
    chest = horizontal(np.array([size * 0.9]), np.array([112.0]), gain)
    chest[:, 3:] *= 0.35
    return np.concatenate([limb.T @ teeth[None], chest.T @ upright[None]])

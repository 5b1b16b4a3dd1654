"""Atrial waves of fibrillation and flutter, from coarse to nearly invisible."""

import numpy as np

from cardiolect.data_provider.simulator.leads import frontal, horizontal


def fibrillation(t: np.ndarray, gain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """f-waves ``(8, T)`` in mV: three wandering oscillations of 4-9 Hz, usually largest in V1."""
    size = float(np.clip(0.03 * np.exp(rng.normal(0, 0.75)), 0.002, 0.14))
    sources = (3, 1)
    drift = np.sin(2 * np.pi * rng.uniform(0.1, 0.6, sources) * t + rng.uniform(0, 6.3, sources))
    phase = (
        2 * np.pi * rng.uniform(4.0, 9.0, sources) * t + rng.uniform(0.5, 2.5) * drift + rng.uniform(0, 6.3, sources)
    )
    swell = 1 + 0.6 * np.sin(2 * np.pi * rng.uniform(0.15, 0.9, sources) * t + rng.uniform(0, 6.3, sources))
    curves = swell * (np.sin(phase) + rng.uniform(0, 0.4) * np.sin(2 * phase))
    shares = size * rng.uniform(0.2, 0.8, 3)
    limb = frontal(shares * rng.uniform(0.4, 1.1), rng.normal(70, 35, 3))
    chest = horizontal(shares * 1.3, rng.normal(105, 40, 3), gain) * np.array([1.0, 0.7, 0.5, 0.4, 0.3, 0.3])
    return np.concatenate([limb, chest], axis=1).T @ curves


def flutter(t: np.ndarray, first: float, rate_hz: float, gain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """F-waves ``(8, T)`` in mV, in step with the QRS at ``first`` seconds, in the typical or a random direction."""
    size = float(np.clip(0.12 * np.exp(rng.normal(0, 0.4)), 0.03, 0.3))
    cycle = ((t - first) * rate_hz + rng.uniform(0, 1)) % 1.0
    fall = rng.uniform(0.5, 0.75)
    teeth = np.where(cycle < fall, 1 - 2 * cycle / fall, 2 * (cycle - fall) / (1 - fall) - 1)
    width = int(rng.integers(8, 24))
    kernel = np.hanning(width + 2)[1:-1]
    teeth = np.convolve(teeth, kernel / kernel.sum(), mode="same")
    upright = np.exp(-0.5 * ((cycle - 0.5) / rng.uniform(0.1, 0.2)) ** 2)
    upright -= upright.mean()
    direction = rng.normal(90, 10) if rng.random() < 0.7 else rng.uniform(-180, 180)
    limb = frontal(np.array([size]), np.array([direction]))
    chest = horizontal(np.array([size]), np.array([rng.normal(112, 20)]), gain)
    chest[:, 3:] *= 0.4
    return np.concatenate([limb.T @ teeth[None], chest.T @ upright[None]])

"""Signals without a heart."""

import numpy as np

from cardiolect.data_provider.record import LIMB_FROM_I_II


def some_ecg(seconds: float = 10, fs: float = 500) -> np.ndarray:
    """Smooth, lead-dependent waves below 20 Hz, so that any rate can carry them; limb leads obey Einthoven's law."""
    t = np.arange(round(seconds * fs)) / fs
    rows = [sum(np.sin(2 * np.pi * f * t + i * f) / f for f in (1, 3, 7, 11)) * (0.3 + 0.1 * i) for i in range(12)]
    signal = np.array(rows)
    signal[:6] = LIMB_FROM_I_II @ signal[:2]
    return signal.astype(np.float32)

"""Signals without a heart."""

import numpy as np


def some_ecg(seconds: float = 10, fs: float = 500) -> np.ndarray:
    """Smooth, lead-dependent waves below 20 Hz, so that any rate can carry them."""
    t = np.arange(round(seconds * fs)) / fs
    rows = [sum(np.sin(2 * np.pi * f * t + i * f) / f for f in (1, 3, 7, 11)) * (0.3 + 0.1 * i) for i in range(12)]
    return np.array(rows, dtype=np.float32)

"""How well codes keep an ECG: distortion in millivolts."""

import numpy as np

EINTHOVEN = (0, 1, 2)  # rows of leads I, II, III


def prdn(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Percentage root-mean-square difference, normalised: mean-removed per lead (Zigel et al. 2000, TBME 47:1424).

    original, reconstruction: ``(leads, T)`` millivolts, usable leads only. Returns percent over all leads together.
    """
    energy = ((original - original.mean(axis=1, keepdims=True)) ** 2).sum()
    return float(100 * np.sqrt(((original - reconstruction) ** 2).sum() / max(energy, 1e-12)))


def snr(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Signal-to-noise ratio in dB of the same quantities: ``-20 log10(PRDN / 100)``."""
    return float(-20 * np.log10(max(prdn(original, reconstruction), 1e-6) / 100))


def rmse(original: np.ndarray, reconstruction: np.ndarray) -> float:
    """Root-mean-square error in millivolts."""
    return float(np.sqrt(np.mean((original - reconstruction) ** 2)))


def einthoven_residual(signal: np.ndarray) -> float:
    """Root mean square of ``I + III - II`` in mV, 0 in a consistent recording; signal: ``(12, T)`` mV."""
    one, two, three = (signal[row] for row in EINTHOVEN)
    return float(np.sqrt(np.mean((one + three - two) ** 2)))

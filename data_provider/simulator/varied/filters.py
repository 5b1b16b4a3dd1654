"""What a recorder does to the signal: its band, and its gain."""

import numpy as np
from scipy.signal import butter, lfilter, lfilter_zi, sosfiltfilt

HIGH_PASS_HZ = (0.05, 0.05, 0.15, 0.3, 0.5)
LOW_PASS_HZ = (40.0, 70.0, 100.0, 150.0, 150.0)


def record_through(signal: np.ndarray, fs: float, rng: np.random.Generator) -> np.ndarray:
    """``(C, T)`` in mV as a recorder of random band and gain (within 5 %) gives it.

    The high-pass is causal and of first order, as analogue recorders have it, so that it bends ST as they do; the
    low-pass is of zero phase. A hair of white noise, as converters add it, comes last.
    """
    high, low = rng.choice(HIGH_PASS_HZ), rng.choice(LOW_PASS_HZ)
    b, a = butter(1, high, "highpass", fs=fs)
    start = lfilter_zi(b, a)[None] * np.median(signal, axis=1, keepdims=True)
    out = lfilter(b, a, signal, axis=1, zi=start)[0]
    out = sosfiltfilt(butter(1, low, "lowpass", fs=fs, output="sos"), out, axis=1)
    return out * rng.normal(1, 0.02) + rng.uniform(0.0005, 0.003) * rng.standard_normal(out.shape)

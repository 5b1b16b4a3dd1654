"""Change of sampling rate, with the filter that keeps what lies above the new Nyquist rate from folding back."""

import math
from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

_MAX_DENOMINATOR = 10_000  # 257.3 Hz -> 500 Hz is 5000/2573 exactly; the clock error of any other pair stays below 1e-4
_HALF_FILTER = 10  # half the length of resample_poly's filter, in samples of the slower rate


def resample(signal: np.ndarray, fs_in: float, fs_out: float) -> np.ndarray:
    """Signal ``(C, T)`` at ``fs_in`` Hz -> float32 ``(C, round(T * fs_out / fs_in))`` at ``fs_out`` Hz.

    Raises ValueError for rates that are not positive and for a signal without samples.
    """
    if not (fs_in > 0 and fs_out > 0) or signal.shape[1] == 0:
        raise ValueError(f"cannot resample {signal.shape} from {fs_in} Hz to {fs_out} Hz")
    signal = np.asarray(signal, np.float32)
    if fs_in == fs_out:
        return signal
    ratio = Fraction(fs_out / fs_in).limit_denominator(_MAX_DENOMINATOR)
    n_out = max(1, round(signal.shape[1] * fs_out / fs_in))
    up, down = ratio.numerator, ratio.denominator
    # Both ends are continued by their point reflection for half a filter: offset, drift and waves do not ring there.
    # A multiple of ``down`` keeps the first output sample on the first input sample.
    blocks = math.ceil(_HALF_FILTER * max(up, down) / (up * down)) + 1
    padded = np.pad(signal, ((0, 0), (blocks * down,) * 2), mode="reflect", reflect_type="odd")
    return np.ascontiguousarray(resample_poly(padded, up, down, axis=1)[:, blocks * up : blocks * up + n_out])

"""What the tokens keep of an ECG."""

import numpy as np

from cardiolect.data_provider.record import ECGRecord, resample
from cardiolect.ecg_tokenizer import ECGTokenizer


def reconstruct(tokenizer: ECGTokenizer, ecg: ECGRecord, codes: np.ndarray) -> np.ndarray:
    """What the codes of an ECG decode to: mV ``(12, T)`` at the ECG's own rate, NaN behind the last code."""
    decoded = resample(tokenizer.decode(codes), tokenizer.config.sampling_rate, ecg.fs)
    kept = np.full(ecg.signal.shape, np.nan, np.float32)
    length = min(kept.shape[1], decoded.shape[1])
    kept[:, :length] = decoded[:, :length]
    return kept

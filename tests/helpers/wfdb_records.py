"""WFDB records that tests write, and what must come back."""

from pathlib import Path

import numpy as np
import wfdb

from cardiolect.data_provider.record import LEADS


def twelve_leads(n_samples=5000, fs=500.0) -> np.ndarray:
    """(12, T) mV: limb leads that obey Einthoven, chest leads that differ from one another."""
    t = np.arange(n_samples) / fs
    # Not centred, so that checksums are not 0 by symmetry.
    one, two = 0.1 + 0.8 * np.sin(2 * np.pi * 1.1 * t), 1.1 * np.sin(2 * np.pi * 1.1 * t + 0.4) - 0.07
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limb, *(0.1 + (0.3 + 0.2 * k) * np.cos(2 * np.pi * (1.1 + k) * t) for k in range(6))])


def write(folder: Path, signal: np.ndarray, names=LEADS, fs=500, unit="mV", name="rec") -> Path:
    """Signal (C, T) in mV, stored in ``unit``."""
    per_mv = {"mV": 1.0, "uV": 1e3, "V": 1e-3}[unit]
    channels = len(names)
    wfdb.wrsamp(
        name,
        fs=fs,
        units=[unit] * channels,
        sig_name=list(names),
        p_signal=signal.T * per_mv,
        fmt=["16"] * channels,
        adc_gain=[4000.0 / per_mv] * channels,
        baseline=[0] * channels,
        write_dir=str(folder),
    )
    return folder / name


def assert_same(record, signal, atol=3e-4):
    assert record.signal.shape == signal.shape and record.signal.dtype == np.float32
    np.testing.assert_allclose(record.signal, signal, atol=atol)
    assert record.good.all()

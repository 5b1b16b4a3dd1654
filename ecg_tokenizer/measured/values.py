"""Measures what a cardiologist would read off with a ruler: beats, rate, intervals, axis, and the waves of each lead.

Beats, intervals and the median beat are those of `data_provider.ecgqa.intervals`. Noise is measured on the signal
itself, lead by lead.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfiltfilt

from cardiolect.data_provider.ecgqa.intervals import FS, Delineation, delineate
from cardiolect.data_provider.record import INDEPENDENT, LEADS, LIMB_FROM_I_II, resample

RHYTHM = ("rate", "spread", "others", "p size", "p", "pr", "qrs", "qtc", "axis")
WAVES = ("q", "r", "s", "j", "st", "t")  # mV, relative to the level before QRS; q and s as depths
NOISE = ("drift", "static", "burst")  # mV
J_SECONDS, ST_AFTER = 0.02, 0.04  # of the J point, averaged from the end of QRS; after QRS, where ST is measured
T_FROM, T_TO = 0.08, 0.42  # seconds after QRS between which T is looked for
DRIFT_HZ, STATIC_HZ = 0.6, 45.0  # below and above these, a signal of a heart is mostly noise
WINDOW = 0.2  # seconds over which the size of fast noise is averaged
LEAST = 1.0  # seconds that the filters need


@dataclass(frozen=True)
class Values:
    """What was measured; NaN if it could not be.

    beats: seconds of the R waves; others: which of them differ from the basic rhythm. rhythm: name of `RHYTHM` ->
    value. waves: ``(12, len(WAVES))``. noise: ``(12, len(NOISE))``. present: leads that have a signal.
    """

    beats: np.ndarray
    others: np.ndarray
    rhythm: dict[str, float]
    waves: np.ndarray
    noise: np.ndarray
    present: np.ndarray


def measure(signal: np.ndarray, fs: float) -> Values:
    """Measure ``(12, T)`` mV at ``fs`` Hz, leads in the order of `LEADS`; a lead without a signal is 0."""
    present = np.ptp(signal, axis=1) > 0
    noise, waves = np.full((len(LEADS), len(NOISE)), np.nan), np.full((len(LEADS), len(WAVES)), np.nan)
    found = None
    if signal.shape[1] >= LEAST * fs:
        noise[present] = _noise(resample(signal[present], fs, FS).astype(float)) if present.any() else 0
        # Intervals need independent leads to follow the vector of the heart.
        found = delineate(signal, fs) if present[list(INDEPENDENT)].any() else None
    if found is None:
        return Values(np.empty(0), np.empty(0, bool), dict.fromkeys(RHYTHM, np.nan), waves, noise, present)
    if found.beat is not None:
        waves[present] = _waves(found)[present]
    read = found.intervals
    rhythm = (
        60_000 / read.mean_rr,
        read.rr_spread,
        float(read.others),
        read.p_size,
        read.p,
        read.pr,
        read.qrs,
        read.qtc,
        read.axis,
    )
    return Values(found.peaks / FS, ~found.alike, dict(zip(RHYTHM, rhythm, strict=True)), waves, noise, present)


def _waves(found: Delineation) -> np.ndarray:
    """Waves of the median beat in twelve leads, mV."""
    beat = np.concatenate([LIMB_FROM_I_II @ found.beat[:2], found.beat[2:]])
    qrs = beat[:, found.onset : found.end + 1]
    r_at = qrs.argmax(axis=1)
    before = np.arange(qrs.shape[1]) <= r_at[:, None]
    r = np.maximum(qrs.max(axis=1), 0)
    q = np.maximum(-np.where(before, qrs, 0).min(axis=1), 0)
    s = np.maximum(-np.where(before, 0, qrs).min(axis=1), 0)
    j = beat[:, found.end : found.end + round(J_SECONDS * FS)].mean(axis=1)
    st = beat[:, min(found.end + round(ST_AFTER * FS), beat.shape[1] - 1)]
    later = beat[:, found.end + round(T_FROM * FS) : found.end + round(T_TO * FS)]
    if later.shape[1] == 0:
        t = np.full(len(LEADS), np.nan)
    else:
        t = np.take_along_axis(later, np.abs(later).argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.stack([q, r, s, j, st, t], axis=1)


def _noise(signal: np.ndarray) -> np.ndarray:
    """Drift, and the usual and the largest size of fast noise, of leads at `FS`: ``(leads, len(NOISE))``."""
    slow = sosfiltfilt(butter(1, DRIFT_HZ, "lowpass", fs=FS, output="sos"), signal, axis=1)
    fast = sosfiltfilt(butter(2, STATIC_HZ, "highpass", fs=FS, output="sos"), signal, axis=1)
    size = round(WINDOW * FS)
    windows = fast[:, : fast.shape[1] // size * size].reshape(len(signal), -1, size).std(axis=2)
    low, high = np.quantile(slow, [0.05, 0.95], axis=1)
    return np.stack([high - low, np.median(windows, axis=1), windows.max(axis=1)], axis=1)

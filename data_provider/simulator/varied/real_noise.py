"""Noise from real recordings: their signals without the beats. Labels are not used.

Only recordings with regular rhythm and uniform beats are used: otherwise P waves, fibrillatory waves and extrasystoles
would be mistaken for noise.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.signal import butter, find_peaks, sosfiltfilt

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import INDEPENDENT, resample
from cardiolect.utils.errors import UserError
from cardiolect.utils.progress import progress

FS = 500
SAMPLES = 5000
REGULAR = 0.10  # coefficient of variation of the RR intervals
ALIKE = 0.93  # correlation of every beat with the median beat
BEFORE_R, AFTER_R = 0.30, 0.45  # seconds around R that the median beat covers, if RR is long enough
BASELINE_HZ = 0.7
MOST = 1000  # recordings used at most, evenly spread over the database: 160 MB


def noise_sources(root: Path, folds: Iterable[int]) -> list[RecordRef]:
    """The recordings of PTB-XL to take noise from, at most `MOST`."""
    folds = frozenset(folds)
    refs = [ref for ref in load_database(root, "--noise-from").values() if ref.fold in folds]
    return refs[:: -(-len(refs) // MOST) or 1]


def noise_library(root: Path, folds: Iterable[int]) -> np.ndarray:
    """Noise of the recordings of PTB-XL (at ``root``) in ``folds``.

    Returns float32 ``(n, 8, 5000)`` mV at 500 Hz, of I, II, V1..V6.
    Raises `UserError` if no recording of these folds is suitable.
    """
    refs, found = noise_sources(root, folds), []
    for ref in progress(refs, desc=f"noise of {root.name}", unit="ECG", disable=None):
        try:
            record = read_record(ref)
        except RecordError:
            continue
        signal = resample(record.signal[list(INDEPENDENT)], record.fs, FS)
        if signal.shape[1] >= SAMPLES and record.good[list(INDEPENDENT)].all():
            noise = without_beats(signal[:, :SAMPLES])
            if noise is not None:
                found.append(noise)
    if not found:
        raise UserError(f"--noise-from {root}: none of its {len(refs)} recordings in these folds is suitable")
    return np.stack(found).astype(np.float32)


def without_beats(signal: np.ndarray) -> np.ndarray | None:
    """``(8, 5000)`` mV without its beats; None if rhythm or beats vary too much to separate noise from them."""
    baseline = sosfiltfilt(butter(2, BASELINE_HZ, "lowpass", fs=FS, output="sos"), signal, axis=1)
    level = signal - baseline
    peaks = _r_peaks(level)
    if len(peaks) < 5:
        return None
    gaps = np.diff(peaks)
    if gaps.std() > REGULAR * gaps.mean():
        return None
    before = round(min(BEFORE_R * FS, 0.4 * np.median(gaps)))
    after = round(min(AFTER_R * FS, 0.58 * np.median(gaps)))
    whole = [p for p in peaks if p >= before and p + after <= SAMPLES]
    beats = np.stack([level[:, p - before : p + after] for p in whole])
    middle = np.median(beats, axis=0)
    # Beats vary in size with breathing, so each is fitted lead by lead; faded ends leave no step.
    power = (middle**2).sum(axis=1) + 1e-9
    alike = [np.corrcoef(beat.ravel(), middle.ravel())[0, 1] for beat in beats]
    if min(alike) < ALIKE:
        return None
    length = before + after
    fade = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.04 * FS))
    rest = level.copy()
    for p in peaks:
        a, b = max(p - before, 0), min(p + after, SAMPLES)
        part = middle[:, a - p + before : b - p + before]
        size = (level[:, a:b] * part).sum(axis=1) / ((part**2).sum(axis=1) + 0.02 * power)
        rest[:, a:b] -= np.clip(size, 0.5, 1.5)[:, None] * part * fade[a - p + before : b - p + before]
    return _outliers_clipped(rest) + baseline - np.median(baseline, axis=1, keepdims=True)


def _outliers_clipped(rest: np.ndarray) -> np.ndarray:
    """Clip beyond six typical deviations: such remains of steep QRS slopes are not noise."""
    limit = 6 * 1.48 * np.median(np.abs(rest), axis=1, keepdims=True) + 0.01
    return np.clip(rest, -limit, limit)


def _r_peaks(level: np.ndarray) -> np.ndarray:
    """Sample numbers of the steepest QRS points in ``(8, T)``: peaks of the smoothed slope, at least 0.3 s apart."""
    band = sosfiltfilt(butter(2, (8, 30), "bandpass", fs=FS, output="sos"), level, axis=1)
    steep = np.convolve(np.sqrt((band**2).sum(axis=0)), np.full(30, 1 / 30), "same")
    return find_peaks(steep, height=0.45 * np.quantile(steep, 0.985), distance=round(0.3 * FS))[0]


def draw_noise(library: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``(8, 5000)`` mV: one recording's noise, or the limb leads of one and the chest leads of another.

    It is reversed in time or sign at random, scaled, and shifted cyclically with a smooth seam.
    """
    parts = [library[int(rng.integers(len(library)))] for _ in range(2)]
    noise = np.concatenate([parts[0][:2], parts[int(rng.random() < 0.5)][2:]]).astype(float)
    if rng.random() < 0.5:
        noise = noise[:, ::-1]
    shift = int(rng.integers(SAMPLES))
    step = noise[:, :1] - noise[:, -1:]
    ramp = np.arange(SAMPLES) / SAMPLES
    noise = noise + step * (ramp - 0.5)  # the ends meet, so that it can be shifted cyclically
    noise = np.roll(noise, shift, axis=1)
    return noise * rng.choice([-1.0, 1.0]) * np.exp(rng.normal(0, 0.3))

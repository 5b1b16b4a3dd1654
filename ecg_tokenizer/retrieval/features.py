"""Signals as vectors of features: those that a delineator measures, and ECG-Bench's 288.

Both are computed from what `measured.values.measure` finds. NaN stands for what could not be measured.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pywt

from cardiolect.data_provider.record import LEADS, resample, without_offsets
from cardiolect.ecg_tokenizer.base import check_signal
from cardiolect.ecg_tokenizer.measured.values import NOISE, RHYTHM, WAVES, Values, measure

FS = 500.0
VERSION = 1  # of what is computed and how; raise it if equal signals get other vectors
WAVELET, WAVELET_LEVEL = "db4", 5
PER_LEAD = 24  # of ECG-Bench's features
_PERCENTILES = (25, 50, 75)


@dataclass(frozen=True)
class SignalFeatures:
    """A kind of vectors (RETRIEVE), with what a cache asks of a representation (`cached.prepare_corpus`).

    compute: mV ``(12, T)`` at `FS` -> one vector. groups: how many features of each kind follow one another; all kinds
    count alike in a distance, however many features they have.
    """

    by: str
    compute: Callable[[np.ndarray], np.ndarray]
    groups: tuple[int, ...]
    sampling_rate: float = FS

    @property
    def name(self) -> str:
        return f"retrieval-{self.by}"

    @property
    def weights(self) -> np.ndarray:
        """Of the features in a distance; their squares add up to 1."""
        each = [np.full(size, (1 / (size * len(self.groups))) ** 0.5) for size in self.groups]
        return np.concatenate(each)

    def prepare(self, signals: Sequence[np.ndarray], fs: float) -> list[np.ndarray]:
        """Signals mV ``(12, T)`` at ``fs`` Hz -> float32 vectors."""
        whole = [without_offsets(resample(check_signal(signal), fs, FS)) for signal in signals]
        return [self.compute(signal).astype(np.float32) for signal in whole]

    def fingerprint(self) -> str:
        return hashlib.sha256(json.dumps([self.name, VERSION, self.groups]).encode()).hexdigest()[:16]

    def to(self, device: object) -> Self:
        return self


def measured_features(signal: np.ndarray) -> np.ndarray:
    """``(10 + 72 + 36,)``: rate, intervals and axis (as a direction), waves and noise of each lead."""
    values = measure(signal, FS)
    return np.concatenate([_rhythm(values), values.waves.ravel(), values.noise.ravel()])


def _rhythm(values: Values) -> np.ndarray:
    """`RHYTHM`, but the axis as cosine and sine: 170 and -170 degrees are close."""
    *others, axis = (values.rhythm[name] for name in RHYTHM)
    return np.array([*others, np.cos(np.radians(axis)), np.sin(np.radians(axis))])


def ecg_bench_features(signal: np.ndarray) -> np.ndarray:
    """``(12 * 24,)``, lead by lead, after ECG-Bench (github.com/willxxy/ECG-Bench, 2bb72af).

    For each lead: mean, deviation, largest, smallest and three quartiles; total and peak power, dominant frequency and
    centroid of the spectrum; rate, deviation of the RR intervals, width of QRS, height of T and shift of ST; means of
    the six bands of a db4 wavelet at level 5; mean and deviation of the steps from sample to sample. Beats and waves
    are those of our delineator, the same in all leads.
    """
    values = measure(signal, FS)
    power = np.abs(np.fft.rfft(signal.astype(float), axis=1)) ** 2
    frequency = np.fft.rfftfreq(signal.shape[1], 1 / FS)
    total = power.sum(axis=1)
    steps = np.diff(signal.astype(float), axis=1)
    bands = pywt.wavedec(signal.astype(float), WAVELET, level=WAVELET_LEVEL, axis=1)
    rr_deviation = values.rhythm["spread"] * 60 / values.rhythm["rate"]  # seconds
    same = np.tile([values.rhythm["rate"], rr_deviation, values.rhythm["qrs"]], (len(LEADS), 1))
    columns = [
        *(signal.mean(axis=1), signal.std(axis=1), signal.max(axis=1), signal.min(axis=1)),
        *np.percentile(signal, _PERCENTILES, axis=1),
        *(total, power.max(axis=1), frequency[power.argmax(axis=1)]),
        (power @ frequency) / np.maximum(total, 1e-12),
        *same.T,
        *(values.waves[:, WAVES.index(name)] for name in ("t", "st")),
        *(band.mean(axis=1) for band in bands),
        *(steps.mean(axis=1), steps.std(axis=1)),
    ]
    return np.stack(columns, axis=1).ravel()


MEASURED, ECG_BENCH = "measured", "ecg-bench"
SIGNAL_FEATURES = {
    each.by: each
    for each in (
        SignalFeatures(
            MEASURED, measured_features, (len(RHYTHM) + 1, len(LEADS) * len(WAVES), len(LEADS) * len(NOISE))
        ),
        SignalFeatures(ECG_BENCH, ecg_bench_features, (len(LEADS) * PER_LEAD,)),
    )
}

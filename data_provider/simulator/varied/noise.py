"""Noise and recorder of a varied recording, and the labels of its noise.

Noise is simulated or taken from real recordings. Labels are measured on the added noise, whatever its source: large
noise is named, noise that is neither large nor small is left open.
"""

from collections.abc import Sequence

import numpy as np
from scipy.signal import butter, lfilter, lfilter_zi, sosfiltfilt

from cardiolect.data_provider.ecgqa.findings import NOISES
from cardiolect.data_provider.record import LEADS, LIMB_FROM_I_II
from cardiolect.data_provider.simulator import noise as drawn
from cardiolect.data_provider.simulator.noise import FS, ROWS
from cardiolect.data_provider.simulator.varied.real_noise import draw_noise

DRIFT_MV = (0.25, 0.45)  # peak-to-peak noise below 0.7 Hz: above the first open, above the second "baseline drift"
STATIC_MV = (0.018, 0.035)  # standard deviation of noise above 15 Hz: the same for "static noise"
EXTRA = 0.25  # share of recordings with real noise that get simulated noise as well

# Cut-off frequencies of recorders.
HIGH_PASS_HZ = (0.05, 0.05, 0.15, 0.3, 0.5)
LOW_PASS_HZ = (40.0, 70.0, 100.0, 150.0, 150.0)


def floor(library: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Noise ``(8, 5000)`` in mV throughout a recording: real if there is a library, else wander, muscle and mains."""
    shape = (8, 5000)
    noise = np.zeros(shape) if library is None else draw_noise(library, rng)
    if library is None or rng.random() < EXTRA:
        t = np.arange(shape[1]) / FS
        noise = noise + np.exp(rng.uniform(np.log(0.01), np.log(0.25))) * drawn.wander(
            rng, shape, rng.uniform(0.03, 0.15)
        )
        muscle = drawn.muscle(rng, shape) if rng.random() < 0.5 else _tremor(rng, shape)
        noise += np.exp(rng.uniform(np.log(0.002), np.log(0.035))) * muscle * np.exp(rng.normal(0, 0.4, (8, 1)))
        hum = np.sin(2 * np.pi * 50 * t + rng.uniform(0, 6.3, (8, 1))) * (rng.random() < 0.3)
        noise += np.exp(rng.uniform(np.log(0.0005), np.log(0.03))) * hum * np.exp(rng.normal(0, 0.5, (8, 1)))
    return noise


def _tremor(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Muscle noise in a random frequency band, of slowly varying strength."""
    low = rng.uniform(5, 30)
    band = butter(2, (low, low + rng.uniform(15, 90)), "bandpass", fs=FS, output="sos")
    wave = sosfiltfilt(band, rng.standard_normal(shape), axis=1)
    t = np.arange(shape[1]) / FS
    swell = 1 + 0.8 * np.sin(2 * np.pi * rng.uniform(0.05, 0.4) * t + rng.uniform(0, 6.3))
    return swell * wave / wave.std()


def bursts(rng: np.random.Generator) -> np.ndarray:
    """``(8, 5000)`` mV of short, strong episodes."""
    return rng.uniform(0.5, 1.0) * drawn.bursts(rng, (8, 5000))


def loose(eight: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """The recording ``(8, T)`` with one chest electrode that loses contact, and its name."""
    row = int(rng.integers(2, 8))
    out = eight.copy()
    out[row] = drawn.loose(rng, out[row : row + 1])[0]
    return out, [ROWS[row]]


def name_noise(noise: np.ndarray) -> tuple[dict[str, list[str]], set[str]]:
    """Labels of ``(8, T)`` mV of added noise: kind -> leads that show it, and the kinds left open."""
    twelve = np.concatenate([LIMB_FROM_I_II @ noise[:2], noise[2:]])
    slow = sosfiltfilt(butter(2, 0.7, "lowpass", fs=FS, output="sos"), twelve, axis=1)
    fast = sosfiltfilt(butter(2, 15, "highpass", fs=FS, output="sos"), twelve, axis=1)
    named, open_ = {}, set()
    for kind, size, (low, high) in (
        (NOISES[0], np.ptp(slow, axis=1), DRIFT_MV),
        (NOISES[1], fast.std(axis=1), STATIC_MV),
    ):
        if (size > high).any():
            named[kind] = [lead for lead, s in zip(LEADS, size, strict=True) if s > high]
        elif (size > low).any():
            open_.add(kind)
    return named, open_


def record_through(
    signal: np.ndarray, fs: float, rng: np.random.Generator, high_pass: Sequence[float] = HIGH_PASS_HZ
) -> np.ndarray:
    """The signal ``(C, T)`` in mV after a recorder of random bandwidth and gain (within 5 %).

    high_pass: cut-off frequencies in Hz, one of which is drawn.

    The high-pass is causal and of first order, like that of analogue recorders, so it distorts ST as they do; the
    low-pass has zero phase. A little white noise, as from analogue-to-digital converters, is added last.
    """
    high, low = rng.choice(high_pass), rng.choice(LOW_PASS_HZ)
    b, a = butter(1, high, "highpass", fs=fs)
    start = lfilter_zi(b, a)[None] * np.median(signal, axis=1, keepdims=True)
    out = lfilter(b, a, signal, axis=1, zi=start)[0]
    out = sosfiltfilt(butter(1, low, "lowpass", fs=fs, output="sos"), out, axis=1)
    return out * rng.normal(1, 0.02) + rng.uniform(0.0005, 0.003) * rng.standard_normal(out.shape)

"""Noise of a recording, added to I, II and V1..V6 so that the limb leads keep their relations."""

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.truth import Truth

FS = 500
ROWS = ("I", "II", *LEADS[6:])


def add_noise(eight: np.ndarray, truth: Truth, rng: np.random.Generator) -> np.ndarray:
    """Eight leads ``(8, T)`` in mV with the noise of the truth, and the faint noise that every recording has."""
    out = eight + 0.006 * muscle(rng, eight.shape) + 0.012 * wander(rng, eight.shape, slowest=0.1)
    for kind, leads in truth.noise.items():
        rows = [ROWS.index(lead) for lead in leads if lead in ROWS]
        shape = (len(rows), eight.shape[1])
        if kind == "baseline drift":
            out[rows] += rng.uniform(0.2, 0.45) * wander(rng, shape, slowest=0.06)
        elif kind == "static noise":
            out[rows] += _static(rng, shape)
        elif kind == "burst noise":
            out[rows] += bursts(rng, shape)
        else:
            out[rows] = loose(rng, out[rows])
    return out


def muscle(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Broadband noise with a standard deviation of 1, without its lowest frequencies."""
    white = rng.standard_normal((shape[0], shape[1] + 2), dtype=np.float32)
    return (white[:, 2:] + 0.4 * white[:, 1:-1] - 0.6 * white[:, :-2]) / 1.23


def wander(rng: np.random.Generator, shape: tuple[int, int], slowest: float) -> np.ndarray:
    """Sums of slow waves up to the breathing rate, within about -1..1."""
    t = np.arange(shape[1]) / FS
    hertz = np.array([slowest, rng.uniform(0.12, 0.22), rng.uniform(0.25, 0.4)])
    waves = np.exp(2j * np.pi * hertz[:, None] * t)
    weights = rng.uniform(0.3, 0.8, (shape[0], 3)) * np.exp(2j * np.pi * rng.random((shape[0], 3)))
    return (weights @ waves).real


def _static(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Noise in mV throughout the recording: muscle tremor or mains hum."""
    if rng.random() < 0.6:
        return rng.uniform(0.06, 0.12) * muscle(rng, shape)
    hum = np.sin(2 * np.pi * 50 * np.arange(shape[1]) / FS + rng.uniform(0, 6.3, (shape[0], 1)))
    return rng.uniform(0.08, 0.15) * hum + 0.01 * muscle(rng, shape)


def bursts(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One to three short, strong episodes of muscle noise, in mV."""
    t = np.arange(shape[1]) / FS
    envelope = np.zeros(shape[1])
    for _ in range(int(rng.integers(1, 4))):
        at, half = rng.uniform(0.6, t[-1] - 0.6), rng.uniform(0.12, 0.35)
        envelope = np.maximum(envelope, np.exp(-0.5 * ((t - at) / half) ** 6))
    return rng.uniform(0.35, 0.7) * envelope * muscle(rng, shape)


def loose(rng: np.random.Generator, leads: np.ndarray) -> np.ndarray:
    """The leads, with one loss of electrode contact: a jump, a flat stretch and a slow return.

    The stretch is flat but for the noise of the amplifier: exactly one value is a rail, which readers mask.
    """
    t = np.arange(leads.shape[1]) / FS
    at, length = rng.uniform(1.0, 6.5), rng.uniform(0.8, 2.5)
    off = (t >= at) & (t < at + length)
    level = rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.8)
    settle = np.where(t >= at + length, np.exp(-(t - at - length) / 0.35), 0.0)
    return np.where(off, level + 0.006 * muscle(rng, leads.shape), leads + 0.8 * level * settle)

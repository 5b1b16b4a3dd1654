"""The times of the beats in a varied recording: sinus variability, pauses, ectopy, fibrillation."""

import numpy as np

from cardiolect.data_provider.simulator.rhythm import SECONDS, Beat
from cardiolect.data_provider.simulator.varied.heart import FIBRILLATION, FLUTTER, PACED, SINUS, Condition

START = -1.6  # seconds; beats before the recording reach into it


def draw_rhythm(condition: Condition, ectopy: str | None, rng: np.random.Generator) -> list[Beat]:
    """All beats that touch the recording, in time order. ectopy: "atrial", "ventricular" or None."""
    rr = 60 / condition.rate
    count = int((SECONDS - START + 2) / rr) + 6
    if condition.rhythm == SINUS:
        gaps = rr * (1 + _sinus_sway(rng, rr, count))
    elif condition.rhythm == FIBRILLATION:
        gaps = _fibrillation_gaps(rng, rr, count)
    elif condition.rhythm == FLUTTER:
        atrial = flutter_cycle(rr)
        ratios = np.full(count, round(rr / atrial))
        if rng.random() < 0.4:
            ratios = np.maximum(ratios + rng.choice([-1, 0, 1], count, p=[0.2, 0.5, 0.3]), 2)
        gaps = ratios * atrial
    else:
        assert condition.rhythm == PACED
        gaps = np.full(count, rr)
    gaps = np.maximum(gaps, 0.3)
    kinds = ["normal"] * count
    if ectopy is not None:
        _insert(ectopy, gaps, kinds, rr, rng)
    onsets = START - rng.random() * rr + np.cumsum(gaps)
    keep = onsets < SECONDS + 0.6
    return [Beat(float(onset), kind) for onset, kind, k in zip(onsets, kinds, keep, strict=True) if k]


def flutter_cycle(rr: float) -> float:
    """Atrial cycle in seconds, about 0.21: the RR interval is a whole number of cycles, at least two."""
    return rr / round(max(rr / 0.21, 2))


def _sinus_sway(rng: np.random.Generator, rr: float, count: int) -> np.ndarray:
    """Relative deviation of each interval: breathing, slower tone, jitter; from none to sinus arrhythmia."""
    breath = np.exp(rng.uniform(np.log(0.003), np.log(0.05)))
    if rng.random() < 0.22:
        breath = rng.uniform(0.06, 0.22) * min(rr / 0.85, 1.2)  # slow hearts breathe more
    time = np.arange(count) * rr
    wave = np.sin(2 * np.pi * rng.uniform(0.14, 0.36) * time + rng.uniform(0, 6.3))
    slow = np.sin(2 * np.pi * rng.uniform(0.04, 0.11) * time + rng.uniform(0, 6.3))
    shape = wave + 0.3 * rng.uniform(0, 1) * np.sin(2 * np.arcsin(np.clip(wave, -1, 1)))
    jitter = rng.normal(0, 1, count) * np.exp(rng.uniform(np.log(0.002), np.log(0.02)))
    sway = breath * shape + rng.uniform(0.2, 0.9) * breath * slow + jitter + rng.normal(0, 0.02) * time / SECONDS
    if rng.random() < 0.02:
        sway[int(rng.integers(count))] += rng.uniform(0.4, 1.0)  # a pause
    return np.clip(sway, -0.4, 1.2)


def _fibrillation_gaps(rng: np.random.Generator, rr: float, count: int) -> np.ndarray:
    """Independent intervals, skewed towards long ones, longer than the refractory period of the AV node."""
    spread = rng.uniform(0.10, 0.34)
    gaps = rr * np.exp(spread * rng.standard_normal(count) - spread**2 / 2)
    gaps = np.maximum(gaps, max(0.28, 0.45 * rr))
    return gaps * rr / gaps.mean()


def _insert(ectopy: str, gaps: np.ndarray, kinds: list[str], rr: float, rng: np.random.Generator) -> None:
    """Make some beats premature, in place: a full pause follows a ventricular one, an atrial one resets the node."""
    coupling = rng.uniform(0.5, 0.78)
    share = rng.choice([0.08, 0.18, 0.5], p=[0.5, 0.35, 0.15])  # single ones to bigeminy
    for i in range(3, len(gaps) - 1):
        if kinds[i - 1] != "normal" or rng.random() > share:
            continue
        kinds[i] = ectopy
        full = gaps[i] + gaps[i + 1]
        gaps[i] = max(coupling * rr * rng.uniform(0.96, 1.04), 0.33)
        gaps[i + 1] = full - gaps[i] if ectopy == "ventricular" else rr * rng.uniform(1.0, 1.2)
        gaps[i + 1] = max(gaps[i + 1], 0.45)

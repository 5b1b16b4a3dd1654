"""The times and kinds of the beats in a recording."""

from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.ecgqa.findings import ECTOPIES
from cardiolect.data_provider.simulator.truth import Truth

SECONDS = 10.0


@dataclass(frozen=True)
class Beat:
    """onset: seconds from the start of the recording to the QRS onset; may lie outside 0..10 (cut-off beats).

    kind: "normal", "atrial" or "ventricular" (the last two premature).
    """

    onset: float
    kind: str = "normal"


def beats(truth: Truth, rng: np.random.Generator) -> list[Beat]:
    """All beats that touch the recording, in time order."""
    rr = 60.0 / truth.heart_rate
    count = int((SECONDS + 1.5) / rr) + 3
    fibrillation = truth.rhythm == "atrial fibrillation"
    grid = _irregular(rng, rr, count) if fibrillation else _regular(rng, rr, count, truth.rhythm)
    return [Beat(float(onset)) for onset in grid] if truth.ectopy is None else _ectopic(truth, rng, rr, grid)


def _regular(rng: np.random.Generator, rr: float, count: int, rhythm: str) -> np.ndarray:
    """Onsets with a slight respiratory variation; those of flutter are exactly regular."""
    k = np.arange(count)
    start = -0.8 - rng.random() * rr
    sway = 0.0 if rhythm == "atrial flutter" else rng.uniform(0.005, 0.02) * rr
    return start + k * rr + sway * np.sin(2 * np.pi * (k * rr * rng.uniform(0.18, 0.3) + rng.random()))


def _irregular(rng: np.random.Generator, rr: float, count: int) -> np.ndarray:
    """Onsets with independent, widely varying intervals; those within the recording have a mean of ``rr``."""
    spread = rng.uniform(0.18, 0.28)
    gaps = np.maximum(rr * (1 + spread * rng.standard_normal(count + 6)), max(0.32, 0.5 * rr))
    gaps *= rr / gaps.mean()
    onsets = -0.8 - rng.random() * rr + np.cumsum(gaps)
    for _ in range(4):  # stretching moves other intervals into the recording or out of it
        inside = onsets[(onsets >= 0) & (onsets <= SECONDS)]
        onsets = onsets[0] + (onsets - onsets[0]) * rr / np.diff(inside).mean()
    return onsets


def _ectopic(truth: Truth, rng: np.random.Generator, rr: float, grid: np.ndarray) -> list[Beat]:
    """The beats of ``grid`` with at least two premature ones within the recording, each followed by a pause.

    A ventricular beat does not disturb the sinus node: the next beat comes when it would have come anyway (a full
    compensatory pause). An atrial beat resets the node: the next beat follows after little more than one interval.
    """
    ventricular = truth.ectopy == ECTOPIES[1]
    coupling = rng.uniform(0.56, 0.68) if ventricular else rng.uniform(0.58, 0.70)
    seen = [i for i in range(1, len(grid) - 1) if grid[i] - rr > 0.25 and grid[i] + 0.5 * rr < SECONDS - 0.3]
    chosen: list[int] = []
    wanted = int(rng.integers(2, 5))
    first = int(rng.integers(0, 2))
    for step, i in enumerate(seen[first:]):
        left = len(seen) - first - step
        must = left <= 3 * (2 - len(chosen))  # too few candidates are left to skip one
        if len(chosen) < wanted and (not chosen or i - chosen[-1] >= 2 + (rr < 0.8)) and (must or rng.random() < 0.35):
            chosen.append(i)
    found = []
    shift = 0.0
    for i, onset in enumerate(grid):
        if i not in chosen:
            earliest = found[-1].onset + 0.45 if found and found[-1].kind != "normal" else -np.inf
            found.append(Beat(float(max(onset + shift, earliest))))
            continue
        before = found[-1].onset
        premature = before + max(coupling * rr * rng.uniform(0.97, 1.03), 0.34)
        found.append(Beat(float(premature), "ventricular" if ventricular else "atrial"))
        if not ventricular:
            shift = premature + rr * rng.uniform(1.04, 1.14) - grid[min(i + 1, len(grid) - 1)]
    end = found[-1].onset
    while end < SECONDS + 0.6:  # resetting the node moves the later beats forward
        end += rr
        found.append(Beat(float(end)))
    return found

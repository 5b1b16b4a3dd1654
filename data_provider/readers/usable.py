"""Which samples of a lead are voltages: converters write other numbers too, and a lead may fall off.

A number that stays exactly the same for long is not a voltage but the rail of a converter, a sentinel such as -32768,
zeros before a recording begins, a value held after it ended, or the flat line of a loose electrode. An amplifier that
is overdriven for a moment writes voltages that no heart has, and rings.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.readers.channels import FileError

MAX_MV = 50.0  # ten times the largest QRS
GAIN_MV = 2.0  # a lead's median distance from its own median; with a right gain it stays below 0.7 mV even in noise
JUMP_MV = 10.0  # from one sample to the next; a heart takes several samples for less than half of it
SPIKE_SECONDS = 0.02  # masked on both sides of a sample above MAX_MV
DISTURBED_MV = 10.0  # from the lead's median, and within two edges: no beat of 2,451 real recordings swings as far
EDGE_SECONDS = 0.1  # masked on both sides of a disturbance; a drift is slower
SWING_SECONDS = 2.0  # has a beat; if most such pieces swing by DISTURBED_MV, the gain is wrong, and not a moment
HELD_SECONDS = 0.2  # at an extreme of the lead, between two jumps, or in all leads at an end
HELD_JUMP_MV = 0.5  # within RING_SECONDS before and after a value that is held; 0.04 mV next to real flat stretches
RING_SECONDS = 0.05  # masked on both sides of a value held between two jumps
FLAT_SECONDS = 0.5  # anywhere: between beats, leads of PTB-XL on their 5 uV grid stay at one value for up to 0.33 s


class Run(NamedTuple):
    """Samples ``first`` to ``end`` (exclusive) of a lead that are not voltages, and why."""

    first: int
    end: int
    why: str


def plainly_usable(values: np.ndarray, fs: float) -> np.ndarray:
    """bool ``(leads,)``: leads of ``values (leads, T)`` in mV that are known throughout, change, and for which
    `unusable_runs` finds nothing; other leads may be as good, but need a closer look.

    They swing by less than any jump or disturbance, and a grid of samples shows that no value is held for long.
    """
    span = values.max(axis=1) - values.min(axis=1)  # NaN if any sample is
    step = int(HELD_SECONDS * fs) // 4
    if step < 1:
        return np.zeros(len(values), dtype=bool)
    grid = values[:, ::step]  # a value that is held for `HELD_SECONDS` lasts for four of these samples
    same = grid[:, 1:] == grid[:, :-1]
    held = (same[:, :-2] & same[:, 1:-1] & same[:, 2:]).any(axis=1)
    for row in np.flatnonzero(held):
        held[row] = bool(constant_runs(values[row], HELD_SECONDS * fs))
    return (span > 0) & (span < min(JUMP_MV, DISTURBED_MV)) & ~held


def unusable_runs(values: np.ndarray, fs: float, lead: str) -> list[Run]:
    """Runs of a lead's values ``(T,)`` in mV, NaN where unknown, that are not voltages; NaN itself is not listed.

    Raises `FileError` if the values are so large throughout that gain or unit must be wrong.
    """
    finite = np.isfinite(values)
    if not finite.any():
        return []
    known = values[finite]
    low, high = known.min(), known.max()
    runs = []
    for first, end in constant_runs(values, HELD_SECONDS * fs):
        seconds, value = (end - first) / fs, values[first]
        if seconds >= FLAT_SECONDS or (seconds >= HELD_SECONDS and value in (low, high)):
            runs.append(Run(first, end, f"constant at {value:.4g} mV"))
        elif _between_jumps(values, first, end, fs):
            ring = round(RING_SECONDS * fs)
            why = f"constant at {value:.4g} mV between two jumps"
            runs.append(Run(max(0, first - ring), min(len(values), end + ring), why))
    left = finite.copy()
    for run in runs:
        left[run.first : run.end] = False
    for run in _jumps_to(low, values) + _jumps_to(high, values):
        if left[run.first]:
            left[run.first : run.end] = False
            runs.append(run)
    if not left.any():
        return sorted(runs)
    rest = np.where(left, values, np.nan)
    distance = np.abs(rest - np.median(values[left]))
    if np.nanmax(distance) > MAX_MV:
        if np.nanmedian(distance) > GAIN_MV:
            raise FileError(f"lead {lead} reaches {np.nanmax(np.abs(rest)):.0f} mV; check gain and unit")
        for group, span in _groups(distance > MAX_MV, round(SPIKE_SECONDS * fs)):
            runs.append(Run(*span, f"a spike of {distance[group].max():.0f} mV"))
            rest[slice(*span)] = distance[slice(*span)] = np.nan
    return sorted(runs + _disturbances(rest, distance, fs))


def _disturbances(values: np.ndarray, distance: np.ndarray, fs: float) -> list[Run]:
    """Stretches beyond `DISTURBED_MV` that swing as far in no time: a beat on a drifting baseline does not.

    values, distance: in mV, and from the median ``(T,)``; NaN is left out.

    There are none where the lead swings as far all the time: its gain may be wrong then, which others say.
    """
    beyond = distance > DISTURBED_MV
    if not beyond.any() or _usual_swing(values, fs) > DISTURBED_MV:
        return []
    runs, edge = [], round(EDGE_SECONDS * fs)
    for group, span in _groups(beyond, edge):
        if any(_swing(values[i : i + 2 * edge]) > DISTURBED_MV for i in range(*span, max(1, edge // 2))):
            runs.append(Run(*span, f"a disturbance of {distance[group].max():.0f} mV"))
    return runs


def _groups(marked: np.ndarray, margin: int) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Marked samples, those at most two margins apart together, and the span that they make with their margins."""
    at = np.flatnonzero(marked)
    groups = np.split(at, np.flatnonzero(np.diff(at) > 2 * margin) + 1)
    ends = len(marked)
    return [(each, (max(0, int(each[0]) - margin), min(ends, int(each[-1]) + 1 + margin))) for each in groups]


def _usual_swing(values: np.ndarray, fs: float) -> float:
    """The median range in mV of pieces of 2 s."""
    step = max(1, round(SWING_SECONDS * fs))
    swings = [_swing(values[i : i + step]) for i in range(0, len(values), step)]
    return float(np.quantile(swings, 0.5, method="lower"))


def _swing(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.ptp(known)) if known.size else 0.0


def _between_jumps(values: np.ndarray, first: int, end: int, fs: float) -> bool:
    """Whether the value held from ``first`` to ``end`` is left by `HELD_JUMP_MV` shortly before and shortly after."""
    width = max(1, round(RING_SECONDS * fs))
    sides = (values[max(0, first - width) : first], values[end : end + width])
    return all((np.abs(side - values[first]) > HELD_JUMP_MV).any() for side in sides)


def _jumps_to(value: float, values: np.ndarray) -> list[Run]:
    """Stretches at exactly ``value`` that begin and end with a jump: a sentinel, however short, is not a voltage."""
    if not JUMP_MV <= abs(value - np.nanmedian(values)) <= MAX_MV:  # a spike above that is masked with its surroundings
        return []
    at = np.flatnonzero(values == value)
    runs = []
    for group in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
        first, end = int(group[0]), int(group[-1]) + 1
        around = [values[i] for i in (first - 1, end) if 0 <= i < len(values)]
        if all(not abs(other - value) <= JUMP_MV for other in around):  # next to NaN as well
            runs.append(Run(first, end, f"jumps to {value:.4g} mV"))
    return runs


def constant_runs(values: np.ndarray, least: float) -> list[tuple[int, int]]:
    """``(first, end)`` of all stretches of at least ``least`` and of two equal samples; NaN equals nothing."""
    change = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts, ends = np.concatenate([[0], change]), np.concatenate([change, [len(values)]])
    long = ends - starts >= max(least, 2)
    return list(zip(starts[long].tolist(), ends[long].tolist(), strict=True))


def padding(leads: Sequence[np.ndarray], fs: float) -> tuple[int, int]:
    """Samples at the beginning and at the end during which every lead ``(T,)`` stays at one value or is unknown.

    Less than 0.2 s counts as 0: the last sample is often there twice.
    """
    least = HELD_SECONDS * fs
    return _padding(leads, least), _padding([values[::-1] for values in leads], least)


def _padding(leads: Sequence[np.ndarray], least: float) -> int:
    """Samples at the beginning of all ``leads`` during which each stays at one value; 0 if there are fewer than
    ``least``.
    """
    shortest = len(leads[0])
    for values in leads:
        shortest = min(shortest, _held(values))
        if shortest < least:
            return 0
    return shortest


def _held(values: np.ndarray) -> int:
    """How many samples the first value of ``values`` lasts; NaN lasts as long as there are NaN."""
    same = np.isnan(values) if np.isnan(values[0]) else values == values[0]
    return int(np.argmin(same)) if not same.all() else len(values)

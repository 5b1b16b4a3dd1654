"""Which samples of a lead are voltages: converters write other numbers too, and a lead may fall off.

A number that stays exactly the same for long is not a voltage but the rail of a converter, a sentinel such as -32768,
zeros before a recording begins, a value held after it ended, or the flat line of a loose electrode.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.readers.channels import FileError

MAX_MV = 50.0  # ten times the largest QRS
GAIN_MV = 2.0  # a lead's median distance from its own median; with a right gain it stays below 0.7 mV even in noise
JUMP_MV = 10.0  # from one sample to the next; a heart takes several samples for less than half of it
SPIKE_SECONDS = 0.02  # masked on both sides of a sample above MAX_MV
HELD_SECONDS = 0.2  # at an extreme of the lead, or in all leads at an end
FLAT_SECONDS = 0.5  # anywhere: between beats, leads of PTB-XL on their 5 uV grid stay at one value for up to 0.33 s


class Run(NamedTuple):
    """Samples ``first`` to ``end`` (exclusive) of a lead that are not voltages, and why."""

    first: int
    end: int
    why: str


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
    left = finite.copy()
    for run in runs:
        left[run.first : run.end] = False
    for run in _jumps_to(low, values) + _jumps_to(high, values):
        if left[run.first]:
            left[run.first : run.end] = False
            runs.append(run)
    if not left.any():
        return sorted(runs)
    middle = np.median(values[left])
    distance = np.abs(np.where(left, values - middle, 0))
    if distance.max() <= MAX_MV:
        return sorted(runs)
    if np.median(distance[left]) > GAIN_MV:
        raise FileError(f"lead {lead} reaches {np.abs(values[left]).max():.0f} mV; check gain and unit")
    margin = round(SPIKE_SECONDS * fs)
    beyond = np.flatnonzero(distance > MAX_MV)
    for group in np.split(beyond, np.flatnonzero(np.diff(beyond) > 2 * margin) + 1):
        why = f"a spike of {distance[group].max():.0f} mV"
        runs.append(Run(max(0, int(group[0]) - margin), min(len(values), int(group[-1]) + 1 + margin), why))
    return sorted(runs)


def _jumps_to(value: float, values: np.ndarray) -> list[Run]:
    """Stretches at exactly ``value`` that begin and end with a jump: a sentinel, however short, is no voltage."""
    if not JUMP_MV <= abs(value - np.nanmedian(values)) <= MAX_MV:  # a spike above that is masked with its surroundings
        return []
    at = np.flatnonzero(values == value)
    runs = []
    for group in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
        first, end = int(group[0]), int(group[-1]) + 1
        around = [values[i] for i in (first - 1, end) if 0 <= i < len(values)]
        if all(not abs(other - value) <= JUMP_MV for other in around):  # beside NaN as well
            runs.append(Run(first, end, f"jumps to {value:.4g} mV"))
    return runs


def constant_runs(values: np.ndarray, least: float) -> list[tuple[int, int]]:
    """``(first, end)`` of all stretches of at least ``least`` and of two equal samples; NaN equals nothing."""
    change = np.flatnonzero(values[1:] != values[:-1]) + 1
    starts, ends = np.concatenate([[0], change]), np.concatenate([change, [len(values)]])
    long = ends - starts >= max(least, 2)
    return list(zip(starts[long].tolist(), ends[long].tolist(), strict=True))


def padding(leads: Mapping[str, np.ndarray], fs: float) -> tuple[int, int]:
    """Samples at the beginning and at the end during which every lead stays at one value or is unknown.

    Less than 0.2 s counts as 0: the last sample is often there twice.
    """
    begins, ends = [], []
    for values in leads.values():
        begins.append(_held(values))
        ends.append(_held(values[::-1]))
    least = HELD_SECONDS * fs
    return tuple(min(held) if min(held) >= least else 0 for held in (begins, ends))


def _held(values: np.ndarray) -> int:
    """How many samples the first value of ``values`` lasts; NaN lasts as long as there are NaN."""
    same = np.isnan(values) if np.isnan(values[0]) else values == values[0]
    return int(np.argmin(same)) if not same.all() else len(values)

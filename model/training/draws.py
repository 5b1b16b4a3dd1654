"""Random draws that any process can make alone, for all rows of an epoch at once or for one of them.

Each draw follows from seed, epoch, purpose and the number of what it is drawn for: nothing is kept in memory, and a
worker or a resumed run has the same ones.
"""

import hashlib

import numpy as np

_STEP, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def stream(*parts: object) -> np.uint64:
    """The key of a stream of draws."""
    return np.uint64(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little"))


def draw(key: np.uint64, numbers: np.ndarray) -> np.ndarray:
    """A random uint64 for each of the ``numbers`` (SplitMix64)."""
    mixed = numbers.astype(np.uint64)
    mixed *= _STEP
    mixed += key
    mixed ^= mixed >> np.uint64(30)
    mixed *= _FIRST
    mixed ^= mixed >> np.uint64(27)
    mixed *= _SECOND
    mixed ^= mixed >> np.uint64(31)
    return mixed


def shares(key: np.uint64, numbers: np.ndarray) -> np.ndarray:
    """A random float in [0, 1) for each of the ``numbers``."""
    return (draw(key, numbers) >> np.uint64(11)) * 2.0**-53


def shuffled(key: np.uint64, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Random orders of the members of groups, end to end; each consists of the numbers from 0 to the group's size.

    starts: the number of the first member of each group, from which its draws follow. sizes: at least 1.
    """
    ends = np.cumsum(sizes)
    group = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
    bits = int(sizes.max() - 1).bit_length()
    if bits + int(len(sizes) - 1).bit_length() > 32:
        raise ValueError(f"{len(sizes)} groups of up to {sizes.max()} members are too many for one call")
    # In the order of: group, 32 random bits, member.
    drawn = (draw(key, place + np.repeat(starts, sizes)) >> np.uint64(32)) << np.uint64(bits)
    drawn |= group.astype(np.uint64) << np.uint64(32 + bits)
    drawn |= place.astype(np.uint64)
    drawn.sort()
    return (drawn & np.uint64((1 << bits) - 1)).astype(np.int64)

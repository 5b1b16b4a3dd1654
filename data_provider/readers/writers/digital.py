"""An ECG as whole numbers: steps that lose nothing if the file's own can be kept, else steps of 1 uV."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LARGEST_16_BIT = 32767  # -32768 stays free to mark samples without a value
LARGEST_24_BIT = 8_388_607
DEFAULT_UV = 1.0
_ON_GRID = 0.02  # steps; float32 millivolts are off by less


@dataclass(frozen=True)
class DigitalLead:
    """One lead. Microvolts are (samples + offset) * step_uv; the samples are within +-largest.

    gaps: bool ``(T,)``, where the source has no value; the samples there are what the reader put in place.
    """

    samples: np.ndarray
    step_uv: float
    offset: int
    gaps: np.ndarray


@dataclass(frozen=True)
class DigitalECG:
    """Leads by canonical name, all of one length, and their rate in Hz."""

    leads: dict[str, DigitalLead]
    fs: float

    @property
    def n_samples(self) -> int:
        return len(next(iter(self.leads.values())).samples)

    @property
    def coarsest_uv(self) -> float:
        return max(lead.step_uv for lead in self.leads.values())


def digitise(millivolts: np.ndarray, good: np.ndarray, own_uv: Sequence[float], largest: int) -> DigitalLead:
    """``(T,)`` in mV -> whole numbers within +-largest.

    own_uv: steps that the source may have; the first on whose multiples all good samples lie is kept, or half of it,
    since leads computed from two others have half steps. Otherwise 1 uV, or the next half microvolt that fits.
    """
    microvolts = np.asarray(millivolts, dtype=np.float64) * 1000
    if not good.any():
        return _rounded(microvolts, DEFAULT_UV, good, largest)
    known = microvolts[good]
    for step in (part for own in own_uv for part in (own, own / 2)):
        if np.abs(known / step - np.rint(known / step)).max() <= _ON_GRID and _fits(known, step, largest):
            return _rounded(microvolts, step, good, largest)
    step = DEFAULT_UV
    if not _fits(known, step, largest):
        step = math.ceil(np.ptp(known) / (2 * largest - 2) * 2) / 2
    return _rounded(microvolts, step, good, largest)


def _fits(known: np.ndarray, step: float, largest: int) -> bool:
    return np.ptp(known) / step <= 2 * largest - 2


def _rounded(microvolts: np.ndarray, step: float, good: np.ndarray, largest: int) -> DigitalLead:
    numbers = np.rint(microvolts / step)
    known = numbers[good] if good.any() else np.zeros(1)
    # An offset only where it is needed: without one, files of other software look as usual.
    offset = 0 if np.abs(known).max() <= largest else round((known.max() + known.min()) / 2)
    samples = np.clip(numbers - offset, -largest, largest).astype(np.int32)
    return DigitalLead(samples, float(step), offset, ~good)

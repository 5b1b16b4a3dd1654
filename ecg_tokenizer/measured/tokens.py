"""Measured values as tokens: each is the number of its bin, in a vocabulary that follows that of the codes.

R waves in order, those that differ from the basic rhythm each after a mark
one token for each value of `RHYTHM`
for each lead its mark and one token for each value of `WAVES` and `NOISE`, or a mark alone if it has no signal
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.measured.values import NOISE, RHYTHM, WAVES, Values

BEAT_SECONDS, LAST_BEAT = 0.05, 10.0  # bins of the R waves; later ones have no token


def _even(low: float, high: float, step: float) -> np.ndarray:
    return np.arange(low, high + step / 2, step)


def _ratios(low: float, high: float, count: int) -> np.ndarray:
    return np.geomspace(low, high, count)


def _around_zero(unit: float, high: float, count: int) -> np.ndarray:
    """Finest near zero: bins have equal width in asinh of the value over ``unit``."""
    top = np.arcsinh(high / unit)
    return unit * np.sinh(np.linspace(-top, top, count))


def _from_zero(unit: float, high: float, count: int) -> np.ndarray:
    return unit * np.sinh(np.linspace(0, np.arcsinh(high / unit), count + 1)[1:])


# Ends of bins. Rate in bpm, durations in ms, the axis in degrees, voltages in mV; the others have no unit.
BINS: dict[str, np.ndarray] = {
    "rate": _even(30, 200, 3),
    "spread": _ratios(0.004, 0.4, 12),
    "others": np.array([0.5, 1.5, 2.5, 4.5]),
    "p size": _ratios(0.5, 20, 10),
    "p": _even(50, 160, 10),
    "pr": _even(90, 320, 8),
    "qrs": _even(60, 180, 5),
    "qtc": _even(320, 560, 10),
    "axis": _even(-170, 180, 10),
    "q": _from_zero(0.05, 2.0, 20),
    "r": _from_zero(0.1, 3.5, 28),
    "s": _from_zero(0.1, 3.5, 28),
    "j": _around_zero(0.03, 0.6, 25),
    "st": _around_zero(0.03, 0.6, 25),
    "t": _around_zero(0.08, 1.5, 29),
    "drift": _ratios(0.01, 1.5, 13),
    "static": _ratios(0.001, 0.1, 13),
    "burst": _ratios(0.002, 0.5, 13),
}
BEATS, OTHER, LEAD, ABSENT = "beat", "other beat", "lead", "absent"


@dataclass(frozen=True)
class MeasuredTokens:
    """The vocabulary of measured values. first: its first number, which is the number of codes."""

    first: int

    @cached_property
    def _starts(self) -> dict[str, int]:
        """Kind -> its first number. The last number of a quantity stands for a value that could not be measured."""
        sizes = {BEATS: round(LAST_BEAT / BEAT_SECONDS), OTHER: 1, LEAD: len(LEADS), ABSENT: 1}
        sizes |= {name: len(ends) + 2 for name, ends in BINS.items()}
        ends = np.cumsum([self.first, *sizes.values()]).tolist()
        return dict(zip([*sizes, ""], ends, strict=True))

    @property
    def size(self) -> int:
        """Number of these tokens."""
        return self._starts[""] - self.first

    @property
    def first_beat(self) -> int:
        """The first of the numbers of R waves, one for every `BEAT_SECONDS`."""
        return self._starts[BEATS]

    def encode(self, values: Values) -> list[int]:
        """Token numbers of what was measured."""
        tokens: list[int] = []
        for seconds, other in zip(values.beats.tolist(), values.others.tolist(), strict=True):
            if seconds < LAST_BEAT:
                tokens += [self._starts[OTHER]] * other
                tokens.append(self._starts[BEATS] + int(seconds / BEAT_SECONDS))
        tokens += [self._token(name, values.rhythm[name]) for name in RHYTHM]
        for k, row in enumerate(np.concatenate([values.waves, values.noise], axis=1).tolist()):
            tokens.append(self._starts[LEAD] + k)
            if values.present[k]:
                tokens += [self._token(name, value) for name, value in zip((*WAVES, *NOISE), row, strict=True)]
            else:
                tokens.append(self._starts[ABSENT])
        return tokens

    def _token(self, name: str, value: float) -> int:
        ends = BINS[name]
        return self._starts[name] + (len(ends) + 1 if np.isnan(value) else int(np.searchsorted(ends, value)))

    def times(self, tokens: np.ndarray, seconds: float) -> np.ndarray:
        """float64 ``(tokens, 2)``: the bin of an R wave; all others are about the ECG of so many ``seconds``."""
        found = np.tile([0.0, seconds], (len(tokens), 1))
        beats = (tokens >= self._starts[BEATS]) & (tokens < self._starts[OTHER])
        starts = (tokens[beats] - self._starts[BEATS]) * BEAT_SECONDS
        found[beats] = np.stack([starts, starts + BEAT_SECONDS], axis=1)
        return found

    def geometry(self) -> Tensor:
        """``(size, kinds + 4)``: which kind each token is of, and its place among the bins of its kind."""
        starts = list(self._starts.values())
        rows = []
        for kind, (start, end) in enumerate(pairwise(starts)):
            place = torch.linspace(-1, 1, max(end - start, 2))[: end - start]
            row = torch.zeros(end - start, len(starts) + 3)
            row[:, kind] = 1.0
            row[:, -4:] = torch.stack([(0.5 + k) * torch.pi * place for k in range(4)]).sin().T
            rows.append(row)
        return torch.cat(rows)

"""Amplitude levels as symbols: one symbol per sample, each lead written sample by sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cardiolect.data_provider.record import LEADS, LIMB_FROM_I_II
from cardiolect.utils.errors import UserError

Scaling = Literal["percentile", "instance", "millivolts"]
EPSILON = 1e-6  # ECG-Byte's, in the denominator of its scaling
PADDING_MV = 0.5  # margin that ECG-Byte adds on either side of its percentiles
UNEQUAL = "{} samples are not {} leads of equal length; was the ECG cut?"
POINTS = 16  # of a token's waveform in `LevelSymbols.features`


@dataclass(frozen=True)
class LevelSymbols:
    """Sample -> level ``floor(levels * (x - low) / (high - low))``, within 0..levels-1.

    scaling: "percentile", ECG-Byte as published: low and high are percentiles of the training samples, see
    `percentile_range`. "instance", ECG-Byte today: smallest and largest sample of the twelve leads of each ECG, which
    the tokens do not contain; `low` and `high` are then those of a typical ECG. "millivolts": low and high are fixed.
    low, high: millivolts, the outer edges of the first and the last level; samples beyond them get the outer levels.
    knee: mV; levels are equally wide in ``asinh(x / knee)``, fine around 0 and coarse for large waves. 0: equally wide.
    published_offset: decode level i as i / (levels - 1) of the range, as ECG-Byte does, instead of the centre of its
    bin. rows: the leads that are written; limb leads missing among them are computed from I and II. chunk: consecutive
    samples of a lead before the next lead follows; ECGs are padded to whole chunks with their last sample. 0: whole
    leads one after the other, as in ECG-Byte. cross_leads: the ECG is one piece instead of one piece per chunk of a
    lead, so that tokens may cross leads.
    """

    sampling_rate: float
    scaling: Scaling = "percentile"
    levels: int = 26
    low: float = -1.0
    high: float = 1.0
    knee: float = 0.0
    published_offset: bool = False
    rows: tuple[int, ...] = tuple(range(len(LEADS)))
    chunk: int = 0
    cross_leads: bool = False

    @property
    def alphabet(self) -> int:
        return self.levels

    def value_range(self, signal: np.ndarray) -> tuple[float, float]:
        """Outer edges of the levels in mV, for a signal ``(12, T)`` mV."""
        if self.scaling == "instance":
            return float(signal.min()), float(signal.max()) + EPSILON
        return self.low, self.high

    def pieces(self, signal: np.ndarray) -> list[np.ndarray]:
        """mV ``(12, T)`` -> symbols of each piece, in writing order; no token crosses from one piece into the next."""
        low, high = self._warped(np.array(self.value_range(signal)))
        unit = (self._warped(signal[list(self.rows)].astype(np.float64)) - low) / (high - low)
        levels = np.clip(self.levels * unit, 0, self.levels - 1).astype(np.int32)
        if self.chunk:
            levels = np.pad(levels, ((0, 0), (0, -levels.shape[1] % self.chunk)), mode="edge")
        chunk = self.chunk or levels.shape[1]
        pieces = levels.reshape(len(self.rows), -1, chunk).swapaxes(0, 1)
        return [pieces.ravel()] if self.cross_leads else list(pieces.reshape(-1, chunk))

    def signal(self, symbols: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
        """The symbols of all pieces of an ECG ``(n,)`` -> mV float32 ``(12, T)``.

        T follows from n, because all leads have equal length. value_range: of the ECG, from `value_range`. Raises
        `UserError` if the leads would have unequal lengths.
        """
        chunk = self._chunk(len(symbols))
        if len(symbols) == 0 or len(symbols) % (len(self.rows) * chunk):
            raise UserError(UNEQUAL.format(len(symbols), len(self.rows)))
        values = self.values(symbols, value_range).reshape(-1, len(self.rows), chunk).swapaxes(0, 1)
        values = values.reshape(len(self.rows), -1)
        if len(self.rows) < len(LEADS):
            values = np.concatenate([LIMB_FROM_I_II @ values[:2], values[2:]])
        return values.astype(np.float32)

    def values(self, levels: np.ndarray, value_range: tuple[float, float] | None = None) -> np.ndarray:
        """Levels -> mV."""
        low, high = self._warped(np.array(value_range or (self.low, self.high)))
        unit = levels / (self.levels - 1) if self.published_offset else (levels + 0.5) / self.levels
        warped = low + unit * (high - low)
        return self.knee * np.sinh(warped) if self.knee else warped

    def spans(self, symbols: np.ndarray) -> np.ndarray:
        """float64 ``(n, 2)``: start and end of each symbol in seconds."""
        chunk, place = self._chunk(len(symbols)), np.arange(len(symbols))
        start = place // (len(self.rows) * chunk) * chunk + place % chunk
        return np.stack([start, start + 1], axis=1) / self.sampling_rate

    def seconds_by_lead(self, symbols: np.ndarray, count: int) -> np.ndarray:
        """float64 ``(12,)``: seconds of each lead in the first ``count`` symbols of an ECG."""
        chunk = self._chunk(len(symbols))
        pieces = np.diff(np.minimum(np.arange(0, len(symbols) + 1, chunk), count))
        seconds = pieces.reshape(-1, len(self.rows)).sum(axis=0) / self.sampling_rate
        return seconds if len(self.rows) == len(LEADS) else np.concatenate([[seconds[:2].min()] * 6, seconds[2:]])

    def leads_of_pieces(self, count: int) -> np.ndarray:
        """Row in `LEADS` of each of ``count`` pieces."""
        return np.resize(self.rows, count)

    def features(self, tokens: Sequence[tuple[int, ...]], examples: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """float32 ``(tokens, POINTS + 1)``: waveform of each token in mV, stretched to `POINTS` points, and log length.

        examples are not needed: a token always has the same waveform.
        """
        found = np.zeros((len(tokens), POINTS + 1), dtype=np.float32)
        for row, symbols in zip(found, tokens, strict=True):
            row[:POINTS] = np.interp(
                np.linspace(0, len(symbols) - 1, POINTS), range(len(symbols)), self.values(np.array(symbols))
            )
            row[POINTS] = np.log2(len(symbols))
        return found

    def _chunk(self, symbols: int) -> int:
        if not self.chunk and symbols % len(self.rows):
            raise UserError(UNEQUAL.format(symbols, len(self.rows)))
        return self.chunk or max(1, symbols // len(self.rows))

    def _warped(self, millivolts: np.ndarray) -> np.ndarray:
        return np.arcsinh(millivolts / self.knee) if self.knee else millivolts


def percentile_range(samples: np.ndarray) -> tuple[float, float]:
    """ECG-Byte's range of mV: ``p1 - 0.5`` to ``p99 + 0.5 + 1e-6``, of the 1st and 99th percentile of all samples."""
    low, high = np.percentile(samples, (1, 99))
    return float(low) - PADDING_MV, float(high) + PADDING_MV + EPSILON


def fixed_steps(step: float, largest: float, knee: float) -> tuple[int, float]:
    """Number of levels, and outer edge of the last in mV, such that the level around 0 is ``step`` mV wide.

    With a knee, levels become wider away from 0. The outermost level reaches ``largest`` mV.
    """
    scale = knee * np.arcsinh(largest / knee) if knee else largest
    each_side = int(np.ceil(round(scale / step - 0.5, 9)))
    edge = (each_side + 0.5) * step
    return 2 * each_side + 1, float(knee * np.sinh(edge / knee) if knee else edge)

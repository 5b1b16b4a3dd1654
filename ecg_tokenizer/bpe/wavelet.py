"""Wavelet coefficients as symbols: few bits per ECG, in blocks of time that hold all leads.

Neighbouring leads and neighbouring samples of an ECG are similar. After principal components over leads and a wavelet
transform over time, few coefficients differ from 0; these are rounded to whole steps and written block by block, the
coarse ones first. A block ends after its last non-zero coefficient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cardiolect.data_provider.record import INDEPENDENT, LEADS, LIMB_FROM_I_II
from cardiolect.utils.errors import UserError

END = 0  # the symbol that ends a block
FEATURES = 28  # principal components of the decoded tokens, in `WaveletSymbols.features`
# Lifting steps and scale of the biorthogonal wavelet 9/7 (Cohen, Daubechies, Feauveau 1992; Daubechies, Sweldens 1998,
# J. Fourier Anal. Appl. 4:247), used in JPEG 2000. Nearly orthonormal: an error in a coefficient is as large in mV.
PREDICT, UPDATE = (-1.586134342059924, 0.882911075530934), (-0.052980118572961, 0.443506852043971)
SCALE = 1.149604398860241


@dataclass(frozen=True)
class WaveletSymbols:
    """Coefficients of the 8 independent leads in steps; III, aVR, aVL and aVF follow from I and II.

    step: mV. dead_zone: coefficients below this many steps become 0. depth: levels of the wavelet transform; a block
    has ``2 ** depth`` samples. largest: largest level; coefficients are clipped to it. basis: ``(12, 8)`` with
    orthonormal columns, the leads as sums of components; see `lead_components`.
    """

    sampling_rate: float
    step: float
    dead_zone: float
    depth: int
    largest: int
    basis: tuple[tuple[float, ...], ...]

    @property
    def alphabet(self) -> int:
        """`END`, then the levels -largest..largest."""
        return 2 * self.largest + 2

    @property
    def block(self) -> int:
        """Samples per block."""
        return 2**self.depth

    def levels(self, signal: np.ndarray) -> np.ndarray:
        """mV ``(12, T)`` -> int64 ``(blocks, 8 * block)``: levels in writing order, not clipped.

        The ECG is padded to whole blocks with its last sample.
        """
        signal = np.pad(signal, ((0, 0), (0, -signal.shape[1] % self.block)), mode="edge")
        components = self._from_independent @ signal[list(INDEPENDENT)].astype(np.float64)
        bands = analyse(components, self.depth)
        blocks = signal.shape[1] // self.block
        # Within a band, all components of one time come before those of the next.
        ordered = [band.reshape(len(band), blocks, -1).transpose(1, 2, 0).reshape(blocks, -1) for band in bands]
        found = np.concatenate(ordered, axis=1) / self.step
        return (np.sign(found) * np.floor(np.abs(found) + 1 - self.dead_zone)).astype(np.int64)

    def pieces(self, signal: np.ndarray) -> list[np.ndarray]:
        """mV ``(12, T)`` -> symbols of each block, which no token crosses."""
        levels = np.clip(self.levels(signal), -self.largest, self.largest)
        used = np.where(levels.any(axis=1), levels.shape[1] - np.argmax(levels[:, ::-1] != 0, axis=1), 0)
        symbols = levels + self.largest + 1
        return [np.append(row[:count], END) for row, count in zip(symbols, used, strict=True)]

    def signal(self, symbols: np.ndarray, value_range: None = None) -> np.ndarray:
        """The symbols of all blocks ``(n,)`` -> mV float32 ``(12, T)``; T follows from the number of blocks.

        value_range: None, because the symbols contain millivolts. Raises `UserError` unless the blocks are complete.
        """
        block, place = self._places(symbols)
        width = len(INDEPENDENT) * self.block
        if len(symbols) == 0 or symbols[-1] != END or (place[symbols != END] >= width).any():
            raise UserError("codes to decode must be complete blocks with an end symbol; was the ECG cut?")
        levels = np.zeros((block[-1] + 1, width))
        inside = symbols != END
        levels[block[inside], place[inside]] = symbols[inside] - self.largest - 1
        return (np.array(self.basis) @ synthesise(self._bands(levels * self.step))).astype(np.float32)

    def spans(self, symbols: np.ndarray) -> np.ndarray:
        """float64 ``(n, 2)``: start and end of each symbol in seconds, within its block."""
        block, place = self._places(symbols)
        within = self._cells[np.where(symbols == END, -1, np.minimum(place, len(self._cells) - 2))]
        return (block[:, None] * self.block + within) / self.sampling_rate

    def seconds_by_lead(self, symbols: np.ndarray, count: int) -> np.ndarray:
        """float64 ``(12,)``: seconds of each lead in the complete blocks of the first ``count`` symbols."""
        return np.full(len(LEADS), (symbols[:count] == END).sum() * self.block / self.sampling_rate)

    def features(self, tokens: Sequence[tuple[int, ...]], examples: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
        """float32 ``(tokens, FEATURES + 1)``: mean waveform of each token, and log length.

        The waveform of a token depends on its position in the block, so it is averaged over examples, the tokens of
        each block of training ECGs; tokens without an example get zeros. Waveforms are given by principal components.
        """
        lengths = np.array([len(symbols) for symbols in tokens])
        decoded = np.zeros((len(tokens), len(INDEPENDENT) * self.block))
        occurrences = np.zeros(len(tokens))
        for piece in (piece for ecg in examples for piece in ecg):
            symbols = np.concatenate([tokens[token] for token in piece])
            place = np.arange(len(symbols))
            inside = symbols != END
            token_of = np.repeat(piece, lengths[piece])
            np.add.at(decoded, (token_of[inside], place[inside]), symbols[inside] - self.largest - 1)
            np.add.at(occurrences, piece, 1)
        decoded *= self.step / np.maximum(occurrences, 1)[:, None]
        _, axes = np.linalg.eigh(decoded.T @ decoded)
        return np.column_stack([decoded @ axes[:, ::-1][:, :FEATURES], np.log2(lengths)]).astype(np.float32)

    def _places(self, symbols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Block of each symbol, and its position in the block."""
        block = np.cumsum(symbols == END) - (symbols == END)
        first = np.searchsorted(block, np.arange(block[-1] + 1 if len(block) else 0))
        return block, np.arange(len(symbols)) - first[block]

    def _bands(self, levels: np.ndarray) -> list[np.ndarray]:
        """Undo the writing order: ``(blocks, 8 * block)`` -> bands ``(8, ...)``, the coarsest first."""
        sizes = np.array([1, *(2**k for k in range(self.depth))]) * len(INDEPENDENT)
        bands = np.split(levels, np.cumsum(sizes)[:-1], axis=1)
        return [band.reshape(-1, len(INDEPENDENT)).T for band in bands]

    @cached_property
    def _from_independent(self) -> np.ndarray:
        return np.array(self.basis).T @ FROM_INDEPENDENT

    @cached_property
    def _cells(self) -> np.ndarray:
        """``(8 * block + 1, 2)``: samples of the block covered by each position; the end symbol covers all."""
        parts = [1, *(2**k for k in range(self.depth))]
        starts = np.concatenate([np.repeat(np.arange(n) * (self.block // n), len(INDEPENDENT)) for n in parts])
        lengths = np.repeat([self.block // n for n in parts], np.array(parts) * len(INDEPENDENT))
        return np.concatenate([np.stack([starts, starts + lengths], axis=1), [[0, self.block]]])


def _from_independent() -> np.ndarray:
    """Matrix ``(12, 8)`` that computes all leads from I, II and V1-V6."""
    matrix = np.zeros((len(LEADS), len(INDEPENDENT)))
    matrix[:6, :2], matrix[6:, 2:] = LIMB_FROM_I_II, np.eye(6)
    return matrix


FROM_INDEPENDENT = _from_independent()


def lead_components(covariance: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """`WaveletSymbols.basis`: principal components of twelve leads that obey the limb laws, the largest first.

    covariance: ``(8, 8)`` of the independent leads.
    """
    whole = FROM_INDEPENDENT @ covariance @ FROM_INDEPENDENT.T
    # If leads are flat, the remaining components are arbitrary; a little of all leads keeps them within the limb laws.
    whole = whole + 1e-9 * max(np.trace(whole), 1e-9) * FROM_INDEPENDENT @ FROM_INDEPENDENT.T
    vectors = np.linalg.eigh(whole)[1][:, ::-1][:, : len(INDEPENDENT)]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(len(INDEPENDENT))])
    return tuple(map(tuple, np.round(vectors, 9).tolist()))


def analyse(signal: np.ndarray, depth: int) -> list[np.ndarray]:
    """Wavelet bands of ``(rows, T)``, the coarsest first, with T a multiple of ``2 ** depth``."""
    bands, low = [], signal
    for _ in range(depth):
        low, high = low[:, ::2].copy(), low[:, 1::2].copy()
        for predict, update in zip(PREDICT, UPDATE, strict=True):
            high += predict * (low + _next(low))
            low += update * (high + _previous(high))
        low, high = low * SCALE, high / SCALE
        bands.append(high)
    return [low, *bands[::-1]]


def synthesise(bands: list[np.ndarray]) -> np.ndarray:
    """Undo `analyse`: bands -> signal ``(rows, T)``."""
    low = bands[0]
    for band in bands[1:]:
        low, high = low / SCALE, band * SCALE
        for predict, update in zip(PREDICT[::-1], UPDATE[::-1], strict=True):
            low = low - update * (high + _previous(high))
            high = high - predict * (low + _next(low))
        low = np.stack([low, high], axis=2).reshape(len(low), -1)
    return low


def _next(x: np.ndarray) -> np.ndarray:
    """The right neighbour of each column; the signal is mirrored at its end."""
    return np.concatenate([x[:, 1:], x[:, -1:]], axis=1)


def _previous(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x[:, :1], x[:, :-1]], axis=1)

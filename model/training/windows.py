"""Which window of each recording an epoch takes, and how many tokens it has."""

import zlib
from collections.abc import Sequence
from itertools import repeat

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.training.draws import draw, stream


class Windows:
    """The windows of recordings: the first of each, or one drawn by seed, epoch and recording.

    used: boolean, which recordings to look up; None: all. known: boolean, which of them are in the cache; the others
    have no window, and 0 tokens.
    """

    def __init__(
        self, ecgs: CachedECGs, refs: Sequence[RecordRef], seed: int, random: bool, used: Sequence[bool] | None = None
    ):
        self.seed, self.random = seed, random
        used = repeat(True) if used is None else used
        self.known = np.fromiter((use and ref in ecgs for ref, use in zip(refs, used, strict=False)), bool, len(refs))
        counts = np.zeros(len(refs), np.int32)
        tokens: list[int] = []
        for k, ref in enumerate(refs):
            if self.known[k]:
                counts[k] = ecgs.windows(ref)
                tokens += (ecgs.num_tokens(ref, window) for window in range(counts[k]))
        self._tokens, self._ends = np.array([*tokens, 0], np.int32), np.concatenate([[0], np.cumsum(counts)])
        self._several = np.flatnonzero(counts > 1)
        self._ids = np.array([zlib.crc32(refs[k].record_id.encode()) for k in self._several], np.uint64)
        self._counts = counts[self._several]
        self.chosen = np.zeros(len(refs), np.int32)  # this epoch's window of each

    def set_epoch(self, epoch: int) -> None:
        if self.random and len(self._several):
            drawn = draw(stream(self.seed, epoch, "window"), self._ids) >> np.uint64(16)
            self.chosen[self._several] = drawn % self._counts.astype(np.uint64)

    def tokens(self) -> np.ndarray:
        """Tokens of this epoch's window of each recording."""
        return np.where(self.known, self._tokens[self._ends[:-1] + self.chosen], 0)

    def of(self, k: int) -> np.ndarray:
        """Tokens of all windows of one recording."""
        return self._tokens[self._ends[k] : self._ends[k + 1]]

    def most(self) -> np.ndarray:
        """Tokens of the longest window of each recording."""
        longest = np.maximum.reduceat(self._tokens, self._ends[:-1]) if len(self.known) else self._tokens[:0]
        return np.where(self.known, longest, 0)

"""ECGs that are ready to stand in a prompt, without a recording or a cache."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.ecg_tokenizer.base import ECGRepresentation, PreparedECG
from cardiolect.ecg_tokenizer.cached import CachedECGs


class CodesInMemory(dict):
    """Codes by recording, in the place of `CachedECGs`."""

    neighbours: ClassVar[dict] = {}

    def windows(self, ref: RecordRef) -> int:
        return 1

    def item(self, ref: RecordRef, window: int = 0) -> np.ndarray:
        return self[ref]

    def ecg(self, ref: RecordRef, window: int = 0) -> PreparedECG:
        return PreparedECG(ref.record_id, self[ref].tolist(), self[ref])

    def num_tokens(self, ref: RecordRef, window: int = 0) -> int:
        return len(self[ref])


class ItemsInMemory(CachedECGs):
    """Items of any representation by recording."""

    def __init__(self, representation: ECGRepresentation, items: Mapping[RecordRef, np.ndarray]):
        super().__init__(representation, cache=CodesInMemory(items))


class WindowsInMemory(CodesInMemory):
    """As `CodesInMemory`, with a list of windows for every recording."""

    def windows(self, ref: RecordRef) -> int:
        return len(self[ref])

    def item(self, ref: RecordRef, window: int = 0) -> np.ndarray:
        return self[ref][window]

    def ecg(self, ref: RecordRef, window: int = 0) -> PreparedECG:
        item = self[ref][window]
        return PreparedECG((ref.record_id, window), item.tolist(), item)

    def num_tokens(self, ref: RecordRef, window: int = 0) -> int:
        return len(self[ref][window])

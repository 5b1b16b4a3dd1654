"""ECGs that are ready to stand in a prompt, without a recording or a cache."""

from collections.abc import Mapping

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.ecg_tokenizer.base import ECGRepresentation, PreparedECG
from cardiolect.ecg_tokenizer.cached import CachedECGs


class CodesInMemory(dict):
    """Codes by recording, in the place of `CachedECGs`."""

    def item(self, ref: RecordRef) -> np.ndarray:
        return self[ref]

    def ecg(self, ref: RecordRef) -> PreparedECG:
        return PreparedECG(ref.record_id, self[ref].tolist(), self[ref])

    def num_tokens(self, ref: RecordRef) -> int:
        return len(self[ref])


class ItemsInMemory(CachedECGs):
    """Items of any representation by recording."""

    def __init__(self, representation: ECGRepresentation, items: Mapping[RecordRef, np.ndarray]):
        super().__init__(representation, cache=CodesInMemory(items))

"""ECGs as vectors: features of the signal, the mean of their embeddings, or a histogram of their tokens."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.utils.errors import UserError

HISTOGRAM = "histogram"
SIGNAL = ("measured", "ecg-bench")  # features of the signal, see `features`; the others are of items


class ItemVectors(Protocol):
    """A function from an item to its vector."""

    def __call__(self, item: np.ndarray) -> np.ndarray: ...


def vector_of(
    by: str, representation: ECGRepresentation, signal: np.ndarray | None, fs: float, item: np.ndarray
) -> np.ndarray:
    """The vector of one ECG. signal: mV ``(12, T)`` at ``fs`` Hz, for `SIGNAL`; item: what is made of it."""
    if by not in SIGNAL:
        return item_vectors(by, representation)(item)
    from cardiolect.ecg_tokenizer.retrieval.features import SIGNAL_FEATURES  # slow: imports the wavelets

    return SIGNAL_FEATURES[by].prepare([signal], fs)[0]


def item_vectors(by: str, representation: ECGRepresentation) -> ItemVectors:
    """Vectors of a representation's items. Raises `UserError` if it has none of this kind."""
    if by == HISTOGRAM:
        if representation.embeds:
            raise UserError(f"RETRIEVE={by}: {representation.name} have no tokens to count; use embedding")
        size = representation.vocabulary_size
        return lambda item: _shares(representation.token_ids(item), size)
    if not representation.embeds:
        geometry = representation.geometry()
        if geometry is None:
            raise UserError(f"RETRIEVE={by}: the tokens of {representation.name} have no embeddings; use histogram")
        table = geometry.float().numpy()
        return lambda item: table[np.asarray(representation.token_ids(item), dtype=np.int64)].mean(axis=0)
    if any(True for _ in representation.trained_parameters()):
        raise UserError(
            f"RETRIEVE={by}: the {representation.name} trains with the language model, which would move its embeddings "
            "away from those of the index; freeze it (ENCODER_FROZEN=true) or use measured"
        )
    return lambda item: _mean_row(representation, item)


def _shares(tokens: Sequence[int], size: int) -> np.ndarray:
    counts = np.bincount(np.asarray(tokens, dtype=np.int64), minlength=size)
    return (counts / max(len(tokens), 1)).astype(np.float32)


@torch.inference_mode()
def _mean_row(representation: ECGRepresentation, item: np.ndarray) -> np.ndarray:
    return representation.embed([torch.from_numpy(np.array(item)).float()]).mean(0).cpu().numpy()

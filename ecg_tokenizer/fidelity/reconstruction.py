"""Recordings beside what a tokenizer makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer


@dataclass(frozen=True)
class Measured:
    """One recording and its reconstruction ``(12, T)`` in mV; which leads were recorded; its codes."""

    ref: RecordRef
    signal: np.ndarray
    decoded: np.ndarray
    present: np.ndarray
    codes: np.ndarray


def reconstruct(
    tokenizer: ECGTokenizer, refs: Sequence[RecordRef], workers: int, what: str, max_bad: int | None = None
) -> Iterator[Measured]:
    """Encode and decode recordings at the tokenizer's rate; ``max_bad`` as in `stream_signals`."""
    for ref, signal, present in stream_signals(refs, tokenizer.config.sampling_rate, workers, what, max_bad):
        codes = tokenizer.encode_batch([signal])[0]
        yield Measured(ref, signal, tokenizer.decode(codes)[:, : signal.shape[1]], present, codes)

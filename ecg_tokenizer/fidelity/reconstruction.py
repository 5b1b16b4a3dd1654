"""Recordings beside what a tokenizer makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import resample
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn

REFERENCE_RATE = 250  # Hz of the ECG that representations are compared with


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


def rate_and_distortion(
    representation: ECGRepresentation, refs: Sequence[RecordRef], workers: int, max_bad: int | None = None
) -> dict[str, float] | None:
    """PRDN in percent, mean and median, and median kbit of recordings; None if the representation cannot be decoded.

    Every representation is compared with the ECG at `REFERENCE_RATE`, whatever its own rate.
    """
    if not representation.decodes:
        return None
    distortion, kbit = [], []
    for _, signal, present in stream_signals(refs, REFERENCE_RATE, workers, "distortion", max_bad):
        item = representation.prepare([signal], REFERENCE_RATE)[0]
        decoded = resample(representation.decode(item), representation.sampling_rate, REFERENCE_RATE)
        distortion.append(prdn(signal[present], decoded[present, : signal.shape[1]]))
        kbit.append(representation.bits(item) / 1000)
    return {
        "prdn": float(np.mean(distortion)),
        "prdn_median": float(np.median(distortion)),
        "kbit": float(np.median(kbit)),
        "records": len(distortion),
    }

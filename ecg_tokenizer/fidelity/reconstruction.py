"""Recordings and what a tokenizer makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import resample, without_offsets
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn

REFERENCE_RATE = 250  # Hz of the ECG that every representation is compared with, whatever its own rate


@dataclass(frozen=True)
class Measured:
    """One recording and its reconstruction ``(12, T)``, both in mV at one rate.

    present: bool ``(12,)``, which leads were recorded. codes: the item, as `ECGRepresentation.prepare` made it.
    ranged: the reconstruction if the range of the ECG in mV is given as well; None if the tokens tell millivolts.
    """

    ref: RecordRef
    signal: np.ndarray
    decoded: np.ndarray
    present: np.ndarray
    codes: np.ndarray
    ranged: np.ndarray | None = None

    def with_range(self) -> Self:
        """The same recording, judged by `ranged`."""
        return replace(self, decoded=self.ranged)


def reconstruct(
    tokenizer: ECGRepresentation,
    refs: Sequence[RecordRef],
    workers: int,
    what: str,
    max_bad: int | None = None,
    fs: float | None = None,
) -> Iterator[Measured]:
    """Encode and decode recordings; signals come at ``fs`` Hz, the tokenizer's own rate if None.

    Recordings are read at the higher of the two rates. ``max_bad`` as in `stream_signals`.
    """
    own = tokenizer.sampling_rate
    fs = fs or own
    read_at = max(own, fs)
    for ref, signal, present, _ in stream_signals(refs, read_at, workers, what, max_bad):
        item = tokenizer.prepare([signal], read_at)[0]
        original = without_offsets(resample(signal, read_at, fs))
        decoded = _fit(resample(tokenizer.decode(item), own, fs), original.shape[1])
        ranged = None
        if isinstance(tokenizer, BPETokenizer):
            value_range = tokenizer.value_range(without_offsets(resample(signal, read_at, own)))
            if value_range is not None:
                ranged = _fit(resample(tokenizer.decode(item, value_range), own, fs), original.shape[1])
        yield Measured(ref, original, decoded, present, item, ranged)


def _fit(decoded: np.ndarray, length: int) -> np.ndarray:
    """``(12, length)``: padding cut off; a sample that rounding of lengths lost is the last one again."""
    return np.pad(decoded[:, :length], ((0, 0), (0, max(0, length - decoded.shape[1]))), mode="edge")


def rate_and_distortion(
    representation: ECGRepresentation, refs: Sequence[RecordRef], workers: int, max_bad: int | None = None
) -> dict[str, float] | None:
    """PRDN in percent, mean and median, and median kbit of recordings; None if the representation cannot be decoded.

    Every representation is compared with the ECG at `REFERENCE_RATE`, whatever its own rate.
    """
    if not representation.decodes:
        return None
    measured = list(reconstruct(representation, refs, workers, "distortion", max_bad, REFERENCE_RATE))
    distortion = [prdn(m.signal[m.present], m.decoded[m.present]) for m in measured]
    return {
        "prdn": float(np.mean(distortion)),
        "prdn_median": float(np.median(distortion)),
        "kbit": float(np.median([representation.bits(m.codes) / 1000 for m in measured])),
        "records": len(measured),
    }

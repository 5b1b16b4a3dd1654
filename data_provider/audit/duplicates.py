"""Groups recordings that hold the same ECG, among any number of them."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cardiolect.data_provider.audit.fingerprint import N_LEADS, Fingerprint
from cardiolect.data_provider.audit.matching import AGREE, agreement, candidates, same_ecg

_BATCH = 4096  # pairs

# Copies that `SignalGroups` does not recognise, as python -m bench.copies measures them; the audit prints this list.
NOT_RECOGNISED = (
    "copies that share less than 4.5 s, or only what follows the first minute",
    "copies with a wrong sampling rate or reversed in time",
    "copies with noise of more than about 30 uV in most leads",
    "copies filtered below about 15 Hz, or clipped within the range of their QRS complexes (0.5 mV)",
    "copies with several chest leads in another order",
    "copies without any of the leads I, II, V2 and V5",
    "copies of recordings shorter than 4.5 s, unless their samples are equal",
    "another recording of the same person under another patient's id, or under none",
)


class SignalGroups:
    """Collects the fingerprints of recordings; their waves wait in a temporary file: 7 kB for 10 s."""

    def __init__(self) -> None:
        self._first_with: dict[str, int] = {}  # sample hash -> recording
        self._group: list[int] = []  # a recording of the same group, as in a union-find structure
        self._prints: dict[int, Fingerprint] = {}
        self._places: dict[int, tuple[int, int]] = {}  # in the file: offset, samples
        self._waves = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this object)
        self._end = 0

    def add(self, samples: str, found: Fingerprint | None) -> None:
        """The next recording; recordings whose samples are equal are looked up once."""
        number = len(self._group)
        self._group.append(self._first_with.setdefault(samples, number) if samples else number)
        if found is not None and self._group[number] == number:
            self._waves.seek(self._end)
            self._end += self._waves.write(found.wave.tobytes())
            self._places[number] = self._end - found.wave.size, found.wave.shape[1]
            self._prints[number] = replace(found, wave=None)

    def labels(self) -> list[int]:
        """A number for each recording, equal for those that hold the same ECG."""
        numbers = list(self._prints)
        if len(numbers) > 1:
            pairs = candidates(np.stack([self._prints[number].shape for number in numbers]))
            for start in range(0, len(pairs), _BATCH):
                part = [(numbers[a], numbers[b]) for a, b in pairs[start : start + _BATCH]]
                agree = agreement([(self._prints[a], self._prints[b]) for a, b in part])
                self._join([pair for pair, much in zip(part, agree >= AGREE, strict=True) if much])
        return [self._root(number) for number in range(len(self._group))]

    def _join(self, pairs: Sequence[tuple[int, int]]) -> None:
        for a, b in pairs:
            if self._root(a) != self._root(b) and same_ecg(self._wave(a), self._wave(b)):
                self._group[max(self._root(a), self._root(b))] = min(self._root(a), self._root(b))

    def _root(self, number: int) -> int:
        while self._group[number] != number:
            self._group[number] = number = self._group[self._group[number]]
        return number

    def _wave(self, number: int) -> np.ndarray:
        offset, length = self._places[number]
        self._waves.seek(offset)
        return np.frombuffer(self._waves.read(N_LEADS * length), np.int8).reshape(N_LEADS, length)

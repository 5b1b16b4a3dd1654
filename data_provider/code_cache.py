"""Codes of recordings, encoded once: training epochs and evaluations touch no waveform.

A cache belongs to one tokenizer (by fingerprint). It grows by shards, each a uint16 array and its index; an index is
written last and atomically, so a killed run loses at most the shard it was filling.
"""

import json
import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from data_provider.examples import RecordRef
from data_provider.signal_cache import record_key
from data_provider.stream import stream_signals
from utils.errors import UserError

SHARD_RECORDS = 4096
ENCODE_BATCH = 32


class CodeCache:
    """Codes by recording; look-ups are by the state of the recording's files, not by its name."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._entries: dict[str, tuple[np.ndarray, int, int]] = {}
        self._keys: dict[RecordRef, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for index in sorted(folder.glob("*.json")):
            self._open_shard(index)

    def __contains__(self, ref: RecordRef) -> bool:
        return self._key(ref) in self._entries

    def codes(self, ref: RecordRef) -> np.ndarray:
        """uint16 ``(codes,)``; KeyError for a recording that was never encoded."""
        shard, start, length = self._entries[self._key(ref)]
        return shard[start : start + length]

    def add(self, refs: Sequence[RecordRef], codes: Sequence[np.ndarray]) -> None:
        """Write one shard and take it in."""
        name = uuid.uuid4().hex
        flat = np.concatenate(codes)
        if flat.size and (flat.min() < 0 or flat.max() > np.iinfo(np.uint16).max):
            raise UserError(f"{self.folder}: codes reach {flat.max()}; the cache tells 65536 apart")
        np.save(self.folder / f"{name}.npy", flat.astype(np.uint16))
        index = {"keys": [self._key(ref) for ref in refs], "lengths": [len(c) for c in codes]}
        partial = self.folder / f"{name}.tmp"
        partial.write_text(json.dumps(index))
        os.replace(partial, self.folder / f"{name}.json")
        self._open_shard(self.folder / f"{name}.json")

    def _open_shard(self, index_path: Path) -> None:
        index = json.loads(index_path.read_text())
        shard = np.load(index_path.with_suffix(".npy"), mmap_mode="r")
        starts = np.array([0, *index["lengths"]]).cumsum()
        for key, start, length in zip(index["keys"], starts, index["lengths"], strict=False):
            self._entries[key] = (shard, int(start), length)

    def _key(self, ref: RecordRef) -> str:
        if ref not in self._keys:
            self._keys[ref] = record_key(ref)
        return self._keys[ref]


def fill_code_cache(
    cache: CodeCache,
    refs: Sequence[RecordRef],
    encode_batch: Callable[[list[np.ndarray]], list[np.ndarray]],
    fs: float,
    workers: int,
    bad: dict[str, str],
) -> None:
    """Encode the recordings that the cache does not hold yet; reasons of those that cannot be read go to ``bad``.

    encode_batch: signals float32 ``(12, T)`` mV at ``fs`` -> codes ``(codes,)`` each, as `ECGTokenizer` orders them.
    """
    missing = [ref for ref in refs if ref not in cache]
    if not missing:
        return
    done_refs: list[RecordRef] = []
    done_codes: list[np.ndarray] = []
    batch: list[tuple[RecordRef, np.ndarray]] = []

    def encode() -> None:
        done_refs.extend(ref for ref, _ in batch)
        done_codes.extend(encode_batch([signal for _, signal in batch]))
        batch.clear()

    def flush() -> None:
        if done_refs:
            cache.add(done_refs, done_codes)
            done_refs.clear()
            done_codes.clear()

    signals = stream_signals(missing, fs, workers, f"encoding into {cache.folder}", reasons=bad)
    try:
        for ref, signal, _ in signals:
            batch.append((ref, signal))
            if len(batch) == ENCODE_BATCH:
                encode()
            if len(done_refs) >= SHARD_RECORDS:
                flush()
    finally:
        if batch:
            encode()
        flush()

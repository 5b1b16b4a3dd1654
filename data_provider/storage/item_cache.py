"""Recordings as a representation prepares them (codes, symbols, samples), once: epochs touch no waveform file.

An item is an array whose first axis varies in length: codes uint16 ``(codes,)``, patches float16 ``(patches, width)``.
A cache belongs to one representation (by fingerprint), so all its items share a dtype and their other axes. It grows
by shards (`shards`), written every few seconds: a killed run loses what it encoded since the last one. Several
processes, on several machines, may fill one cache in a shared folder.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
from tqdm import tqdm

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.storage.bad_records import BadRecords
from cardiolect.data_provider.storage.shards import key_of, open_shards, take_lock, write_shard
from cardiolect.data_provider.storage.stream import check_bad, stream_signals
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main

# What a kill loses of each rank: the smaller of the two.
FLUSH_RECORDS, FLUSH_SECONDS = 1024, 30.0
ENCODE_BATCH = 32


class ItemCache:
    """Items by recording; look-ups are by the state of the recording's files, not by its name.

    keys: of recordings whose files need not be looked at again, as another cache's ``keys``.
    """

    def __init__(self, folder: Path, keys: Mapping[RecordRef, int] | None = None):
        self.folder = folder
        self._keys = dict(keys or {})
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(folder)
        self._items: list[np.ndarray] = []
        # One row per recording, sorted by key: 24 bytes each, where a dictionary takes hundreds.
        self._index = tuple(np.empty(0, kind) for kind in (np.uint64, np.int32, np.int64, np.int32))
        self._unsorted: list[tuple[np.ndarray, ...]] = []
        for shard in open_shards(folder).values():
            self._take(*shard)

    def __contains__(self, ref: RecordRef) -> bool:
        return self._row(ref) is not None

    def __len__(self) -> int:
        self._sort()
        return len(self._index[0])

    def item(self, ref: RecordRef) -> np.ndarray:
        """What `fill_cache` stored, memory-mapped; KeyError for a recording that was never prepared."""
        row = self._row(ref)
        if row is None:
            raise KeyError(ref.record_id)
        _, shard, start, length = (int(column[row]) for column in self._index)
        return self._items[shard][start : start + length]

    def key(self, ref: RecordRef) -> int:
        """Of the recording's files, looked at once."""
        if ref not in self._keys:
            self._keys[ref] = key_of(ref)
        return self._keys[ref]

    def add(self, refs: Sequence[RecordRef], items: Sequence[np.ndarray]) -> None:
        """Write one shard and take it in."""
        joined = np.concatenate(items)
        if joined.dtype.kind in "iu":
            if joined.size and (joined.min() < 0 or joined.max() > np.iinfo(np.uint16).max):
                raise UserError(f"{self.folder}: codes reach {joined.max()}; the cache tells 65536 apart")
            joined = joined.astype(np.uint16)
        keys = np.array([self.key(ref) for ref in refs], np.uint64)
        self._take(*write_shard(self.folder, keys, [len(item) for item in items], joined))

    def close(self) -> None:
        """Let another process tidy the folder. The items must not be used any more."""
        if self._lock is not None:
            self._lock.close()

    def _take(self, keys: np.ndarray, lengths: np.ndarray, items: np.ndarray) -> None:
        starts = np.cumsum(lengths, dtype=np.int64) - lengths
        self._unsorted.append((keys, np.full(len(keys), len(self._items), np.int32), starts, lengths))
        self._items.append(items)

    def _sort(self) -> None:
        if self._unsorted:
            columns = [np.concatenate(parts) for parts in zip(self._index, *self._unsorted, strict=True)]
            _, rows = np.unique(columns[0], return_index=True)
            self._index = tuple(column[rows] for column in columns)
            self._unsorted = []

    def _row(self, ref: RecordRef) -> int | None:
        self._sort()
        keys, key = self._index[0], np.uint64(self.key(ref))
        row = int(np.searchsorted(keys, key))
        return row if row < len(keys) and keys[row] == key else None


@dataclass
class Filling:
    """What filling a cache took: seconds in all, waiting for readers, in the encoder, writing shards."""

    encoded: int = 0
    seconds: float = 0.0
    reading: float = 0.0
    encoding: float = 0.0
    storing: float = 0.0
    ranks: int = 1

    @classmethod
    def of_ranks(cls, parts: Sequence[Self]) -> Self:
        """All ranks together: recordings summed, times averaged, the seconds those of the slowest."""
        times = {name: float(np.mean([getattr(p, name) for p in parts])) for name in ("reading", "encoding", "storing")}
        return cls(sum(p.encoded for p in parts), max(p.seconds for p in parts), **times, ranks=len(parts))

    def __str__(self) -> str:
        seconds, on = max(self.seconds, 1e-9), f" on {self.ranks} ranks" if self.ranks > 1 else ""
        return (
            f"encoded {self.encoded} ECGs at {self.encoded / seconds:.0f}/s{on}; waited {self.reading / seconds:.0%} "
            f"for readers, {self.encoding / seconds:.0%} encoder, {self.storing / seconds:.0%} writing"
        )


def fill_cache(
    cache: ItemCache,
    refs: Sequence[RecordRef],
    prepare: Callable[[list[np.ndarray]], list[np.ndarray]],
    fs: float,
    workers: int,
    bad: dict[str, str],
    max_bad: int | None = None,
) -> Filling:
    """Encode the recordings that the cache does not hold yet; reasons of those that cannot be read go to ``bad``.

    prepare: signals float32 ``(12, T)`` mV at ``fs`` -> an item each; of a representation, with its rate as ``fs``.

    ``workers`` processes read while this one encodes. Bad recordings are listed beside the codes, and not read again
    while their files stay as they are. Raises `UserError` as soon as they are more than ``max_bad``; what was encoded
    until then is kept, as it is when the run is interrupted.
    """
    listed, missing = BadRecords(cache.folder), []
    for ref in tqdm(refs, desc="looking recordings up", unit="ecg", delay=3, disable=not is_main()):
        if ref not in cache:
            if reason := listed.reason(cache.key(ref)):
                bad[ref.record_id] = reason
            else:
                missing.append(ref)
    check_bad(bad, max_bad)
    filling, started = Filling(), time.perf_counter()
    if not missing:
        return filling
    pending: list[tuple[RecordRef, np.ndarray]] = []
    n_listed, flushed = len(bad), started

    def flush() -> None:
        nonlocal n_listed, flushed
        begun = time.perf_counter()
        if pending:
            cache.add(*zip(*pending, strict=True))
            pending.clear()
        if new := dict(islice(bad.items(), n_listed, None)):
            n_listed = len(bad)
            for ref in missing:
                if ref.record_id in new:
                    listed.add(ref.record_id, cache.key(ref), new[ref.record_id])
        listed.save()
        flushed = time.perf_counter()
        filling.storing += flushed - begun

    signals = stream_signals(missing, fs, workers, f"encoding into {cache.folder}", max_bad, reasons=bad)
    try:
        with closing(signals):
            while True:
                begun = time.perf_counter()
                batch = list(islice(signals, ENCODE_BATCH))
                read = time.perf_counter()
                filling.reading += read - begun
                if not batch:
                    break
                items = prepare([signal for _, signal, _ in batch])
                filling.encoding += time.perf_counter() - read
                filling.encoded += len(batch)
                for (ref, _, _), found in zip(batch, items, strict=True):
                    pending.append((ref, found))
                    listed.remove(ref.record_id)
                if len(pending) >= FLUSH_RECORDS or time.perf_counter() - flushed > FLUSH_SECONDS:
                    flush()
    finally:
        flush()
        filling.seconds = time.perf_counter() - started
    return filling

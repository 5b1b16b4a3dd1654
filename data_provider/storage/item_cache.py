"""A cache of recordings as a representation prepares them (codes, symbols, samples): epochs read no waveform files.

An item is an array whose first axis varies in length: codes uint16 ``(codes,)``, patches float16 ``(patches, width)``.
A cache belongs to one representation (by fingerprint), so its items share a dtype and all other axes. It grows by
`shards`, written every few seconds: a killed run loses only what it encoded since the last one. Several processes,
also on several machines, may fill a cache in a shared folder. A recording is one item, or one for each of its windows,
which a shard holds together.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, islice, repeat
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import CONTRADICTION
from cardiolect.data_provider.storage.bad_records import BadRecords
from cardiolect.data_provider.storage.remarks import Remark, Remarks
from cardiolect.data_provider.storage.shards import key_of, open_shards, take_lock, write_shard
from cardiolect.data_provider.storage.stream import check_bad, stream_windows
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main
from cardiolect.utils.progress import progress

# A killed rank loses at most the smaller of these two.
FLUSH_RECORDS, FLUSH_SECONDS = 1024, 30.0
ENCODE_BATCH = 32
_WINDOW_STEP = 0x9E3779B97F4A7C15  # between the keys of a recording's windows; odd, so that no two are equal


class ItemCache:
    """Items by recording, looked up by the state of the recording's files, not by its name.

    keys: known keys (`key`) of recordings, whose files are then not examined again.
    """

    def __init__(self, folder: Path, keys: Mapping[RecordRef, int] | None = None):
        self.folder = folder
        self._keys = dict(keys or {})
        folder.mkdir(parents=True, exist_ok=True)
        self._lock, self.remarks = take_lock(folder), Remarks(folder)
        self._items: list[np.ndarray] = []
        # One row per recording, sorted by key: 24 bytes each instead of a dictionary's hundreds.
        self._index = tuple(np.empty(0, kind) for kind in (np.uint64, np.int32, np.int64, np.int32))
        self._unsorted: list[tuple[np.ndarray, ...]] = []
        for shard in open_shards(folder).values():
            self._append(*shard)

    def __contains__(self, ref: RecordRef) -> bool:
        return self._row(ref) is not None

    def __len__(self) -> int:
        self._sort()
        return len(self._index[0])

    def item(self, ref: RecordRef, window: int = 0) -> np.ndarray:
        """The stored item of a window, memory-mapped. Raises `KeyError` if it is not in the cache."""
        row = self._row(ref, window)
        if row is None:
            raise KeyError(ref.record_id)
        _, shard, start, length = (int(column[row]) for column in self._index)
        return self._items[shard][start : start + length]

    def windows(self, ref: RecordRef) -> int:
        """How many windows of a recording are in the cache."""
        return next(window for window in count() if self._row(ref, window) is None)

    def key(self, ref: RecordRef, window: int = 0) -> int:
        """The key of a window of the recording's files (`shards.key_of`), which are examined once."""
        if ref not in self._keys:
            self._keys[ref] = key_of(ref)
        return (self._keys[ref] + window * _WINDOW_STEP) % 2**64

    def add(self, refs: Sequence[RecordRef], items: Sequence[np.ndarray], windows: Sequence[int] | None = None) -> None:
        """Write a shard of these items and add it to the cache. Raises `UserError` if codes exceed uint16.

        windows: the window of each item; None if all are first ones. All windows of a recording must come together.
        """
        joined = np.concatenate(items)
        if joined.dtype.kind in "iu":
            if joined.size and (joined.min() < 0 or joined.max() > np.iinfo(np.uint16).max):
                raise UserError(
                    f"{self.folder}: codes range from {joined.min()} to {joined.max()}; the cache stores 0 to 65535"
                )
            joined = joined.astype(np.uint16)
        keys = np.array([*map(self.key, refs, windows or repeat(0))], np.uint64)
        self._append(*write_shard(self.folder, keys, [len(item) for item in items], joined))

    def close(self) -> None:
        """Allow another process to tidy the folder. The items must not be used afterwards."""
        if self._lock is not None:
            self._lock.close()

    def _append(self, keys: np.ndarray, lengths: np.ndarray, items: np.ndarray) -> None:
        starts = np.cumsum(lengths, dtype=np.int64) - lengths
        self._unsorted.append((keys, np.full(len(keys), len(self._items), np.int32), starts, lengths))
        self._items.append(items)

    def _sort(self) -> None:
        if self._unsorted:
            columns = [np.concatenate(parts) for parts in zip(self._index, *self._unsorted, strict=True)]
            _, rows = np.unique(columns[0], return_index=True)
            self._index = tuple(column[rows] for column in columns)
            self._unsorted = []

    def _row(self, ref: RecordRef, window: int = 0) -> int | None:
        self._sort()
        keys, key = self._index[0], np.uint64(self.key(ref, window))
        row = int(np.searchsorted(keys, key))
        return row if row < len(keys) and keys[row] == key else None


@dataclass
class Filling:
    """Statistics of filling a cache.

    encoded: recordings. seconds: in total. reading, encoding, storing: seconds waiting for readers, in the encoder and
    writing shards. where_read: whether the readers encoded, so that ``reading`` stands for both.
    """

    encoded: int = 0
    seconds: float = 0.0
    reading: float = 0.0
    encoding: float = 0.0
    storing: float = 0.0
    ranks: int = 1
    where_read: bool = False

    @classmethod
    def of_ranks(cls, parts: Sequence[Self]) -> Self:
        """Statistics over all ranks: recordings are summed, times averaged; ``seconds`` is that of the slowest rank."""
        times = {name: float(np.mean([getattr(p, name) for p in parts])) for name in ("reading", "encoding", "storing")}
        encoded, seconds, where_read = sum(p.encoded for p in parts), max(p.seconds for p in parts), parts[0].where_read
        return cls(encoded, seconds, **times, ranks=len(parts), where_read=where_read)

    def __str__(self) -> str:
        seconds, on = max(self.seconds, 1e-9), f" on {self.ranks} ranks" if self.ranks > 1 else ""
        readers = "reading and encoding" if self.where_read else f"readers, {self.encoding / seconds:.0%} encoder"
        return (
            f"encoded {self.encoded} ECGs at {self.encoded / seconds:.0f}/s{on}; waited {self.reading / seconds:.0%} "
            f"for {readers}, {self.storing / seconds:.0%} writing"
        )


class _Window(NamedTuple):
    """A window of a recording that was encoded; last: whether no other window of it follows."""

    ref: RecordRef
    remark: Remark
    number: int
    last: bool


def fill_cache(
    cache: ItemCache,
    refs: Sequence[RecordRef],
    prepare: Callable[[list[np.ndarray]], list[np.ndarray]],
    fs: float,
    workers: int,
    bad: dict[str, str],
    max_bad: int | None = None,
    check_leads: bool = True,
    seconds: float = 0.0,
    every_window: bool = False,
    where_read: bool = False,
) -> Filling:
    """Encode the recordings that are missing from the cache.

    prepare: signals float32 ``(12, T)`` mV at ``fs`` Hz -> one item each; a representation's ``prepare`` and rate.
    bad: receives id -> reason for recordings that cannot be read. check_leads: as in `read_record`. seconds,
    every_window: as in `stream_windows`; all windows of a recording are stored, or none.

    ``workers`` processes read while this one encodes; with ``where_read`` they encode, too. Unreadable
    recordings are listed in the cache's folder and not read again until their files change. Raises `UserError` as soon
    as there are more than ``max_bad`` of them; items encoded until then are kept, as after an interruption.
    """
    listed, missing = BadRecords(cache.folder), []
    for ref in progress(refs, desc="looking up recordings", unit="ecg", delay=3, disable=not is_main()):
        if ref in cache:
            if check_leads and cache.remarks[cache.key(ref)].contradicts:  # encoded by a run with LEAD_LAW=warn
                bad[ref.record_id] = CONTRADICTION
        elif (reason := listed.reason(cache.key(ref))) and (check_leads or not reason.startswith(CONTRADICTION)):
            bad[ref.record_id] = reason
        else:
            missing.append(ref)
    check_bad(bad, max_bad)
    filling, started = Filling(where_read=where_read), time.perf_counter()
    if not missing:
        return filling
    pending: list[tuple[_Window, np.ndarray]] = []
    n_listed, flushed = len(bad), started

    def flush() -> None:
        nonlocal n_listed, flushed
        start = time.perf_counter()
        # The last recording may have windows that are yet to come, or never do after an interruption.
        whole = next((i for i in range(len(pending), 0, -1) if pending[i - 1][0].last), 0)
        if whole:
            read, found = zip(*pending[:whole], strict=True)
            cache.add([each.ref for each in read], found, [each.number for each in read])
            cache.remarks.add((r.ref.record_id, cache.key(r.ref), r.remark) for r in read if not r.number)
            del pending[:whole]
        if new := dict(islice(bad.items(), n_listed, None)):
            n_listed = len(bad)
            for ref in missing:
                if ref.record_id in new:
                    listed.add(ref.record_id, cache.key(ref), new[ref.record_id])
        listed.save()
        flushed = time.perf_counter()
        filling.storing += flushed - start

    what = f"encoding into {cache.folder}"
    there = prepare if where_read else None
    recordings = stream_windows(missing, fs, workers, what, max_bad, bad, check_leads, seconds, every_window, there)
    windows = ((each, k, k == len(all_) - 1) for all_ in recordings for k, each in enumerate(all_))
    try:
        with closing(recordings):
            while True:
                start = time.perf_counter()
                batch = list(islice(windows, ENCODE_BATCH))
                read = time.perf_counter()
                filling.reading += read - start
                if not batch:
                    break
                signals = [each.signal for each, _, _ in batch]
                items = signals if where_read else prepare(signals)
                filling.encoding += time.perf_counter() - read
                for (each, number, last), item in zip(batch, items, strict=True):
                    pending.append((_Window(each.ref, each.remark, number, last), item))
                    filling.encoded += last
                    listed.remove(each.ref.record_id)
                if len(pending) >= FLUSH_RECORDS or time.perf_counter() - flushed > FLUSH_SECONDS:
                    flush()
    finally:
        flush()
        filling.seconds = time.perf_counter() - started
    return filling

"""The files of an item cache.

    NAME.npy            items of many recordings, concatenated
    NAME.json           their keys and lengths; written last, a shard without it is ignored
    bad_records.jsonl   recordings that cannot be read, and why (`bad_records`)
    lock                locked by every process that has the cache open

Shards never change. A process that has the cache to itself joins small ones and removes what killed runs left.
"""

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.storage.signal_cache import record_key
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_first_here

JOINED_RECORDS = 65536  # shards below half of this are joined: 800,000 recordings are 13 shards


class Shard(NamedTuple):
    """keys uint64 and lengths int32 ``(recordings,)``, items ``(sum of lengths, ...)``, memory-mapped."""

    keys: np.ndarray
    lengths: np.ndarray
    items: np.ndarray


def key_of(ref: RecordRef) -> int:
    """A 64-bit hash of `record_key`: with 800,000 recordings, one cache in 60 million has a collision."""
    return _digest(record_key(ref))


def write_shard(folder: Path, keys: np.ndarray, lengths: Sequence[int], items: np.ndarray) -> Shard:
    """Write one shard; on return it is safely on disk. Raises `UserError` if it cannot be written."""
    path = folder / f"{uuid.uuid4().hex}.npy"
    index = {"keys": [f"{key:016x}" for key in keys.tolist()], "lengths": list(map(int, lengths))}
    try:
        with open(path, "wb") as file:
            np.save(file, items)
            file.flush()
            os.fsync(file.fileno())
        write_whole(path.with_suffix(".json"), json.dumps(index))
    except OSError as error:
        raise UserError(f"{folder}: items cannot be written ({error.strerror}); set CACHE_DIR elsewhere") from None
    return Shard(keys, np.array(index["lengths"], np.int32), np.load(path, mmap_mode="r"))


def write_whole(path: Path, text: str) -> None:
    """Replace a file atomically: readers, and kills, find either the old or the new one."""
    partial = path.with_name(f"{uuid.uuid4().hex}.tmp")
    with open(partial, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def open_shards(folder: Path, alone: bool = False) -> dict[Path, Shard]:
    """Index path -> shard; damaged shards are left out, so that their recordings are encoded again.

    alone: whether no other process reads the folder now, and would say the same of damaged shards.
    """
    shards, says = {}, alone or is_first_here()
    for path in sorted(folder.glob("*.json")):
        try:
            index = json.loads(path.read_text())
            # Caches of earlier versions contain the unhashed text.
            keys = [_digest(key) if "|" in key else int(key, 16) for key in index["keys"]]
            items = np.load(path.with_suffix(".npy"), mmap_mode="r")
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = type(error).__name__
        else:
            reason = "lengths"
            if len(keys) == len(index["lengths"]) and sum(index["lengths"]) == len(items):
                shards[path] = Shard(np.array(keys, np.uint64), np.array(index["lengths"], np.int32), items)
        if path not in shards and says:
            print(f"{path}: damaged shard ({reason}); its recordings are encoded again")
    return shards


def take_lock(folder: Path) -> IO | None:
    """Tidy the cache if no other process has it open, then lock it; returns None if files cannot be locked."""
    try:
        lock = open(folder / "lock", "a+")  # noqa: SIM115 - held until it is closed
    except OSError:  # read-only, another user's cache
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tidy(folder)
    except BlockingIOError:
        pass
    except OSError:
        lock.close()
        return None
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def tidy(folder: Path) -> None:
    """Remove what killed runs left and join small shards. No other process may have the cache open."""
    shards = open_shards(folder, alone=True)
    kept = {path.with_suffix(suffix) for path in shards for suffix in (".json", ".npy")}
    for path in [p for suffix in ("tmp", "json", "npy") for p in folder.glob(f"*.{suffix}")]:
        if path not in kept:
            path.unlink()
    small = {path: shard for path, shard in shards.items() if len(shard.keys) < JOINED_RECORDS // 2}
    seen = np.concatenate([np.empty(0, np.uint64), *(s.keys for path, s in shards.items() if path not in small)])
    if len(small) < 2 and not any(np.isin(shard.keys, seen).any() for shard in small.values()):
        return
    group: list[Shard] = []
    for shard in small.values():
        _, first = np.unique(shard.keys, return_index=True)
        new = np.zeros(len(shard.keys), bool)
        new[first] = True
        new &= ~np.isin(shard.keys, seen)  # duplicates of a run killed while joining, or of two runs at once
        seen = np.concatenate([seen, shard.keys[new]])
        group.append(Shard(shard.keys[new], shard.lengths[new], shard.items[np.repeat(new, shard.lengths)]))
        if sum(len(part.keys) for part in group) >= JOINED_RECORDS:
            _join(folder, group)
            group = []
    _join(folder, group)
    for path in small:
        path.unlink()  # the index first: items without one are removed by the next `tidy`
        path.with_suffix(".npy").unlink()


def _join(folder: Path, group: list[Shard]) -> None:
    if any(len(part.keys) for part in group):
        write_shard(folder, *(np.concatenate(columns) for columns in zip(*group, strict=True)))


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

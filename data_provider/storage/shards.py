"""Files of a code cache.

    NAME.npy            items of many recordings, one after the other
    NAME.json           their keys and lengths; written last, a shard counts only with it
    bad_records.jsonl   recordings that cannot be read, and why (`bad_records`)
    lock                held by every process that has the cache open

Shards never change. They are joined, and what killed runs left is removed, by a process that has the cache for itself.
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

JOINED_RECORDS = 65536  # smaller than half of it, shards are joined: 800,000 recordings are 13 shards


class Shard(NamedTuple):
    """keys uint64 and lengths int32 ``(recordings,)``, items ``(sum of lengths, ...)``, memory-mapped."""

    keys: np.ndarray
    lengths: np.ndarray
    items: np.ndarray


def key_of(ref: RecordRef) -> int:
    """64 bits of a hash of `record_key`: two of 800,000 recordings agree by accident once in 60 million caches."""
    return _digest(record_key(ref))


def write_shard(folder: Path, keys: np.ndarray, lengths: Sequence[int], items: np.ndarray) -> Shard:
    """Write one shard, safe on disk when it returns. Raises `UserError` if it cannot be written."""
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
    """Replace a file at once: readers, and a kill, meet the old or the new one."""
    partial = path.with_name(f"{uuid.uuid4().hex}.tmp")
    with open(partial, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def open_shards(folder: Path) -> dict[Path, Shard]:
    """Shards by the path of their index; damaged ones are left out, and their recordings encoded again."""
    shards = {}
    for path in sorted(folder.glob("*.json")):
        try:
            index = json.loads(path.read_text())
            # Caches of earlier versions hold the text that is now hashed.
            keys = [_digest(key) if "|" in key else int(key, 16) for key in index["keys"]]
            items = np.load(path.with_suffix(".npy"), mmap_mode="r")
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"{path}: a damaged shard ({type(error).__name__}); its recordings are encoded again")
            continue
        if len(keys) == len(index["lengths"]) and sum(index["lengths"]) == len(items):
            shards[path] = Shard(np.array(keys, np.uint64), np.array(index["lengths"], np.int32), items)
        else:
            print(f"{path}: a damaged shard (lengths); its recordings are encoded again")
    return shards


def take_lock(folder: Path) -> IO | None:
    """Tidy the cache if no other process has it open, then hold it open; None if files cannot be locked."""
    try:
        lock = open(folder / "lock", "a+")  # noqa: SIM115 - held until it is closed
    except OSError:  # somebody else's cache, read-only
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
    """Remove what killed runs left, join small shards. Only for the one process that has the cache open."""
    shards = open_shards(folder)
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
        new &= ~np.isin(shard.keys, seen)  # a run that was killed while it joined, or two runs at once
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

"""Memory-mapped training signals, so that each recording is read and resampled only once."""

import fcntl
import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import READING, files_of
from cardiolect.data_provider.record import without_offsets
from cardiolect.data_provider.storage.stream import report_bad, stream_signals
from cardiolect.utils.errors import UserError

SIGNALS, INDEX = "signals.f16", "index.json"
BYTES = 12 * 2  # of a sample of all leads
FLUSH_SECONDS = 30


class SignalCache:
    """Signals of many recordings, without offsets, as one float16 file: 0.001 mV resolution at 1 mV."""

    def __init__(self, folder: Path):
        index = json.loads((folder / INDEX).read_text())
        self.record_ids: list[str] = index["record_ids"]
        self.starts = np.array([0, *index["lengths"]]).cumsum()
        self.present = np.array(index["lead_present"], dtype=bool)
        self.digests: list[str] = index["digests"]
        self._data = np.memmap(folder / SIGNALS, dtype=np.float16, mode="r").reshape(-1, 12)

    def __len__(self) -> int:
        return len(self.record_ids)

    def signal(self, i: int) -> np.ndarray:
        """float32 ``(12, T)`` millivolts of recording ``i``."""
        return self._data[self.starts[i] : self.starts[i + 1]].T.astype(np.float32)

    def crop(self, i: int, position: float, length: int) -> np.ndarray:
        """float32 ``(12, length)`` millivolts of recording ``i``, padded with zeros if it is shorter.

        position: 0 to below 1, where the crop begins, from the first possible sample to the last.
        """
        spare = max(0, self.starts[i + 1] - self.starts[i] - length)
        start = self.starts[i] + int(position * (spare + 1))
        out = np.zeros((12, length), np.float32)
        crop = self._data[start : min(start + length, self.starts[i + 1])]
        out[:, : len(crop)] = crop.T
        return out


def open_signal_cache(
    refs: Sequence[RecordRef],
    fs: int,
    cache_dir: Path,
    workers: int,
    max_bad: float,
    what: str,
    check_leads: bool = True,
) -> SignalCache:
    """The cache of these recordings at ``fs`` Hz, created if it does not exist; ``what`` names them in messages.

    check_leads: as in `read_record`. Recordings that an interrupted run has read are not read again.

    Raises `UserError` without recordings and if more than a fraction ``max_bad`` of them cannot be read.
    """
    if not refs:
        raise UserError(f"no recordings for {what}: check DATA_ROOT, *_DATA and *_FOLDS")
    files = [(ref.record_id, record_key(ref)) for ref in refs]
    key = hashlib.sha256(repr([fs, check_leads, files]).encode()).hexdigest()[:16]
    folder = cache_dir / "signals" / key
    if not (folder / INDEX).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder) as locked:
            if not (folder / INDEX).is_file():  # by a run that had the lock before
                filling = _Filling(folder, "unfinished" if locked else uuid.uuid4().hex)
                _read(filling, refs, fs, workers, int(max_bad * len(refs)), what, check_leads)
    return SignalCache(folder)


def _read(
    filling: "_Filling", refs: Sequence[RecordRef], fs: int, workers: int, allowed: int, what: str, check_leads: bool
) -> None:
    if any(stream_signals([ref for ref in refs if ref.record_id in filling.bad], fs, 0, what, None, {}, check_leads)):
        print(f"reading {what}: some that could not be read can be read now; starting over")
        filling.keep([])
    if filling.through:
        print(f"reading {what}: going on after {filling.through} of {len(refs)}")
    bad, rest = filling.bad, refs[filling.through :]
    try:
        for read in stream_signals(rest, fs, workers, f"reading {what}", allowed, bad, check_leads):
            filling.add(read.ref.record_id, without_offsets(read.signal), read.present)
    finally:
        filling.flush()
    report_bad(bad, len(refs), allowed)
    filling.finish()


class _Filling:
    """A cache that is being written: ``NAME.f16`` and ``NAME.jsonl``, a line for every half minute of reading.

    A line is written when the signals that it lists are safely on disk; what follows the last whole line is dropped.
    rows: id, samples, present leads and hash of the signal of each recording. bad: those that cannot be read, and why.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.signals, self.lines = folder, folder / f"{name}.f16", folder / f"{name}.jsonl"
        self.file = open(self.signals, "ab")  # noqa: SIM115 - closed by `finish`, or with the process
        whole, end = [], 0
        for line in self.lines.read_text().splitlines() if self.lines.is_file() else ():
            try:
                whole.append(json.loads(line))
            except ValueError:
                break
            end += sum(samples for _, samples, *_ in whole[-1][0]) * BYTES
            if end > self.file.tell():
                whole.pop()
                break
        self.keep(whole)

    def keep(self, parts: list) -> None:
        """Begin after these lines."""
        self.rows: list[tuple[str, int, list[bool], str]] = [row for rows, _ in parts for row in rows]
        self.bad: dict[str, str] = {record: reason for _, bad in parts for record, reason in bad.items()}
        self.lines.write_text("".join(json.dumps(part) + "\n" for part in parts))
        self.file.truncate(sum(samples for _, samples, *_ in self.rows) * BYTES)
        self._note_flush()

    @property
    def through(self) -> int:
        """How many recordings need not be read any more."""
        return len(self.rows) + len(self.bad)

    def add(self, record_id: str, signal: np.ndarray, present: np.ndarray) -> None:
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()
        samples = np.ascontiguousarray(signal.T).astype(np.float16).tobytes()
        self.file.write(samples)
        digest = hashlib.sha256(samples).hexdigest()[:16]
        self.rows.append((record_id, signal.shape[1], present.tolist(), digest))

    def flush(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        part = self.rows[self.listed[0] :], dict(list(self.bad.items())[self.listed[1] :])
        with open(self.lines, "a") as lines:
            lines.write(json.dumps(part) + "\n")
        self._note_flush()

    def _note_flush(self) -> None:
        self.listed, self.flushed = (len(self.rows), len(self.bad)), time.monotonic()

    def finish(self) -> None:
        """Give the files their final names, the index last: without it, the cache is not complete."""
        self.file.close()
        os.replace(self.signals, self.folder / SIGNALS)
        columns = list(zip(*self.rows, strict=True)) or [()] * 4
        names = ("record_ids", "lengths", "lead_present", "digests")
        self.lines.write_text(json.dumps(dict(zip(names, columns, strict=True))))
        os.replace(self.lines, self.folder / INDEX)


@contextmanager
def _lock(folder: Path) -> Iterator[bool]:
    """Wait for other processes that fill this cache; False if files cannot be locked there."""
    with open(folder / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True


def record_key(ref: RecordRef) -> str:
    """A text that changes when the files of a recording change (its path, their sizes and modification times), or how
    they are read.

    No file is opened: a WFDB recording costs two file system calls, and resolving its folder.
    """
    folder, name = os.path.split(ref.path)
    resolved = os.path.join(_resolved(os.path.join(os.getcwd(), folder)), name)
    return "|".join(
        [f"{resolved}#{READING}", *(f"{file.label}:{file.size}:{file.mtime_ns}" for file in files_of(ref.path))]
    )


@lru_cache(maxsize=4096)
def _resolved(folder: str) -> str:
    """``os.path.realpath``, with the parents that many folders share looked up once."""
    parent, name = os.path.split(folder)
    if not parent or not name or name in (".", "..") or os.path.islink(folder):
        return os.path.realpath(folder)
    return os.path.join(_resolved(parent), name)

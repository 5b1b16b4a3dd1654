"""Memory-mapped training signals, so that each recording is read and resampled only once."""

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import READING, files_of
from cardiolect.data_provider.record import without_offsets
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.utils.errors import UserError


class SignalCache:
    """Signals of many recordings, without offsets, as one float16 file: 0.001 mV resolution at 1 mV."""

    def __init__(self, folder: Path):
        index = json.loads((folder / "index.json").read_text())
        self.record_ids: list[str] = index["record_ids"]
        self.starts = np.array([0, *index["lengths"]]).cumsum()
        self.present = np.array(index["lead_present"], dtype=bool)
        self._data = np.memmap(folder / "signals.f16", dtype=np.float16, mode="r").reshape(-1, 12)

    def __len__(self) -> int:
        return len(self.record_ids)

    def signal(self, i: int) -> np.ndarray:
        """float32 ``(12, T)`` millivolts of recording ``i``."""
        return self._data[self.starts[i] : self.starts[i + 1]].T.astype(np.float32)

    def crops(
        self,
        rng: np.random.Generator,
        batch: int,
        length: int,
        share: slice = slice(None),
        probabilities: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Random crops ``(batch, 12, length)`` in mV, their lead masks and their recordings' indices.

        Recordings shorter than ``length`` are padded with zeros. share: the rows of the batch to read; the random
        crops do not depend on it. probabilities: one per recording; None if all are equally likely.
        """
        if probabilities is None:
            rows = rng.integers(0, len(self), batch)[share]
        else:
            rows = rng.choice(len(self), batch, p=probabilities)[share]
        positions = rng.random(batch)[share]
        out = np.zeros((len(rows), length, 12), dtype=np.float32)
        for k, i in enumerate(rows):
            spare = max(0, self.starts[i + 1] - self.starts[i] - length)
            start = self.starts[i] + int(positions[k] * (spare + 1))
            crop = self._data[start : min(start + length, self.starts[i + 1])]
            out[k, : len(crop)] = crop
        return out.transpose(0, 2, 1), self.present[rows], rows


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

    check_leads: as in `read_record`.

    Raises `UserError` without recordings and if more than a fraction ``max_bad`` of them cannot be read.
    """
    if not refs:
        raise UserError(f"no recordings for {what}: check DATA_ROOT, *_DATA and *_FOLDS")
    key = hashlib.sha256(repr([fs, check_leads, [record_key(ref) for ref in refs]]).encode()).hexdigest()[:16]
    folder = cache_dir / "signals" / key
    if not (folder / "index.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        index: dict[str, list] = {"record_ids": [], "lengths": [], "lead_present": []}
        # Written under another name and renamed, the index last, so that neither a killed run nor a concurrent run on
        # the same recordings leaves an incomplete cache.
        partial = folder / f"{uuid.uuid4().hex}.tmp"
        with open(partial, "wb") as file:
            allowed = int(max_bad * len(refs))
            for read in stream_signals(refs, fs, workers, f"reading {what}", allowed, check_leads=check_leads):
                signal = without_offsets(read.signal)
                file.write(np.ascontiguousarray(signal.T).astype(np.float16).tobytes())
                index["record_ids"].append(read.ref.record_id)
                index["lengths"].append(signal.shape[1])
                index["lead_present"].append(read.present.tolist())
        os.replace(partial, folder / "signals.f16")
        partial.write_text(json.dumps(index))
        os.replace(partial, folder / "index.json")
    return SignalCache(folder)


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

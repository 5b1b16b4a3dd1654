"""HDF5 files with many recordings in one array, like those of CODE-15; ``exams_part0.hdf5#1169160`` names one."""

import math
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.layout import need_layout
from cardiolect.data_provider.readers.tables import table_channels

MAX_BYTES = 1_000_000_000  # decompressed by one read


def read(path: Path, recording: str) -> Channels:
    """One recording of an array ``(recordings, T, leads)``; zeros before and after it are padding and are cut off.

    recording: its id, or "" if the file contains only one.
    """
    layout = need_layout(path, leads=True)
    with h5py.File(path, "r") as file:
        data = _array(file, layout.dataset)
        if data is None or data.ndim != 3:
            raise FileError(f"has no array {layout.dataset} of three dimensions (recordings, samples, leads)")
        row = 0
        if recording:
            stat = path.stat()
            rows = _rows(path, layout.ids, stat.st_mtime_ns)
            if recording not in rows:
                raise FileError(f"has no {layout.ids} {recording[:20]}")
            row = rows[recording]
        elif len(data) != 1:
            raise FileError(f"contains {len(data)} recordings; name one as {path.name}#{layout.ids}")
        if row >= len(data):
            raise FileError(f"has more ids than its {len(data)} recordings")
        if max(data.nbytes // len(data), _chunk_bytes(data)) > MAX_BYTES:
            raise FileError(f"decompresses to more than {MAX_BYTES // 10**9} GB")
        values = np.asarray(data[row])
    values = _without_padding(values)
    return table_channels(values, layout.leads, layout.unit, layout.scale, layout.sampling_rate, "HDF5")


def recordings(path: Path, ids: str = "exam_id") -> list[str]:
    """The ids of a file's recordings, in order."""
    with h5py.File(path, "r") as file:
        found = _array(file, ids)
        if found is None:
            raise FileError(f"has no ids named {ids}")
        if max(found.nbytes, _chunk_bytes(found)) > MAX_BYTES:
            raise FileError(f"decompresses to more than {MAX_BYTES // 10**9} GB")
        return [i.decode() if isinstance(i, bytes) else str(i) for i in found[:].ravel().tolist()]


def count_samples(path: Path) -> int:
    """Samples of the largest array according to its header; an element of more than 8 bytes counts as several."""
    sizes = [0]

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append((item.size or 0) * max(item.dtype.itemsize, 8) // 8)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return max(sizes)


def _chunk_bytes(data: h5py.Dataset) -> int:
    """Bytes of one chunk: HDF5 decompresses it whole, and it may be larger than its array."""
    return math.prod(data.chunks or (0,)) * data.dtype.itemsize


def _array(file: h5py.File, name: str) -> h5py.Dataset | None:
    """The array of that name, None if there is none. Raises `FileError` if it is stored in another file."""
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        return None
    # Links, external storage and virtual arrays would let whoever wrote this file name any file on this machine.
    if found.file.filename != file.filename or found.external or found.is_virtual:
        raise FileError(f"stores the array {name} in another file; write it into this one")
    return found


@lru_cache(maxsize=8)
def _rows(path: Path, ids: str, _changed: int) -> dict[str, int]:
    return {recording: row for row, recording in enumerate(recordings(path, ids))}


def _without_padding(values: np.ndarray) -> np.ndarray:
    used = np.flatnonzero((values != 0).any(axis=1)) if values.ndim == 2 else []
    return values[used[0] : used[-1] + 1] if len(used) else values

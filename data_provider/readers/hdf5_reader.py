"""HDF5 files of one recording or many, like those of CODE-15; ``exams_part0.hdf5#1169160`` names one.

A recording is named by its id; where the file has no ids, by its row, from 0; where every recording is an array of its
own, by the name of that array.
"""

import math
import re
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.layout import Layout, need_layout
from cardiolect.data_provider.readers.tables import lead_axis, meaning_of, row_number, table_channels

MAX_BYTES = 1_000_000_000  # decompressed by one read
_IDS = re.compile(r"(.*_)?u?ids?", re.IGNORECASE)


def read(path: Path, recording: str) -> Channels:
    """One recording of an array ``(recordings, T, leads)`` or ``(recordings, leads, T)``, or an array of one recording.

    Zeros before and after it are padding and are cut off. recording: its id, row or array, or "" if the file contains
    only one.
    """
    layout = need_layout(path, leads=True)
    notes = []
    with h5py.File(path, "r") as file:
        name, recording = _place(file, layout, recording)
        data = _array(file, name)
        if data is None or data.ndim not in (2, 3):
            raise FileError(
                f"has no array {name[:40]} of three dimensions (recordings, samples, leads), or two for one"
            )
        if data.ndim == 2 and recording:
            raise FileError("contains one recording; leave out what follows the #")
        row = _row(path, file, layout, len(data), recording) if data.ndim == 3 else None
        if row is not None and len(data) > 1 and layout.ids not in file:
            notes.append(f"row {row} of {len(data)}, counted from 0")
        size = data.nbytes // (len(data) if data.ndim == 3 else 1)
        if max(size, _chunk_bytes(data)) > MAX_BYTES:
            raise FileError(f"decompresses to more than {MAX_BYTES // 10**9} GB")
        values = np.asarray(data[()] if row is None else data[row])
    by_lead = values if lead_axis(values, len(layout.leads or ())) == 0 else values.T
    start, end = _used(by_lead)
    if end - start < by_lead.shape[1]:
        seconds = (start / layout.sampling_rate, (by_lead.shape[1] - end) / layout.sampling_rate)
        notes.append(f"{seconds[0]:.2f} s of zeros before it and {seconds[1]:.2f} s after it were cut off")
    return table_channels(by_lead[:, start:end], meaning_of(layout), "HDF5", notes)


def recordings(path: Path, ids: str = "exam_id") -> list[str]:
    """The ids of a file's recordings, in order."""
    with h5py.File(path, "r") as file:
        found = _array(file, ids)
        if found is None:
            raise FileError(f"has no ids named {ids}")
        if max(found.nbytes, _chunk_bytes(found)) > MAX_BYTES:
            raise FileError(f"decompresses to more than {MAX_BYTES // 10**9} GB")
        return [_id(value) for value in found[()].ravel().tolist()]


def count_samples(path: Path) -> int:
    """Samples of the largest array according to its header; an element of more than 8 bytes counts as several."""
    sizes = [0]

    def visit(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append((item.size or 0) * max(item.dtype.itemsize, 8) // 8)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return max(sizes)


def _place(file: h5py.File, layout: Layout, recording: str) -> tuple[str, str]:
    """The name of the array, and the recording in it."""
    if layout.dataset in file:
        return layout.dataset, recording
    if recording:
        # An array of its own for every recording, or a group of its own that contains the array.
        for name in (recording, f"{recording}/{layout.dataset}"):
            if isinstance(file.get(name), h5py.Dataset):
                return name, ""
    arrays: list[str] = []
    file.visititems(lambda name, item: arrays.append(name) if _may_be_ecg(item) else None)
    if "dataset" not in layout.model_fields_set and len(arrays) == 1:
        return arrays[0], recording
    if recording and len(arrays) > 1:
        raise FileError(f"has no array {layout.dataset} and none named {recording[:40]}")
    if len(arrays) > 1:
        raise FileError(
            f"has no array {layout.dataset} but {len(arrays)} others; state one as dataset in the layout next "
            "to it, or name the recording as FILE#ARRAY"
        )
    return layout.dataset, recording


def _may_be_ecg(item: object) -> bool:
    return isinstance(item, h5py.Dataset) and item.ndim in (2, 3) and np.issubdtype(item.dtype, np.number)


def _row(path: Path, file: h5py.File, layout: Layout, n_rows: int, recording: str) -> int:
    """The row of a recording by its id, or by its number if the file has no ids."""
    if layout.ids not in file:
        others = [name for name in file if _IDS.fullmatch(name) and name != layout.dataset]
        if recording and ("ids" in layout.model_fields_set or others):
            also = f' but {others[0][:40]}; give "ids": "{others[0][:40]}" in the layout next to it' if others else ""
            raise FileError(f"has no {layout.ids}{also}")
        return row_number(recording, n_rows, path.name)
    if not recording:
        if n_rows != 1:
            raise FileError(f"contains {n_rows} recordings; name one as {path.name}#{layout.ids}")
        return 0
    rows = _rows(path, layout.ids, path.stat().st_mtime_ns)
    if recording not in rows:
        raise FileError(f"has no {layout.ids} {recording[:20]}")
    if (row := rows[recording]) is None:
        raise FileError(f"has several recordings of {layout.ids} {recording[:20]}")
    if row >= n_rows:
        raise FileError(f"has more ids than its {n_rows} recordings")
    return row


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
        raise FileError(f"stores the array {name[:40]} in another file; write it into this one")
    return found


@lru_cache(maxsize=8)
def _rows(path: Path, ids: str, _changed: int) -> dict[str, int | None]:
    """Id -> row, None if several have it."""
    rows: dict[str, int | None] = {}
    for row, recording in enumerate(recordings(path, ids)):
        rows[recording] = None if recording in rows else row
    return rows


def _id(value: object) -> str:
    """An id as text; whole numbers may be stored as floats."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _used(by_lead: np.ndarray) -> tuple[int, int]:
    """Start and end of what is not zero in all leads; the whole if everything is."""
    used = np.flatnonzero((by_lead != 0).any(axis=0))
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, by_lead.shape[1])

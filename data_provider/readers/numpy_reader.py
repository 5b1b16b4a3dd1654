"""NPY and NPZ files without pickles; ``X.npy#7`` names one of many recordings in an array by its row, from 0.

An NPZ file may contain ``fs``, ``leads``, ``unit`` and ``scale`` (units per number) as well as ``signal``.
"""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.layout import Layout, find_layout, lacks, need_layout
from cardiolect.data_provider.readers.tables import (
    Meaning,
    lead_axis,
    meaning_of,
    row_number,
    same_scale,
    table_channels,
)

MAX_BYTES = 4_000_000_000  # of all arrays, decompressed


def read(path: Path, recording: str = "") -> Channels:
    """An array ``(T, leads)``, ``(leads, T)``, or one recording of ``(recordings, T, leads)`` or ``(..., leads, T)``.

    recording: the number of its row, from 0; "" if the array contains only one.
    """
    try:
        if not zipfile.is_zipfile(path):
            layout, signal = need_layout(path, leads=True), np.load(path, allow_pickle=False, mmap_mode="r")
            if (more := path.stat().st_size - signal.offset - signal.nbytes) > 0:
                raise FileError(f"has {more} bytes after its array: it is damaged, or holds several arrays")
            return _channels(signal, meaning_of(layout), recording, path, "NPY")
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise FileError(f"decompresses to more than {MAX_BYTES // 10**9} GB")
        with np.load(path, allow_pickle=False) as arrays:
            others = [name for name in arrays.files if name not in ("fs", "leads", "unit", "scale")]
            if "signal" not in others and len(others) != 1:
                raise FileError(f"contains {', '.join(arrays.files)[:60]}; the ECG must be named signal")
            name = "signal" if "signal" in others else others[0]
            return _channels(arrays[name], _meaning(arrays, path), recording, path, "NPZ")
    except FileError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise FileError(f"numpy cannot read it ({str(error)[:80]})") from None


def count_samples(path: Path) -> int:
    """Samples of all arrays according to their headers; an element of more than 8 bytes counts as several."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return _declared_samples(file, path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        total = 0
        for member in archive.infolist():
            with archive.open(member) as file:
                total += _declared_samples(file, member.file_size)
        return total


def _channels(signal: np.ndarray, meaning: Meaning, recording: str, path: Path, kind: str) -> Channels:
    """The channels of one recording in an array of two or three dimensions."""
    notes = []
    if signal.ndim == 3:
        row = row_number(recording, len(signal), path.name)
        if len(signal) > 1:
            notes.append(f"row {row} of {len(signal)}, counted from 0")
        signal = signal[row]
    elif recording:
        raise FileError(f"contains one recording of shape {signal.shape}; leave #{recording[:20]} out")
    by_lead = signal if lead_axis(signal, len(meaning.leads)) == 0 else signal.T
    return table_channels(by_lead, meaning, kind, notes)


def _meaning(arrays: np.lib.npyio.NpzFile, path: Path) -> Meaning:
    """What the arrays beside the signal say, completed by a layout. Raises `FileError` where the two differ."""
    layout = find_layout(path) or Layout()
    fs = float(_single(arrays, "fs")) if "fs" in arrays else layout.sampling_rate
    unit = _text(_single(arrays, "unit")) if "unit" in arrays else layout.unit
    if fs is None:
        raise lacks(
            path,
            "neither sampling rate nor unit" if unit is None else "no sampling rate",
            (unit and "sampling_rate") or "",
        )
    if unit is None:
        raise lacks(path, "no unit", "unit")
    leads = [_text(lead) for lead in np.atleast_1d(arrays["leads"])] if "leads" in arrays else layout.leads
    if leads is None:
        raise FileError("contains no leads, and no layout next to it gives them")
    scale = float(_single(arrays, "scale")) if "scale" in arrays else layout.scale if "unit" not in arrays else 1.0
    _compare(layout, fs, unit, scale)
    return Meaning(leads, unit, fs, scale)


def _compare(layout: Layout, fs: float, unit: str, scale: float) -> None:
    if layout.sampling_rate is not None and not same_scale(fs, layout.sampling_rate):
        raise FileError(f"states {fs:g} Hz, and the layout next to it {layout.sampling_rate:g} Hz; correct one of them")
    if layout.unit is not None and not same_scale(scale * mv_per_unit(unit), layout.scale * mv_per_unit(layout.unit)):
        raise FileError(
            f"states {scale:g} {unit[:20]} per number, and the layout next to it {layout.scale:g} {layout.unit}; "
            "correct one of them"
        )


def _single(arrays: np.lib.npyio.NpzFile, name: str) -> object:
    values = arrays[name].ravel()
    if len(values) != 1:
        raise FileError(f"contains {len(values)} values of {name}; it must be one")
    return values[0]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _declared_samples(file: IO[bytes], length: int) -> int:
    """Samples of a NumPy array of ``length`` bytes, or more if its header declares more."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    except ValueError:
        return length // 8
    return max(math.prod(shape) * max(dtype.itemsize, 8), length) // 8

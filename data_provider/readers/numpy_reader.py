"""NPY and NPZ files without pickles. An NPZ file may contain ``fs``, ``leads`` and ``unit`` as well as ``signal``."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.layout import need_layout
from cardiolect.data_provider.readers.tables import table_channels

MAX_BYTES = 4_000_000_000  # of all arrays, decompressed


def read(path: Path) -> Channels:
    """An array ``(T, leads)`` or ``(leads, T)``."""
    try:
        if path.suffix.lower() == ".npy":
            layout, signal = need_layout(path, leads=True), np.load(path, allow_pickle=False, mmap_mode="r")
            return table_channels(signal, layout.leads, layout.unit, layout.scale, layout.sampling_rate, "NPY")
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise FileError(f"decompresses to more than {MAX_BYTES // 10**9} GB")
        with np.load(path, allow_pickle=False) as arrays:
            if "signal" not in arrays:
                raise FileError(f"contains {', '.join(arrays.files)[:60]}; the ECG must be named signal")
            if {"fs", "leads", "unit"} <= set(arrays.files):
                leads = [str(lead) for lead in np.atleast_1d(arrays["leads"])]
                return table_channels(arrays["signal"], leads, str(arrays["unit"]), 1.0, float(arrays["fs"]), "NPZ")
            layout = need_layout(path, leads=True)
            return table_channels(
                arrays["signal"], layout.leads, layout.unit, layout.scale, layout.sampling_rate, "NPZ"
            )
    except FileError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise FileError(f"numpy cannot read it ({str(error)[:80]})") from None


def count_samples(path: Path) -> int:
    """Samples of all arrays according to their headers; an element of more than 8 bytes counts as several."""
    if path.suffix == ".npy":
        with path.open("rb") as file:
            return _declared_samples(file, path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        total = 0
        for member in archive.infolist():
            with archive.open(member) as file:
                total += _declared_samples(file, member.file_size)
        return total


def _declared_samples(file: IO[bytes], length: int) -> int:
    """Samples of a NumPy array of ``length`` bytes, or more if its header declares more."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    except ValueError:
        return length // 8
    return max(math.prod(shape) * max(dtype.itemsize, 8), length) // 8

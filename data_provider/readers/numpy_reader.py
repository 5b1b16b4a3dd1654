"""NPY and NPZ without pickles. An NPZ may state ``fs``, ``leads`` and ``unit`` itself, beside ``signal``."""

import zipfile
from pathlib import Path

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.layout import need_layout
from cardiolect.data_provider.readers.table import channels_of

MAX_BYTES = 4_000_000_000  # of all arrays, unpacked


def read(path: Path) -> Channels:
    """``(T, leads)`` or ``(leads, T)``."""
    try:
        if path.suffix.lower() == ".npy":
            layout, signal = need_layout(path), np.load(path, allow_pickle=False, mmap_mode="r")
            if layout.leads is None:
                raise FileError("the layout beside it states no leads")
            return channels_of(signal, layout.leads, layout.unit, layout.scale, layout.sampling_rate)
        with zipfile.ZipFile(path) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_BYTES:
                raise FileError(f"unpacks to more than {MAX_BYTES // 10**9} GB")
        with np.load(path, allow_pickle=False) as arrays:
            if "signal" not in arrays:
                raise FileError(f"holds {', '.join(arrays.files)[:60]}; the ECG must be named signal")
            if {"fs", "leads", "unit"} <= set(arrays.files):
                leads = [str(lead) for lead in np.atleast_1d(arrays["leads"])]
                return channels_of(arrays["signal"], leads, str(arrays["unit"]), 1.0, float(arrays["fs"]))
            layout = need_layout(path)
            if layout.leads is None:
                raise FileError("the layout beside it states no leads")
            return channels_of(arrays["signal"], layout.leads, layout.unit, layout.scale, layout.sampling_rate)
    except FileError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise FileError(f"numpy cannot read it ({str(error)[:80]})") from None

"""How many samples a file says that it holds, told before anything is unpacked: each is 8 bytes when read."""

import math
import zipfile
from pathlib import Path
from typing import IO

import h5py
import numpy as np

from cardiolect.data_provider.readers import HDF5_SUFFIXES, dicom_reader, wfdb_header
from cardiolect.data_provider.readers.channels import FileError


def count_samples(path: Path) -> int | None:
    """Of all leads together; 0 where the file is damaged, or of a format in which a sample takes a byte or more.

    Elements of more than 8 bytes, or of none that can be told, count as so many of 8. None where only unpacking tells.
    Suffixes are in lower case.
    """
    try:
        if path.suffix == ".npy":
            with path.open("rb") as file:
                return _promised(file, path.stat().st_size)
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                found = 0
                for member in archive.infolist():
                    with archive.open(member) as file:
                        found += _promised(file, member.file_size)
                return found
        if path.suffix in HDF5_SUFFIXES:
            sizes = [0]
            with h5py.File(path, "r") as file:
                file.visititems(lambda _, item: sizes.append(_eights(item)) if isinstance(item, h5py.Dataset) else None)
            return max(sizes)
        if path.suffix == ".hea":
            return wfdb_header.count_samples(wfdb_header.read_header(path), path.parent)
        if path.suffix == ".dcm":
            return dicom_reader.count_samples(path)
    except FileError:
        raise
    except Exception:  # parsers of binary formats raise whatever they stumble over
        pass
    return 0


def _promised(file: IO[bytes], length: int) -> int:
    """Samples of a NumPy array of ``length`` bytes, or more where its header says more."""
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except ValueError:
        return length // 8
    return max(math.prod(shape) * max(dtype.itemsize, 8), length) // 8


def _eights(array: h5py.Dataset) -> int:
    return (array.size or 0) * max(array.dtype.itemsize, 8) // 8

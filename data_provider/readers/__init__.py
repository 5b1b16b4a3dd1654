"""Any ECG file -> ECGRecord: leads by name, millivolts, gaps and missing leads masked, damage named."""

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import (
    aecg_reader,
    csv_reader,
    dicom_reader,
    edf_reader,
    hdf5_reader,
    muse_reader,
    numpy_reader,
    wfdb_reader,
)
from cardiolect.data_provider.readers.channels import Channels, FileError, assemble
from cardiolect.data_provider.record import ECGRecord
from cardiolect.utils.errors import UserError

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # see `_with`

WFDB_SUFFIXES = (".hea", ".dat", ".mat")
READERS = {
    ".csv": csv_reader.read,
    ".npy": numpy_reader.read,
    ".npz": numpy_reader.read,
    ".edf": edf_reader.read,
    ".bdf": edf_reader.read,
    ".dcm": dicom_reader.read,
}
HDF5_SUFFIXES = (".h5", ".hdf5")


class RecordError(UserError):
    """A recording cannot be used; the message names it and says why."""


def read_record(
    ref_or_path: RecordRef | Path | str, record_id: str | None = None, patient_id: str | None = None
) -> ECGRecord:
    """Read one ECG from a file of any kind that docs/DATA.md lists.

    ref_or_path: a reference, or a path; of WFDB records with or without extension, of one recording of an HDF5 file
    ``exams.hdf5#id``. Ids given here win over the reference's.

    Raises `RecordError` for files that are missing, truncated, damaged or no plausible ECG.
    """
    if isinstance(ref_or_path, RecordRef):
        path = ref_or_path.path
        record_id = record_id or ref_or_path.record_id
        patient_id = patient_id or ref_or_path.patient_id
    else:
        path = Path(ref_or_path)
    try:
        channels = _read(path)
        signal, good = assemble(channels)
    except FileError as error:
        raise RecordError(f"record {path}: {error}") from None
    except MemoryError:
        raise RecordError(f"record {path}: does not fit in memory") from None
    name = path.stem if path.suffix.lower() in (*READERS, *WFDB_SUFFIXES, ".xml") else path.name.split("#")[-1]
    return ECGRecord(signal, channels.fs, good, record_id or name, patient_id)


def _read(path: Path) -> Channels:
    suffix = path.suffix.lower().split("#")[0]
    if suffix in HDF5_SUFFIXES:
        name, _, recording = path.name.partition("#")
        if not name:
            raise FileError("no file before the #")
        return _with(lambda file: hdf5_reader.read(file, recording), path.with_name(name))
    if suffix in READERS:
        return _with(READERS[suffix], path)
    if suffix == ".xml":
        return _with(_read_xml, path)
    if suffix in WFDB_SUFFIXES:
        path = path.with_suffix("")
    elif suffix in (".scp", ".ecg"):
        raise FileError("SCP-ECG is not read; convert it to DICOM or WFDB")
    elif not os.path.isfile(f"{path}.hea"):  # as pathlib's, but false where it may not be looked up
        if os.path.isdir(path):
            raise FileError("a folder; name a recording in it")
        if os.path.isfile(path):
            kind = f"files {path.suffix}" if path.suffix else "files without extension"
            raise FileError(f"{kind} are not read; docs/DATA.md lists those that are")
    return wfdb_reader.read(path)


def _read_xml(path: Path) -> Channels:
    with open(path, "rb") as file:
        head = file.read(4000)
    return (muse_reader if b"<RestingECG" in head else aecg_reader).read(path)


def _with(read: Callable[[Path], Channels], path: Path) -> Channels:
    """``read(path)``; whatever its library raises on a damaged file becomes a `FileError`."""
    if not os.path.isfile(path):
        raise FileError("no such file")
    try:
        # What libraries say about a damaged file may quote it, names of patients included.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(path)
    except (FileError, MemoryError):
        raise
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror or type(error).__name__})") from None
    except Exception as error:  # parsers of binary formats raise whatever they stumble over
        raise FileError(f"damaged, or not what its name says ({type(error).__name__})") from None

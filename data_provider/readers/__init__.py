"""Reads an ECG file of any supported format into an `ECGRecord`.

Leads are found by name and converted to millivolts; gaps and missing leads are masked; damaged files are refused with
the reason.
"""

import os
from pathlib import Path

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers.assembly import assemble
from cardiolect.data_provider.readers.channels import FileError, NoLeadsError
from cardiolect.data_provider.readers.formats import FORMATS, count_samples, files_of, read_channels, record_name
from cardiolect.data_provider.record import ECGRecord
from cardiolect.utils.errors import UserError

__all__ = ["FORMATS", "READING", "FileError", "NoECGError", "RecordError", "count_samples", "files_of", "read_record"]

READING = 3  # to be raised when a file gives another signal than before: caches then read it again


class RecordError(UserError):
    """A recording cannot be used; the message names it and gives the reason."""


class NoECGError(RecordError):
    """The file holds no ECG at all, and does not claim to."""


def read_record(
    ref_or_path: RecordRef | Path | str,
    record_id: str | None = None,
    patient_id: str | None = None,
    check_leads: bool | None = None,
) -> ECGRecord:
    """Read one ECG from a file of any format listed in docs/DATA.md.

    ref_or_path: a reference or a path. WFDB records are named with or without suffix, a recording in an HDF5 file as
    ``exams.hdf5#id``. Ids passed here override those of the reference. check_leads: refuse a recording whose limb leads
    contradict one another; otherwise its notes say so. None: refuse it unless LEAD_LAW=warn is in the process
    environment.

    Raises `RecordError` for files that are missing, truncated, damaged or not a plausible ECG.
    """
    if isinstance(ref_or_path, RecordRef):
        path = ref_or_path.path
        record_id = record_id or ref_or_path.record_id
        patient_id = patient_id or ref_or_path.patient_id
    else:
        path = Path(ref_or_path)
    try:
        channels = read_channels(path)
        ecg = assemble(channels, os.environ.get("LEAD_LAW") != "warn" if check_leads is None else check_leads)
    except FileError as error:
        kind = NoECGError if isinstance(error, NoLeadsError) else RecordError
        raise kind(f"record {path}: {error}") from None
    except MemoryError:
        raise RecordError(f"record {path}: does not fit in memory") from None
    name = record_id or record_name(path)
    return ECGRecord(ecg.signal, channels.fs, ecg.good, name, patient_id, ecg.computed, ecg.notes)

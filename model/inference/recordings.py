"""The part of a recording that a prompt takes."""

from dataclasses import replace
from pathlib import Path

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.record import ECGRecord, part_of

SECONDS = 10.0  # of ECG in a prompt, unless training had another RECORD_SECONDS
LEAST_SECONDS = 2.5  # of each lead in a printed 12-lead ECG


def read_window(path: Path | str, start: float = 0.0, seconds: float = SECONDS) -> ECGRecord:
    """The ``seconds`` of a recording that begin at ``start`` seconds; docs/DATA.md lists the file formats.

    If that is not all of the recording, its notes say so. Raises `RecordError` as `read_record`, and if less than
    `LEAST_SECONDS` are left.
    """
    try:
        whole = read_record(path)
        part = window(whole, start, seconds)
        if part.seconds == whole.seconds:
            return part
        which = f"{part.seconds:g} s from {start:g} s on" if start else f"first {part.seconds:g} s"
        note = f"the recording is {whole.seconds:.0f} s long; only its {which} are used"
        return replace(part, notes=(*part.notes, note))
    except FileError as error:
        raise RecordError(f"record {path}: {error}") from None


def seconds_of(info: dict) -> float:
    """Seconds of ECG in the prompts of a checkpoint: the RECORD_SECONDS that it was trained with, or `SECONDS`.

    info: of `model.llm.checkpoint.Checkpoint`.
    """
    return info.get("settings", {}).get("record_seconds") or SECONDS


def window(record: ECGRecord, start: float = 0.0, seconds: float = SECONDS) -> ECGRecord:
    """The ``seconds`` of a recording that begin at ``start`` seconds, or less if the recording ends before.

    Raises `FileError` if that is less than `LEAST_SECONDS`.
    """
    if start < 0 or record.seconds - start < LEAST_SECONDS:
        rest = f", {max(record.seconds - start, 0):.1f} s of it after {start:g} s" if start else ""
        raise FileError(f"{record.seconds:.1f} s long{rest}; at least {LEAST_SECONDS:g} s are needed")
    return part_of(record, round(start * record.fs), round(seconds * record.fs))

"""Uploaded files -> the ECG that is asked about; whatever cannot be used is refused with one line.

Files are copied into a folder of their own, read there and deleted: a header reaches nothing but what came with it.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cardiolect.data_provider.readers import HDF5_SUFFIXES, READERS, WFDB_SUFFIXES, RecordError, read_record
from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.sizes import count_samples
from cardiolect.data_provider.record import ECGRecord
from cardiolect.model.cli.remarks import remarks
from cardiolect.model.inference.chat import SECONDS, window
from cardiolect.utils.errors import UserError

HEADER, *SIGNALS = WFDB_SUFFIXES
LAYOUT = "layout.json"
ALONE = (*READERS, *HDF5_SUFFIXES, ".xml")  # suffixes of files that hold a whole recording
KINDS = f".hea with its .dat or .mat, {', '.join(suffix[1:].upper() for suffix in ALONE)}"
MAX_FILES = 8
MAX_SAMPLES = 25_000_000  # of all leads together; an hour of 12 leads at 500 Hz fits
MAX_HZ = 10_000  # of what is kept for each visitor


@dataclass(frozen=True)
class Upload:
    """An ECG of at most `SECONDS`, without name and patient, and what its reader should know about it."""

    record: ECGRecord
    remarks: tuple[str, ...]


def read_upload(paths: Sequence[Path], max_bytes: int, temporary: Path) -> Upload:
    """One recording from its uploaded files, which stay where they are.

    temporary: a private folder. Raises `UserError` with a line that names no folder.
    """
    main = _main_file(paths)
    if sum(path.stat().st_size for path in paths) > max_bytes:
        raise UserError(f"larger than {max_bytes // 2**20} MB: cut it; {SECONDS:g} s are read")
    with tempfile.TemporaryDirectory(dir=temporary) as folder:
        for path in paths:
            shutil.copyfile(path, _place(Path(folder), path))
        copy = _place(Path(folder), main)
        try:
            if (samples := count_samples(copy)) is None or samples > MAX_SAMPLES:
                raise FileError(f"holds more than {MAX_SAMPLES:,} samples; cut it, {SECONDS:g} s are read")
            whole = read_record(copy)
            used = window(whole)
            if whole.fs > MAX_HZ:
                raise FileError(f"sampled at {whole.fs:g} Hz; at most {MAX_HZ:,} are read")
        except (RecordError, FileError) as error:
            line = str(error).removeprefix(f"record {copy}: ").replace(f"{folder}/", "")
            raise UserError(f"{main.name[:60]}: {line}") from None
    long = f"The recording is {whole.seconds:.0f} s long; its first {SECONDS:g} s are used."
    found = [long] * (whole.seconds > used.seconds) + remarks(used)
    return Upload(replace(used, record_id="", patient_id=None), tuple(found))


def _main_file(paths: Sequence[Path]) -> Path:
    """The file to read; the others are its signals or its layout."""
    if not paths:
        raise UserError("no file came")
    if len(paths) > MAX_FILES:
        raise UserError(f"{len(paths)} files: choose those of one recording")
    if len({path.name.lower() for path in paths}) < len(paths):
        raise UserError("two files have the same name: choose those of one recording")
    for path in paths:
        if path.name.startswith(".") or "\\" in path.name:
            raise UserError(f"the file name {path.name[:60]} is not accepted: give the file another")
    mains = [path for path in paths if path.suffix.lower() in (HEADER, *ALONE)]
    layouts = [path for path in paths if path.name.lower().endswith(LAYOUT)]
    signals = [path for path in paths if path.suffix.lower() in SIGNALS]
    strange = [path for path in paths if path not in (*mains, *layouts, *signals)]
    if strange:
        suffix = strange[0].suffix[:10]
        what = f"files {suffix} are" if suffix else "a file without extension is"
        raise UserError(f"{what} not read; these are: {KINDS}")
    if len(mains) > 1:
        raise UserError(f"{len(mains)} recordings at once: choose one")
    if not mains:
        raise UserError(
            "the header is missing: choose the .hea together with its signal file"
            if signals
            else f"the recording is missing: choose it together with its {LAYOUT}"
        )
    if signals and mains[0].suffix.lower() != HEADER:
        raise UserError(f"{signals[0].name[:60]} does not belong to a file {mains[0].suffix}: choose one recording")
    return mains[0]


def _place(folder: Path, path: Path) -> Path:
    return folder / f"{path.stem}{path.suffix.lower()}"

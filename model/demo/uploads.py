"""Read an ECG from uploaded files; refuse anything unusable with one line.

The files are copied to a folder of their own, read there and deleted, so that a header can refer only to files
uploaded with it.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cardiolect.data_provider.audit.inspection import inspect
from cardiolect.data_provider.readers import FileError, RecordError, count_samples, read_record
from cardiolect.data_provider.readers.content import what_else
from cardiolect.data_provider.readers.formats import FORMAT_LIST, file_role, needs_signal_file
from cardiolect.data_provider.readers.layout import LAYOUT_NAME
from cardiolect.data_provider.record import ECGRecord
from cardiolect.model.cli.loading import ecg_warnings
from cardiolect.model.inference.recordings import SECONDS, window
from cardiolect.utils.errors import UserError

MAX_FILES = 8
MAX_SAMPLES = 25_000_000  # over all leads; enough for an hour of 12 leads at 500 Hz
MAX_HZ = 10_000  # limits the memory of a session


@dataclass(frozen=True)
class Upload:
    """An ECG of limited length, without the ids of recording and patient, facts and warnings about it."""

    record: ECGRecord
    facts: str
    warnings: tuple[str, ...]


def read_upload(
    paths: Sequence[Path],
    max_bytes: int,
    temporary: Path,
    seconds: float = SECONDS,
    start: float = 0.0,
    stated: Mapping[str, object] | None = None,
) -> Upload:
    """Read ``seconds`` of one recording from ``start`` on, from its uploaded files, which are left in place.

    temporary: a private folder. stated: what the visitor says that the file does not, in the keys of a layout.json; if
    one was uploaded, or if the file states it, that counts. Raises `UserError` with a message that reveals no folder.
    """
    main = _main_file(paths)
    if sum(path.stat().st_size for path in paths) > max_bytes:
        raise UserError(f"larger than {max_bytes // 2**20} MB: upload a shorter part; only {seconds:g} s are used")
    with tempfile.TemporaryDirectory(dir=temporary) as folder:
        for path in paths:
            shutil.copyfile(path, _place(Path(folder), path))
        copy = _place(Path(folder), main)
        needed = bool(stated) and not any(file_role(path) == "layout" for path in paths) and not _is_readable(copy)
        if needed:
            (Path(folder) / LAYOUT_NAME).write_text(json.dumps(stated))
        try:
            whole, (found, _) = _read(copy, seconds), inspect(copy)
            used = window(whole, start, seconds)
            if whole.fs > MAX_HZ:
                raise FileError(f"sampled at {whole.fs:g} Hz; the limit is {MAX_HZ:,} Hz")
        except (RecordError, FileError) as error:
            line = str(error).removeprefix(f"record {copy}: ").replace(f"{folder}/", "")
            hint = " (or state rate and unit on this page)" if LAYOUT_NAME in line and not stated else ""
            raise UserError(f"{main.name[:60]}: {line}{hint}") from None
    warnings = ecg_warnings(used, seconds)
    if whole.seconds > used.seconds:
        part = f"the {seconds:g} s from {start:g} s on" if start else f"its first {seconds:g} s"
        warnings.insert(0, f"The recording is {whole.seconds:.0f} s long; only {part} are used.")
    if stated and not needed:
        warnings.insert(0, "The files state their own rate and unit; what was entered on the page is not used.")
    if needed:
        entered = [f"{value:g} Hz" if isinstance(value, float) else str(value) for value in stated.values()]
        warnings.insert(0, f"As entered on the page, not stated by the file: {' and '.join(entered)}.")
    return Upload(replace(used, record_id="", patient_id=None), str(found["format"]), tuple(warnings))


def _read(path: Path, seconds: float) -> ECGRecord:
    """A whole recording. Raises `RecordError` and `FileError`, the latter as well if it is too long."""
    if (samples := count_samples(path)) is None or samples > MAX_SAMPLES:
        raise FileError(f"holds more than {MAX_SAMPLES:,} samples; upload a shorter part, only {seconds:g} s are used")
    return read_record(path)


def _is_readable(path: Path) -> bool:
    """Whether a file needs nothing that a visitor might state."""
    try:
        _read(path, SECONDS)
    except (RecordError, FileError):
        return False
    return True


def _main_file(paths: Sequence[Path]) -> Path:
    """The file to read; the others are its signal files or its layout."""
    if not paths:
        raise UserError("no file was uploaded")
    if len(paths) > MAX_FILES:
        raise UserError(f"{len(paths)} files: upload those of one recording only")
    if len({path.name.lower() for path in paths}) < len(paths):
        raise UserError("two files have the same name: upload the files of one recording only")
    for path in paths:
        if path.name.startswith(".") or "\\" in path.name:
            raise UserError(f"the file name {path.name[:60]} is not allowed: rename the file")
    mains = [path for path in paths if file_role(path) == "recording"]
    signals = [path for path in paths if file_role(path) == "signal"]
    unknown = [path for path in paths if file_role(path) is None]
    if unknown:
        if other := what_else(unknown[0]):
            raise UserError(f"{unknown[0].name[:60]}: {other}")
        suffix = unknown[0].suffix[:10]
        problem = f"{suffix} files are not supported" if suffix else "the file has no extension"
        raise UserError(f"{problem}; upload one of: {FORMAT_LIST}")
    if len(mains) > 1:
        raise UserError(f"{len(mains)} recordings were uploaded at once: upload one at a time")
    if not mains:
        raise UserError(
            "the header is missing: upload the .hea file together with its signal file"
            if signals
            else "the recording is missing: upload it together with its layout.json"
        )
    if signals and not needs_signal_file(mains[0]):
        raise UserError(
            f"{signals[0].name[:60]} does not belong to a {mains[0].suffix} file: upload one recording only"
        )
    return mains[0]


def _place(folder: Path, path: Path) -> Path:
    return folder / f"{path.stem}{path.suffix.lower()}"

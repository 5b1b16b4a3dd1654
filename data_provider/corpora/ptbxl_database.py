"""PTB-XL's database of recordings, with their patients and folds."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.corpora.databases import TABLE as DATABASE_NAME
from cardiolect.data_provider.corpora.databases import database_in
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.texts.background import describe_patient
from cardiolect.data_provider.texts.record_finder import posix_path
from cardiolect.utils.errors import UserError

N_FOLDS = 10
_COLUMNS = ("ecg_id", "patient_id", "strat_fold")
LABEL_COLUMNS = (
    "ecg_id",
    "scp_codes",
    "heart_axis",
    "infarction_stadium1",
    "infarction_stadium2",
    "baseline_drift",
    "static_noise",
    "burst_noise",
    "electrodes_problems",
    "extra_beats",
    "pacemaker",
    "strat_fold",
)
_FILE_COLUMNS = ("filename_hr", "filename_lr")  # 500 Hz first


def load_labels(path: Path, argument: str = "DATA_ROOT") -> list[dict[str, str]]:
    """The rows of ptbxl_database.csv with all columns that `ecgqa.labels` reads; an empty cell is "".

    argument: what named its folder. Raises `UserError` if the file cannot be read, lacks a column or has an invalid
    row.
    """
    _, rows = _read_rows(path, argument, LABEL_COLUMNS)
    for line, row in enumerate(rows, start=2):
        try:
            int(row["ecg_id"]), int(float(row["strat_fold"]))
        except (TypeError, ValueError):  # short rows hold None
            raise UserError(f"{path}: line {line} has no valid ecg_id and fold") from None
        row.update((column, "") for column in LABEL_COLUMNS if row[column] is None)
    return rows


def load_devices(path: Path) -> dict[str, str]:
    """ecg_id -> the device that recorded it, from ptbxl_database.csv; those without a name are left out."""
    _, rows = _read_rows(path, "DATA_ROOT", ("ecg_id",))
    named = {str(row["ecg_id"]): " ".join((row.get("device") or "").split()) for row in rows}
    return {ecg_id: device for ecg_id, device in named.items() if device}


def load_database(root: Path, argument: str = "DATA_ROOT") -> dict[str, RecordRef]:
    """ecg_id -> reference, from ``root/ptbxl_database.csv`` in the official layout.

    argument: what named ``root``. Refers to the 500 Hz files, or to the 100 Hz files if the corpus has only these.
    Raises `UserError` if the file is missing, lacks a column or has an invalid row.
    """
    path = root / DATABASE_NAME
    columns, rows = _read_rows(path, argument, _COLUMNS, _FILE_COLUMNS)
    file_columns = [name for name in _FILE_COLUMNS if name in columns]
    file_column = next((name for name in file_columns if _folder_exists(root, rows[0][name])), file_columns[0])
    database_name = database_in(root)
    database: dict[str, RecordRef] = {}
    for line, row in enumerate(rows, start=2):
        try:
            ref = _reference(root, row, file_column, database_name)
        except (TypeError, ValueError, AttributeError):  # short rows hold None
            raise UserError(f"{path}: line {line} has no valid ecg_id, patient_id, fold and file name") from None
        if ref.record_id in database:
            raise UserError(f"{path}: line {line} repeats ecg_id {ref.record_id}")
        database[ref.record_id] = ref
    return database


def parse_folds(text: str, argument: str = "folds") -> frozenset[int]:
    """The folds in "1-8,10", none in "".

    argument: what gave them. Raises `UserError` on anything but numbers from 1 to 10 and ranges of them.
    """
    if not text.strip():
        return frozenset()
    folds: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,2})\s*(?:-\s*(\d{1,2})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= N_FOLDS:
            raise UserError(f"{argument} '{text}': use numbers from 1 to {N_FOLDS} such as 1-8,10")
        folds.update(range(first, last + 1))
    return frozenset(folds)


def _read_rows(
    path: Path, argument: str, needed: Sequence[str], one_of: Sequence[str] = ()
) -> tuple[Sequence[str], list[dict[str, str]]]:
    """Column names and rows of a CSV file that has all columns ``needed``, and one of the others if there are any."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {argument} must be the folder of PTB-XL") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    missing = [name for name in needed if name not in columns]
    if missing or (one_of and not set(one_of) & set(columns)):
        names = ", ".join(missing or one_of[:1])
        raise UserError(f"{path}: no column {names}; use the file as PTB-XL publishes it")
    if not rows:
        raise UserError(f"{path}: no rows")
    return columns, rows


def _folder_exists(root: Path, name: str | None) -> bool:
    return bool(name) and (root / Path(posix_path(name)).parts[0]).is_dir()


def _reference(root: Path, row: dict[str, str], file_column: str, database: str) -> RecordRef:
    name = posix_path(row[file_column])
    if not name:
        raise ValueError(file_column)
    patient = row["patient_id"].strip()
    return RecordRef(
        record_id=str(int(row["ecg_id"])),
        path=root / name,
        patient_id=str(int(float(patient))) if patient else None,
        fold=int(float(row["strat_fold"])),
        background=describe_patient(*(row.get(key) or "" for key in ("age", "sex", "height", "weight"))),
        database=database,
    )

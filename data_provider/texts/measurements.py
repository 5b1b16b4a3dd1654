"""Measurements published with recordings, such as intervals in milliseconds: training targets, never inputs."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cardiolect.data_provider.corpora.mixture import corpus_names
from cardiolect.utils.errors import UserError

ID_COLUMNS = ("ecg_id", "study_id")  # PTB-XL, PTB-XL+ and the simulator; MIMIC-IV-ECG


def load_all_measurements(
    paths: Sequence[Path], roots: Sequence[Path], columns: Sequence[str]
) -> dict[str, np.ndarray]:
    """`load_measurements` of one file per corpus, with the record ids of their mixture if there are several.

    roots: the folders of the corpora, as many as ``paths`` and in their order.
    """
    if len(paths) == 1:
        return load_measurements(paths[0], columns)
    return {
        f"{corpus}/{record}": values
        for path, corpus in zip(paths, corpus_names(roots), strict=True)
        for record, values in load_measurements(path, columns).items()
    }


def load_measurements(path: Path, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """record_id -> float32 ``(len(columns),)``, NaN for cells that are empty or contain "nan".

    Other codes for "not measured" (29999 in MIMIC-IV-ECG) must be removed first, or the model learns them.

    path: CSV with one of `ID_COLUMNS` and ``columns``: ``measurements.csv`` of a simulated corpus, or
        ``features/12sl_features.csv`` of PTB-XL+ (Strodthoff et al. 2023, Sci. Data 10:279).
    Raises `UserError` if the file cannot be read, lacks a column or contains anything but numbers.
    """
    table: dict[str, np.ndarray] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            present = reader.fieldnames or []
            key = next((name for name in ID_COLUMNS if name in present), ID_COLUMNS[0])
            if missing := [name for name in (key, *columns) if name not in present]:
                raise UserError(f"{path}: no column {', '.join(missing)}; it has {', '.join(present[:20])}")
            for row in reader:
                try:
                    values = [float(row[name]) if row[name].strip() else np.nan for name in columns]
                    if np.isinf(values).any():
                        raise ValueError(values)
                    table[str(int(float(row[key])))] = np.array(values, dtype=np.float32)
                except (AttributeError, ValueError, OverflowError):  # short rows hold None
                    line = reader.line_num
                    raise UserError(f"{path}: line {line}: a requested column does not contain a number") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    return table

"""CODE-15 % (Ribeiro et al. 2021, Zenodo 4916206): 400 Hz recordings in HDF5 parts, six diagnoses and no text."""

import json
from pathlib import Path

import pandas as pd

from cardiolect.data_provider.corpora.prepared import Prepared, read_table, split_of_patient
from cardiolect.data_provider.manifest import Record
from cardiolect.data_provider.readers.channels import FileError
from cardiolect.data_provider.readers.hdf5_reader import recordings
from cardiolect.data_provider.readers.layout import LAYOUT_NAME, Layout
from cardiolect.data_provider.texts.background import describe_patient
from cardiolect.utils.errors import UserError

LICENCE = "CC BY 4.0"
LEADS = ["DI", "DII", "DIII", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
LAYOUT = json.dumps(
    Layout(sampling_rate=400, unit="mV", leads=LEADS).model_dump(include={"sampling_rate", "unit", "leads"})
)


def prepare(source: Path) -> Prepared:
    """Every exam in exams.csv whose part is on disk.

    Raises `UserError` with the contents of ``layout.json`` if that file is missing next to the parts.
    """
    done = Prepared("1", LICENCE, "Ribeiro et al. 2021, https://doi.org/10.5281/zenodo.4916206")
    if not (source / LAYOUT_NAME).is_file():
        raise UserError(
            f"{source}/{LAYOUT_NAME}: no such file; the parts give neither sampling rate nor unit. Write into it: "
            f"{LAYOUT}"
        )
    exams = read_table(source / "exams.csv", ["exam_id", "patient_id", "trace_file"])
    for part, rows in exams.groupby("trace_file", sort=True):
        if not (source / part).is_file():
            done.left_out["recordings of parts that are not on disk"] += len(rows)
            continue
        try:
            present = set(recordings(source / part))
        except (FileError, OSError) as error:
            raise UserError(f"{source}/{part}: {error}") from None
        for row in rows.to_dict("records"):
            exam, patient = row["exam_id"], row["patient_id"]
            if exam not in present:
                done.left_out["recordings missing from their part"] += 1
                continue
            background = describe_patient(_known(row, "age"), _sex(row), "", "")
            done.records.append(Record(exam, f"{part}#{exam}", patient, split_of_patient(patient), None, background))
    return done


def _known(row: dict, key: str) -> str:
    return "" if pd.isna(row.get(key)) else str(row[key])


def _sex(row: dict) -> str:
    return {"true": "male", "1": "male", "false": "female", "0": "female"}.get(_known(row, "is_male").lower(), "")

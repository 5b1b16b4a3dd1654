"""MIMIC-IV-ECG (Gow et al. 2023, PhysioNet): machine statements as reports, patients split by hash."""

from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared, read_table, split_of_patient
from cardiolect.data_provider.manifest import Record, Text
from cardiolect.data_provider.readers.formats import is_on_disk
from cardiolect.data_provider.texts.record_finder import posix_path
from cardiolect.utils.errors import UserError

LICENCE = "ODbL 1.0"
LIST, MEASUREMENTS = "record_list.csv", "machine_measurements.csv"


def prepare(source: Path) -> Prepared:
    """Every study in record_list.csv; its report is report_0, report_1, ... in machine_measurements.csv."""
    done = Prepared("1.0", LICENCE, "Gow et al. 2023, https://doi.org/10.13026/4nqg-sb35")
    studies = read_table(source / LIST, ["subject_id", "study_id", "path"])
    reports = _reports(source / MEASUREMENTS)
    paths = map(posix_path, studies["path"].fillna(""))
    subjects = studies["subject_id"].fillna("")
    for subject, study, path in zip(subjects, studies["study_id"], paths, strict=True):
        if not subject:
            done.left_out["recordings without a subject_id, which no split can have"] += 1
            continue
        if not is_on_disk(source / path):
            done.left_out["recordings that are not on disk"] += 1
            continue
        split = split_of_patient(str(subject))
        done.records.append(Record(str(study), path, str(subject), split))
        report = reports.get(str(study), "")
        if not report:
            done.left_out["empty reports"] += 1
            continue
        done.texts.append(
            Text(f"mimic-iv-ecg/report/{study}", (str(study),), "report", "", (report,), split=split, licence=LICENCE)
        )
    return done


def _reports(path: Path) -> dict[str, str]:
    """study_id -> the statements of its report as sentences."""
    read = read_statements(path)
    return {study: ". ".join(cells) + "." if cells else "" for study, (_, cells) in read.items()}


def read_statements(path: Path) -> dict[str, tuple[str, list[str]]]:
    """study_id -> subject_id, "" if the table has none, and the statements of machine_measurements.csv, in order."""
    table = read_table(path, ["study_id"])
    columns = sorted(
        (c for c in table.columns if c.startswith("report_")), key=lambda c: int(c.removeprefix("report_"))
    )
    if not columns:
        raise UserError(f"{path}: no column report_0; use the file as PhysioNet publishes it")
    subjects = table["subject_id"].fillna("") if "subject_id" in table else [""] * len(table)
    found = {}
    for subject, (study, *cells) in zip(subjects, table[["study_id", *columns]].itertuples(index=False), strict=True):
        statements = [cell.strip().rstrip(".") for cell in cells if isinstance(cell, str) and cell.strip(" .")]
        found[str(study)] = (str(subject), statements)
    return found

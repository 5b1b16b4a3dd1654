"""PTB-XL (Wagner et al. 2020, Scientific Data 7:154): official folds, unchanged reports, mostly German."""

import csv
from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database
from cardiolect.data_provider.manifest import Record, Text
from cardiolect.data_provider.readers.formats import is_on_disk

LICENCE = "CC BY 4.0"
TRANSLATED = "report_en"  # an extra column in copies of the database with translated reports


def prepare(source: Path) -> Prepared:
    """Folds 1-8 for training, 9 for validation, 10 for test, as its authors recommend."""
    done = Prepared("1.0.3", LICENCE, "Wagner et al. 2020, https://doi.org/10.1038/s41597-020-0495-6")
    database = load_database(source, "--source")
    with (source / DATABASE_NAME).open(newline="", encoding="utf-8-sig") as file:
        rows = {str(int(row["ecg_id"])): row for row in csv.DictReader(file)}
    for record_id, ref in database.items():
        if not is_on_disk(ref.path):
            done.left_out["recordings that are not on disk"] += 1
            continue
        split = {9: "valid", 10: "test"}.get(ref.fold, "train")
        path = ref.path.relative_to(source).as_posix()
        done.records.append(Record(record_id, path, ref.patient_id, split, ref.fold, ref.background))
        report = (rows[record_id].get(TRANSLATED) or rows[record_id].get("report") or "").strip()
        if not report.strip(" .-"):
            done.left_out["empty reports"] += 1
            continue
        done.texts.append(
            Text(f"ptb-xl/report/{record_id}", (record_id,), "report", "", (report,), split=split, licence=LICENCE)
        )
    return done

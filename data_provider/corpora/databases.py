"""Databases, whatever a manifest is called: ids of patients and records are unique within one."""

import csv
import hashlib
import json
from pathlib import Path

from cardiolect.data_provider.corpora.ptbxl_patients import patient_of

MADE = "corpus.json"  # the settings of the simulator, in the folder of a simulated corpus
COPIES = "copies.json"  # in a folder of altered copies: of which database they are, and how they were made
PTBXL = "ptb-xl"
MIMIC = "mimic-iv-ecg"
TABLE = "ptbxl_database.csv"
MANIFEST = "manifest.json"  # of a prepared corpus

# Databases whose manifests did not name them yet, by what they cite.
_CITED = {
    "10.1038/s41597-020-0495-6": PTBXL,
    "10.13026/4nqg-sb35": MIMIC,
    "10.5281/zenodo.4916206": "code-15",
}


def is_manifest(folder: Path) -> bool:
    """Whether a folder is that of a prepared corpus (`data_provider.manifest`)."""
    return (folder / MANIFEST).is_file()


def database_in(source: Path, name: str = PTBXL) -> str:
    """The database in the folder of a corpus: ``name``, unless that is PTB-XL and the table is not PTB-XL's.

    Each simulated corpus is a database of its own, and so is each table of other data in PTB-XL's layout: ids in it
    belong to other patients than PTB-XL's. Altered copies belong to the database of their originals.
    """
    if (source / COPIES).is_file():
        return json.loads((source / COPIES).read_text())["database"]
    made, table = source / MADE, source / TABLE
    if made.is_file():
        return f"simulated-{_hash(made)}"
    if name == PTBXL and table.is_file() and not _is_ptbxl(table):
        return f"own-{_hash(table)}"
    return name


def is_made(recording: Path) -> bool:
    """Whether a file is in a simulated corpus or in a folder of altered copies."""
    # Only the nearest folder with a table of recordings: files of these names further up belong to something else.
    folder = next((folder for folder in recording.parents if (folder / TABLE).is_file()), None)
    return folder is not None and any((folder / name).is_file() for name in (MADE, COPIES))


def _is_ptbxl(table: Path) -> bool:
    """Whether the rows whose patients are known here (`patient_of`) are there, and all belong to these patients."""
    known = 0
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if (patient := patient_of(int(row["ecg_id"]))) is not None:
                    if float(row["patient_id"]) != patient:
                        return False
                    known += 1
    except (KeyError, TypeError, ValueError, csv.Error):
        return False  # a table that cannot be read is reported by who reads it
    return known > 0


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def likely_database(name: str, citation: str = "", source: Path | None = None) -> str:
    """The database of a manifest called ``name`` that does not say it: by what it cites, else by its name.

    "ptb-xl-more" is a part of "ptb-xl".
    """
    if source is not None and (source / MADE).is_file():
        return database_in(source)
    for cited, database in _CITED.items():
        if cited in citation:
            return database
    return next((known for known in _CITED.values() if name == known or name.startswith(f"{known}-")), name)

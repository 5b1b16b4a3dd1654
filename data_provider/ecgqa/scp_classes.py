"""Classes of PTB-XL's recordings from its labels, as in its benchmark (Strodthoff et al. 2021, JBHI 25:1519)."""

import ast
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cardiolect.data_provider.corpora.mixture import corpus_names
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.utils.errors import UserError
from cardiolect.utils.scp_codes import LABEL_TASKS, LabelTask


def load_classes(root: Path, task: LabelTask = "superclass") -> dict[str, frozenset[str]]:
    """ecg_id -> classes of a task, whatever their likelihood, as in the benchmark.

    Records without a statement of the task have none; the benchmark excludes them. Raises `UserError` if the database
    is missing, has no column ``scp_codes``, or if a cell of it is not a dictionary.
    """
    path, labels, class_of = root / DATABASE_NAME, {}, LABEL_TASKS[task]
    if not path.is_file():
        raise UserError(f"{path}: no such file; labels are read from the table of PTB-XL or of a simulated corpus")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if "scp_codes" not in (reader.fieldnames or []):
            raise UserError(f"{path}: no column scp_codes; use the file as PTB-XL publishes it")
        for row in reader:
            try:
                codes = set(ast.literal_eval(row["scp_codes"]))
            except (ValueError, SyntaxError, TypeError):
                raise UserError(f"{path}: line {reader.line_num}: scp_codes is not a dictionary") from None
            labels[str(int(float(row["ecg_id"])))] = frozenset(class_of[c] for c in codes if c in class_of)
    return labels


def load_all_classes(roots: Sequence[Path], task: LabelTask) -> dict[str, frozenset[str]]:
    """`load_classes` of every corpus, with the record ids of their mixture if there are several."""
    if len(roots) == 1:
        return load_classes(roots[0], task)
    named = zip(roots, corpus_names(roots), strict=True)
    return {f"{name}/{ecg_id}": found for root, name in named for ecg_id, found in load_classes(root, task).items()}


def indicators(labels: Mapping[str, frozenset[str]], record_ids: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """float32 ``(records, classes)``: 1 for the classes of a record, NaN in the row of one without any, or unknown."""
    found = np.full((len(record_ids), len(classes)), np.nan, dtype=np.float32)
    for row, record in zip(found, record_ids, strict=True):
        if labels.get(record):
            row[:] = [name in labels[record] for name in classes]
    return found

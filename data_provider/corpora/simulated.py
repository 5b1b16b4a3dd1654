"""Simulated corpora made by ``cardiolect simulate``: recordings, questions, reports and true findings."""

import json
from pathlib import Path

from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.corpora.ptbxl import prepare as prepare_ptbxl
from cardiolect.utils.errors import UserError

TRUTH = "truth.jsonl"  # one JSON object per recording, with its "record_id" and "findings"
LICENCE = "MIT"  # that of the simulator
CITATION = "simulated"  # how that of every simulated corpus begins


def prepare(source: Path) -> Prepared:
    """Folds 1-8 for training, 9 for validation, 10 for test; with its questions, comparisons and reports."""
    if not (source / MADE).is_file():
        raise UserError(f"{source}/{MADE}: no such file; --source must be a corpus made by cardiolect simulate")
    done = prepare_ptbxl(source)
    done.version, done.licence, done.citation = "", LICENCE, f"{CITATION}; corpus.json says with which settings"
    done.texts = []  # the reports in its table are in reports/ as well
    done.bundled = [source / name for name in ("questions", "comparisons", "reports")]
    return done


def load_true_findings(root: Path) -> dict[str, set[str]] | None:
    """record_id -> findings, by the names in `ecgqa.findings`; None if the corpus at ``root`` is not simulated."""
    path = root / TRUTH
    if not path.is_file():
        return None
    rows = map(json.loads, path.read_text().splitlines())
    return {str(row["record_id"]): set(row["findings"]) for row in rows}

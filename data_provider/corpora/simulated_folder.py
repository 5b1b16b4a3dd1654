"""What a folder of simulated ECGs is known by, and the true findings in it."""

import json
from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.corpora.databases import MADE

TRUTH = "truth.jsonl"  # one JSON object per recording, with its "record_id" and "findings"
LICENCE = "MIT"  # that of the simulator
CITATION = "simulated"  # how that of every simulated corpus begins


def only_simulated(corpora: Sequence[dict[str, str]]) -> bool:
    """Whether all of what `provenance.corpora_of` returned is simulated; False if nothing is known."""
    return bool(corpora) and all(corpus["citation"].startswith(CITATION) for corpus in corpora)


def in_simulated_corpus(record: str) -> bool:
    """Whether a recording's file is in the folder of a simulated corpus."""
    return any((folder / MADE).is_file() for folder in Path(record).resolve().parents)


def load_true_findings(root: Path) -> dict[str, set[str]] | None:
    """record_id -> findings, by the names in `ecgqa.findings`; None if the corpus at ``root`` is not simulated."""
    path = root / TRUTH
    if not path.is_file():
        return None
    rows = map(json.loads, path.read_text().splitlines())
    return {str(row["record_id"]): set(row["findings"]) for row in rows}

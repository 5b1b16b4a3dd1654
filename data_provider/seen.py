"""Which recordings a tokenizer or model has been trained on, so that evaluation can leave their patients out.

Recordings are remembered by a hash of their header, which holds the checksums of the signals: it survives moving the
corpus, tells corpora apart and names nobody.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from data_provider.examples import RecordRef

SEEN = "seen_recordings.json"


def header_digest(ref: RecordRef) -> str:
    return hashlib.sha256(ref.path.with_name(ref.path.name + ".hea").read_bytes()).hexdigest()[:16]


def load_seen(folder: Path) -> set[str]:
    """Digests stored in ``folder``; empty where it stores none."""
    path = folder / SEEN
    return set(json.loads(path.read_text())) if path.is_file() else set()


def save_seen(folder: Path, refs: Iterable[RecordRef], before: Iterable[str] = ()) -> None:
    """Store the digests of ``refs`` and of what earlier stages had seen."""
    (folder / SEEN).write_text(json.dumps(sorted({*before, *map(header_digest, refs)})) + "\n")


def seen_again(refs: Iterable[RecordRef], corpus: Iterable[RecordRef], seen: set[str]) -> set[str]:
    """Ids of those ``refs`` that were seen, or whose patient has a seen recording in ``corpus``."""
    if not seen:
        return set()
    refs = list(refs)
    known = {r.record_id: r for r in [*corpus, *refs]}
    hit = {i for i, r in known.items() if r.path.with_name(r.path.name + ".hea").is_file() and header_digest(r) in seen}
    patients = {known[i].patient_id for i in hit} - {None}
    return {r.record_id for r in refs if r.record_id in hit or r.patient_id in patients}

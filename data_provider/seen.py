"""Which recordings a tokenizer or model has been trained on, so that evaluation can leave their patients out.

Recordings are remembered by a hash: of a WFDB header, which holds the checksums of the signals; of other files of their
size and first megabyte. It survives moving the corpus, tells corpora apart and names nobody.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from data_provider.examples import RecordRef

SEEN = "seen_recordings.json"


def digest(ref: RecordRef) -> str | None:
    """The hash of a recording; None where it is not on disk."""
    header = ref.path.with_name(ref.path.name + ".hea")
    name, _, recording = ref.path.name.partition("#")  # one of an HDF5 file
    file = ref.path.with_name(name)
    if header.is_file():
        content = header.read_bytes()
    elif file.is_file():
        with open(file, "rb") as opened:
            content = f"{file.stat().st_size}#{recording}".encode() + opened.read(1_000_000)
    else:
        return None
    return hashlib.sha256(content).hexdigest()[:16]


def load_seen(folder: Path) -> set[str]:
    """Digests stored in ``folder``; empty where it stores none."""
    path = folder / SEEN
    return set(json.loads(path.read_text())) if path.is_file() else set()


def save_seen(folder: Path, refs: Iterable[RecordRef], before: Iterable[str] = ()) -> None:
    """Store the digests of ``refs`` and of what earlier stages had seen."""
    (folder / SEEN).write_text(json.dumps(sorted({*before, *filter(None, map(digest, refs))})) + "\n")


def seen_again(refs: Iterable[RecordRef], corpus: Iterable[RecordRef], seen: set[str]) -> set[str]:
    """Ids of those ``refs`` that were seen, or whose patient has a seen recording in ``corpus``."""
    if not seen:
        return set()
    refs = list(refs)
    known = {r.record_id: r for r in [*corpus, *refs]}
    hit = {i for i, r in known.items() if digest(r) in seen}
    patients = {known[i].patient_id for i in hit} - {None}
    return {r.record_id for r in refs if r.record_id in hit or r.patient_id in patients}

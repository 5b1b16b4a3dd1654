"""Which recordings a tokenizer or model has been trained on, so that evaluation can leave their patients out.

Recordings are remembered by a hash: of a WFDB header, which holds the checksums of the signals; of other files of their
size and first megabyte. It survives moving the corpus, tells corpora apart and names nobody.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from tqdm import tqdm

from cardiolect.data_provider.examples import RecordRef
from cardiolect.utils.launch import is_main

SEEN = "seen_recordings.json"


def digest(ref: RecordRef) -> str | None:
    """The hash of a recording; None where it is not on disk."""
    header = ref.path.with_name(ref.path.name + ".hea")
    name, _, recording = ref.path.name.partition("#")  # one of an HDF5 file
    if header.is_file():
        return hashlib.sha256(header.read_bytes()).hexdigest()[:16]
    begun = _begun(ref.path.with_name(name))
    if begun is None:
        return None
    begun = begun.copy()
    begun.update(recording.encode())
    return begun.hexdigest()[:16]


@lru_cache(maxsize=64)
def _begun(file: Path):
    """The hash of a file's size and first megabyte, once for all recordings in it."""
    if not file.is_file():
        return None
    with open(file, "rb") as opened:
        return hashlib.sha256(f"{file.stat().st_size}#".encode() + opened.read(1_000_000))


def load_seen(folder: Path) -> set[str]:
    """Digests stored in ``folder``; empty where it stores none."""
    path = folder / SEEN
    return set(json.loads(path.read_text())) if path.is_file() else set()


def save_seen(folder: Path, refs: Iterable[RecordRef], before: Iterable[str] = ()) -> None:
    """Store the digests of ``refs`` and of what earlier stages had seen."""
    bar = tqdm(refs, desc="noting what was seen", unit="ecg", delay=3, disable=not is_main())
    (folder / SEEN).write_text(json.dumps(sorted({*before, *filter(None, map(digest, bar))})) + "\n")


def seen_again(refs: Iterable[RecordRef], corpus: Iterable[RecordRef], seen: set[str]) -> set[str]:
    """Ids of those ``refs`` that were seen, or whose patient has a seen recording in ``corpus``."""
    if not seen:
        return set()
    refs = list(refs)
    whose = {r.patient_id for r in refs} - {None}
    known = {r.record_id: r for r in [*(r for r in corpus if r.patient_id in whose), *refs]}
    hit = {i for i, r in known.items() if digest(r) in seen}
    patients = {known[i].patient_id for i in hit} - {None}
    return {r.record_id for r in refs if r.record_id in hit or r.patient_id in patients}

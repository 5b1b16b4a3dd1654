"""Which recordings a tokenizer or model has been trained on, so that evaluation can exclude their patients.

Recordings are stored as content hashes: they survive moving the corpus, distinguish corpora and identify nobody.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.utils.launch import is_main

SEEN = "seen_recordings.json"


def load_seen(folder: Path) -> set[str]:
    """The hashes stored in ``folder``; empty if there are none."""
    path = folder / SEEN
    return set(json.loads(path.read_text())) if path.is_file() else set()


def save_seen(folder: Path, refs: Iterable[RecordRef], before: Iterable[str] = ()) -> None:
    """Store the hashes of ``refs`` together with ``before``, those of the recordings seen by earlier stages."""
    bar = tqdm(refs, desc="hashing seen recordings", unit="ecg", delay=3, disable=not is_main())
    hashes = filter(None, (content_hash(ref.path) for ref in bar))
    (folder / SEEN).write_text(json.dumps(sorted({*before, *hashes})) + "\n")


def seen_again(refs: Iterable[RecordRef], corpus: Iterable[RecordRef], seen: set[str]) -> set[str]:
    """Ids of the ``refs`` that were seen themselves, or whose patient has a seen recording in ``corpus``."""
    if not seen:
        return set()
    refs = list(refs)
    patients = {r.patient_id for r in refs} - {None}
    candidates = {r.record_id: r for r in [*(r for r in corpus if r.patient_id in patients), *refs]}
    hits = {i for i, r in candidates.items() if content_hash(r.path) in seen}
    seen_patients = {candidates[i].patient_id for i in hits} - {None}
    return {r.record_id for r in refs if r.record_id in hits or r.patient_id in seen_patients}

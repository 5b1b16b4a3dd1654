"""Which recordings a tokenizer or model has been trained on, so that evaluation can exclude their patients.

A recording leaves marks. The hash of its header (WFDB) or of the start of its file stands bare; others begin with what
they are of:

- ``record:`` and ``patient:``: hashes of its id and its patient's within a database
- ``samples:``: a hash of its voltages, ten times a second
- ``signal:``: its fingerprint, by which renamed, converted, filtered and cut copies are known

Lists of earlier releases hold hashes of files only. No mark names a patient, but a hash of a short id can be found by
hashing all ids, and a fingerprint recognises its recording: treat the list as you treat the data.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tqdm import tqdm

from cardiolect.data_provider.audit.fingerprint import Fingerprint, fingerprint, sample_hash
from cardiolect.data_provider.audit.matching import seen_among
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main
from cardiolect.utils.parallel import ordered_map

SEEN = "seen_recordings.json"
# Copies that are not known by their fingerprint, in addition to what the audit does not recognise either: a list has no
# signals to compare (python -m bench.copies).
NOT_SEEN = (
    "copies with exchanged electrodes or chest leads",
    "most copies with noise of more than about 30 uV, or 200 uV in some leads",
    "some copies cut, filtered and noisy at once",
)
_MOST_WORKERS = 8


def load_seen(folder: Path) -> set[str]:
    """The marks stored in ``folder``; empty if there are none."""
    path = folder / SEEN
    if not path.is_file():
        return set()
    try:
        return set(json.loads(path.read_text()))
    except (json.JSONDecodeError, TypeError):
        raise UserError(f"{path}: is damaged; take it from the checkpoint again") from None


def save_seen(folder: Path, refs: Iterable[RecordRef], before: Iterable[str] = ()) -> None:
    """Store the marks of ``refs`` together with ``before``, those of the recordings seen by earlier stages.

    Signals are read unless an earlier stage has.
    """
    marks, refs = set(before), list({ref.record_id: ref for ref in refs}.values())
    new = [ref for ref in refs if not ref.database or _record_mark(ref) not in marks]
    for ref in refs:
        marks |= _marks(ref)
    for samples, found in _read_all(new, "fingerprints of seen recordings"):
        marks |= {f"samples:{samples}"} if samples else set()
        marks |= {f"signal:{found.to_text()}"} if found is not None else set()
    (folder / SEEN).write_text(json.dumps(sorted(marks)) + "\n")


def seen_again(refs: Iterable[RecordRef], corpus: Iterable[RecordRef], seen: set[str]) -> set[str]:
    """Ids of the ``refs`` that were seen themselves, or whose patient has a seen recording, also in ``corpus``."""
    if not seen:
        return set()
    refs = list(refs)
    patients = {r.patient_id for r in refs} - {None}
    candidates = {r.record_id: r for r in [*(r for r in corpus if r.patient_id in patients), *refs]}
    by_file_only = sum(":" not in mark for mark in seen) - sum(mark.startswith("samples:") for mark in seen)
    if by_file_only > 0 and is_main():
        print(
            f"{by_file_only} seen recordings are known by their files only, not by patient or signal: the checkpoint "
            "is of an earlier release, or they could not be read"
        )
    hits = {i for i, r in candidates.items() if not seen.isdisjoint(_marks(r))}
    seen_patients = {candidates[i].patient_id for i in hits} - {None}
    rest = {i: r for i, r in candidates.items() if i not in hits and r.patient_id not in seen_patients}
    hits |= _seen_signals(rest, seen)
    seen_patients |= {candidates[i].patient_id for i in hits} - {None}
    return {r.record_id for r in refs if r.record_id in hits or r.patient_id in seen_patients}


def _seen_signals(refs: dict[str, RecordRef], seen: set[str]) -> set[str]:
    """The ids of those whose signals are among the seen ones."""
    try:
        known = [
            Fingerprint.from_text(mark.removeprefix("signal:")) for mark in sorted(seen) if mark.startswith("signal:")
        ]
    except ValueError:
        raise UserError(f"{SEEN}: a fingerprint is damaged; take the file from the checkpoint again") from None
    if not known and not any(mark.startswith("samples:") for mark in seen):
        return set()
    found = dict(zip(refs, _read_all(list(refs.values()), "fingerprints to compare with seen ones"), strict=True))
    hits = {i for i, (samples, _) in found.items() if f"samples:{samples}" in seen}
    asked = {i: one for i, (_, one) in found.items() if one is not None and i not in hits}
    return hits | {i for i, again in zip(asked, seen_among(list(asked.values()), known), strict=True) if again}


def _marks(ref: RecordRef) -> set[str]:
    """All that needs no signal."""
    marks = {found} if (found := content_hash(ref.path)) else set()
    if ref.database:
        marks.add(_record_mark(ref))
        if ref.patient_id is not None:
            patient = ref.patient_id.removeprefix(f"{ref.database}/") if ref.corpus else ref.patient_id
            marks.add(f"patient:{_hash(ref.database, patient)}")
    return marks


def _record_mark(ref: RecordRef) -> str:
    record = ref.record_id.removeprefix(f"{ref.corpus}/") if ref.corpus else ref.record_id
    return f"record:{_hash(ref.database, record)}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _read_all(refs: Sequence[RecordRef], what: str) -> list[tuple[str, Fingerprint | None]]:
    workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
    bar = tqdm(
        ordered_map(_read, refs, workers), total=len(refs), desc=what, unit="ecg", delay=3, disable=not is_main()
    )
    return list(bar)


def _read(ref: RecordRef) -> tuple[str, Fingerprint | None]:
    """Sample hash and fingerprint; neither of a recording that cannot be read, which training leaves out too."""
    try:
        record = read_record(ref, check_leads=False)
    except RecordError:
        return "", None
    return sample_hash(record), fingerprint(record)

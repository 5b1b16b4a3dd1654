"""Which recordings a tokenizer or model has been trained on, so that evaluation can exclude their patients.

A recording leaves marks. The hash of its header (WFDB) or of the start of its file stands bare; others begin with what
they are of:

- ``record:`` and ``patient:``: hashes of its id and its patient's within a database
- ``samples:``: a hash of its voltages, ten times a second
- ``signal:``: its fingerprint, by which renamed, converted, filtered and cut copies are known

Of simulated recordings and altered copies, whose patients and originals are known, a list has ids only: it would be
several times as long, and nobody has their signals from elsewhere.

Lists of earlier releases hold hashes of files only. No mark names a patient, but a hash of a short id can be found by
hashing all ids, and a fingerprint recognises its recording: treat the list as you treat the data.

What a list must hold is recorded where it cannot be forgotten: its length and hash are in the ``cardiolect.json`` of a
checkpoint and the ``config.json`` of an ECG tokenizer. A list that is missing, cut or changed is therefore noticed.
"""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cardiolect.data_provider.audit.fingerprint import Fingerprint, fingerprint, sample_hash
from cardiolect.data_provider.audit.matching import seen_among
from cardiolect.data_provider.corpora.databases import is_made
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.data_provider.record import ECGRecord
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main
from cardiolect.utils.launchers import cores
from cardiolect.utils.parallel import ordered_map
from cardiolect.utils.progress import progress

SEEN = "seen_recordings.json"
NEXT = "seen_recordings.next.json"  # of a run that has not replaced the weights in its folder yet
RECORDED_IN = ("cardiolect.json", "config.json")  # of a checkpoint; of an ECG tokenizer
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
        found = json.loads(path.read_text())
        if not isinstance(found, list) or not all(isinstance(mark, str) for mark in found):
            raise ValueError("not a list of marks")
        return set(found)
    except ValueError:  # UnicodeDecodeError and JSONDecodeError, too
        raise UserError(f"{path}: is damaged; take it from the checkpoint again") from None


class SeenList(NamedTuple):
    """The list of a folder, compared with what is recorded about it.

    unknown: why it is not known what was seen; "" if the list is as it was written, or of a release that recorded
    nothing. record: what training recorded about it; {} if nothing.
    """

    marks: set[str]
    unknown: str
    record: dict[str, Any]


def read_seen(folder: Path) -> SeenList:
    """The list of a checkpoint or an ECG tokenizer; that of an ECG tokenizer in a checkpoint is the checkpoint's."""
    folder = _owner(folder)
    record = _record_in(folder)
    if not (folder / SEEN).is_file():
        return SeenList(set(), f"its {SEEN} is missing", record)
    try:
        marks = load_seen(folder)
    except UserError:
        return SeenList(set(), f"its {SEEN} is damaged", record)
    if record and (record.get("count"), record.get("sha256")) != (len(marks), _digest(marks)):
        unknown = f"its {SEEN} is not the one that training wrote ({len(marks)} entries, not {record.get('count')})"
        return SeenList(marks, unknown, record)
    return SeenList(marks, record.get("unknown", ""), record)


def _owner(folder: Path) -> Path:
    """The folder whose list is that of ``folder``: for an ECG tokenizer in a checkpoint, the checkpoint."""
    above = folder.resolve().parent
    inside = folder.resolve().name == "ecg_tokenizer" and not (folder / SEEN).exists()
    return above if inside and any((above / name).is_file() for name in (SEEN, RECORDED_IN[0])) else folder


class Earlier(NamedTuple):
    """What earlier stages have seen. record: for `save_seen`'s, if that is not known for sure."""

    marks: set[str]
    record: dict[str, str]


def seen_before(folders: Mapping[str, Path], accept_unknown: bool) -> Earlier:
    """The lists of the folders that a stage starts from, by what they are; says which of them cannot be relied upon.

    Raises `UserError` if it is unknown what an earlier stage has seen, unless ``accept_unknown``: no evaluation of the
    new checkpoint would count. A folder of a release that recorded nothing does not end the run.
    """
    marks: set[str] = set()
    record: dict[str, list[str]] = {"unknown": [], "unrecorded": []}
    unknown = []
    for what, folder in folders.items():
        found = read_seen(folder)
        marks |= found.marks
        owner = _owner(folder)
        has_list = (owner / RECORDED_IN[0]).is_file() or (owner / SEEN).is_file()
        is_unknown = bool(found.unknown) and bool(found.record or has_list)
        if is_unknown:
            record["unknown"].append(f"{what} that training started from: {found.unknown}")
            unknown.append(f"{folder}: {found.unknown}")
        elif unrecorded := found.record.get("unrecorded") if found.record else what:
            record["unrecorded"].append(unrecorded)
        if found.unknown and (accept_unknown or not is_unknown) and is_main():
            print(f"{folder}: {found.unknown}, so an evaluation cannot know all patients that training has seen")
    if unknown and not accept_unknown:
        raise UserError(
            f"which patients an earlier stage has seen is not known: {'; '.join(unknown)}; copy the whole folder "
            "again, or set ACCEPT_UNKNOWN_LEAKAGE=true to train a checkpoint whose evaluations say so"
        )
    return Earlier(marks, {key: ", ".join(values) for key, values in record.items() if values})


def _record_in(folder: Path) -> dict[str, Any]:
    """What `save_seen` returned, as the folder's JSON file has it; {} if it has none."""
    for path in (folder / name for name in RECORDED_IN):
        if path.is_file():
            try:
                record = json.loads(path.read_text()).get("seen")
            except (ValueError, AttributeError):
                raise UserError(f"{path}: not a JSON object; is the folder complete?") from None
            return record if isinstance(record, dict) else {}
    return {}


def record_seen(folder: Path, record: Mapping[str, Any]) -> None:
    """Add what `save_seen` returned to the ``config.json`` of an ECG tokenizer, once its weights are written."""
    take_over_seen(folder)
    path = folder / RECORDED_IN[1]
    path.write_text(json.dumps({**json.loads(path.read_text()), "seen": dict(record)}, indent=2) + "\n")


def _digest(marks: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(marks)).encode()).hexdigest()


def save_seen(folder: Path, refs: Iterable[RecordRef], before: Iterable[str] = ()) -> dict[str, Any]:
    """Store the marks of ``refs`` together with ``before``, those of the recordings seen by earlier stages.

    Returns the record of the list: ``count`` and ``sha256``. Signals are read unless an earlier stage has. If a run
    before this one has left weights with another list in the folder, that list stays until `take_over_seen`.
    """
    marks, refs = set(before), list({ref.record_id: ref for ref in refs}.values())
    by_id = {ref for ref in refs if ref.database and is_made(ref.path.absolute())}
    new = [ref for ref in refs if ref not in by_id and (not ref.database or _record_mark(ref) not in marks)]
    for ref in refs:
        marks |= id_marks(ref) if ref in by_id else marks_of(ref)
    marks |= signal_marks(new, "fingerprints of seen recordings")
    text, path = json.dumps(sorted(marks)) + "\n", folder / SEEN
    (folder / NEXT).unlink(missing_ok=True)
    if any((folder / name).is_file() for name in RECORDED_IN) and path.is_file() and path.read_bytes() != text.encode():
        path = folder / NEXT
    path.write_text(text)
    return {"count": len(marks), "sha256": _digest(marks)}


def take_over_seen(folder: Path) -> None:
    """Let the list of `save_seen` replace that of the earlier weights, whose place the new ones take now."""
    if (folder / NEXT).is_file():
        (folder / NEXT).replace(folder / SEEN)


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
    hits = {i for i, r in candidates.items() if not seen.isdisjoint(marks_of(r))}
    seen_patients = {candidates[i].patient_id for i in hits} - {None}
    rest = {i: r for i, r in candidates.items() if i not in hits and r.patient_id not in seen_patients}
    hits |= _seen_signals(rest, seen)
    seen_patients |= {candidates[i].patient_id for i in hits} - {None}
    return {r.record_id for r in refs if r.record_id in hits or r.patient_id in seen_patients}


def _seen_signals(refs: dict[str, RecordRef], seen: set[str]) -> set[str]:
    """The ids of those whose signals are among the seen ones."""
    known = fingerprints_in(seen)
    if not known and not any(mark.startswith("samples:") for mark in seen):
        return set()
    found = dict(zip(refs, _read_all(list(refs.values()), "fingerprints to compare with seen ones"), strict=True))
    hits = {i for i, (samples, _) in found.items() if f"samples:{samples}" in seen}
    asked = {i: one for i, (_, one) in found.items() if one is not None and i not in hits}
    return hits | {i for i, again in zip(asked, seen_among(list(asked.values()), known), strict=True) if again}


def fingerprints_in(marks: Iterable[str], name: str = SEEN) -> list[Fingerprint]:
    """The fingerprints among marks. Raises `UserError` with the name of their file if one of them is damaged."""
    texts = sorted(mark.removeprefix("signal:") for mark in marks if mark.startswith("signal:"))
    try:
        return [Fingerprint.from_text(text) for text in texts]
    except ValueError:
        raise UserError(f"{name}: a fingerprint is damaged; take the file from the checkpoint again") from None


def signal_marks(refs: Sequence[RecordRef], what: str) -> set[str]:
    """The marks of signals, which are read; none of recordings that cannot be. what: for the progress bar."""
    found = _read_all(refs, what)
    samples = {f"samples:{samples}" for samples, _ in found if samples}
    return samples | {f"signal:{one.to_text()}" for _, one in found if one is not None}


def has_seen_signal(record: ECGRecord, marks: Container[str], known: Sequence[Fingerprint]) -> bool:
    """Whether a recording, or a part of one, is among those of ``marks`` by its signal. known: `fingerprints_in` them.

    `NOT_SEEN` says which copies are not; nor is one of less than 4.5 s, unless all its samples are the same, or what
    follows the first minute of a recording.
    """
    if f"samples:{sample_hash(record)}" in marks:
        return True
    one = fingerprint(record)
    return one is not None and bool(seen_among([one], known)[0])


def marks_of(ref: RecordRef) -> set[str]:
    """All marks that need no signal."""
    return id_marks(ref) | ({found} if (found := content_hash(ref.path)) else set())


def id_marks(ref: RecordRef) -> set[str]:
    """The marks that need no file: of the record and of its patient, if it is known whose database they are in."""
    if not ref.database:
        return set()
    patient = ref.own_patient_id
    return {_record_mark(ref)} | ({f"patient:{_hash(ref.database, patient)}"} if patient is not None else set())


def _record_mark(ref: RecordRef) -> str:
    return f"record:{_hash(ref.database, ref.own_record_id)}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _read_all(refs: Sequence[RecordRef], what: str) -> list[tuple[str, Fingerprint | None]]:
    workers = min(_MOST_WORKERS, cores())
    bar = progress(
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

"""Recordings that no stage of an experiment may train on (HELD_OUT), and the removal of all their patients.

The official splits of questions and of reports, and the folds of a corpus, do not agree. If one stage follows another
split than the next, the tests of the last one are about patients that an earlier one has seen.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cardiolect.data_provider.corpora.databases import is_manifest
from cardiolect.data_provider.corpora.manifest_texts import ecg_ids
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import load_records
from cardiolect.data_provider.storage.example_table import Examples
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.utils.errors import UserError


class People:
    """Recordings and whose they are: other recordings of the same patients are in it, too."""

    def __init__(self, refs: Iterable[RecordRef]):
        self.refs = list(refs)
        self._records = {(ref.database, ref.own_record_id) for ref in self.refs}
        self._patients = {(ref.database, ref.own_patient_id) for ref in self.refs if ref.patient_id is not None}

    def __contains__(self, ref: RecordRef) -> bool:
        return (ref.database, ref.own_record_id) in self._records or (
            (ref.database, ref.own_patient_id) in self._patients
        )

    def __len__(self) -> int:
        return len(self._records)


def without(
    people: People, records: Sequence[RecordRef], examples: Examples
) -> tuple[list[RecordRef], Examples, dict[str, int]]:
    """Recordings and examples without those of ``people``, and how many recordings, patients and texts that took away.

    A comparison goes with either of its recordings. Examples about recordings outside ``records`` do not count.
    """
    kept = [ref for ref in records if ref not in people]
    gone = [ref for ref in records if ref in people]
    others = examples.select(~examples.about(people.__contains__, every=False))
    before = {ref.record_id for ref in records}
    texts = [int(some.within(before).sum()) for some in (examples, others)]
    patients = {ref.patient_id or f"record {ref.record_id}" for ref in gone}
    return kept, others, {"records": len(gone), "patients": len(patients), "texts": texts[0] - texts[1]}


def find_held_out(
    paths: Sequence[Path], corpora: Sequence[tuple[Path, dict[str, RecordRef] | None]], allow_missing: bool
) -> People:
    """The recordings that ``paths`` (HELD_OUT) name, in any of the corpora.

    corpora: the folder of the recordings of each, and its references by id, None if the corpus has no list of them.
    Raises `UserError` if one of the paths names no recording of the corpora, unless ``allow_missing``.
    """
    found: list[RecordRef] = []
    own = [People(database.values()) for _, database in corpora if database is not None]
    for path in paths:
        refs = [ref for root, database in corpora for ref in _named(path, root, database)]
        if own and not allow_missing and not any(ref in people for ref in refs for people in own):
            raise UserError(f"HELD_OUT: {path} names no recording of DATA_ROOT; is it about another corpus?")
        found += refs
    return People(found)


def _named(path: Path, root: Path, database: dict[str, RecordRef] | None) -> list[RecordRef]:
    """The recordings that ``path`` names, whether or not their files exist."""
    if is_manifest(path):
        return [ref for ref, split in load_records(path).values() if split == "test"]
    if path.suffix == ".tsv":
        if database is None:
            raise UserError(
                f"HELD_OUT: {path} holds ids, and this DATA_ROOT does not say whose recordings they are; give the JSON "
                "files with the questions, or prepare the corpus (cardiolect prepare)"
            )
        return [database[ecg_id] for ecg_id in ecg_ids(path) if ecg_id in database]
    try:
        examples = load_examples([path], root, database, allow_missing=True, on_disk=False).examples
    except UserError as error:
        raise UserError(f"HELD_OUT: {error}") from None
    return list({ref.record_id: ref for example in examples for ref in example.records}.values())

"""The recordings that chains are about."""

from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.splits import find_database
from cardiolect.data_provider.texts.reasoning.form import Chain
from cardiolect.data_provider.texts.record_finder import RecordFinder
from cardiolect.utils.errors import UserError


def find_recordings(
    chains: Sequence[Chain], roots: Sequence[Path], allow_missing: bool, on_disk: bool = True
) -> tuple[dict[str, RecordRef], int]:
    """ecg_id -> reference, and the number of chains whose recording is missing.

    roots: PTB-XL's folder, that of a simulated corpus, or a manifest; or several folders that hold different recordings
    of one database. on_disk: a recording without a file is missing. Raises `UserError` if a root has no list of
    recordings, if two roots have the same recording, or unless ``allow_missing`` if a recording is missing.
    """
    ids, found = dict.fromkeys(chain.ecg_id for chain in chains), {}
    for root in roots:
        database = find_database(root)
        if database is None:
            raise UserError(f"DATA_ROOT: {root} has no list of recordings (ptbxl_database.csv or a manifest)")
        finder = RecordFinder(root, database, on_disk)
        for ecg_id in ids:
            if (ref := finder.find(ecg_id, None, "", None)) is None:
                continue
            if ecg_id in found:
                raise UserError(f"DATA_ROOT: recording {ecg_id} is in {root} and in another folder; give one of them")
            found[ecg_id] = ref
    missing = [chain for chain in chains if chain.ecg_id not in found]
    if missing and not allow_missing:
        raise UserError(
            f"chain {missing[0].chain_id}: recording {missing[0].ecg_id} is not in {', '.join(map(str, roots))}, nor "
            f"are those of {len(missing) - 1} other chains; ALLOW_MISSING=true leaves them out"
        )
    return found, len(missing)


def patient_of(ref: RecordRef) -> str:
    """The patient; a recording of an unknown one counts as a patient of its own."""
    return ref.patient_id or f"record {ref.record_id}"

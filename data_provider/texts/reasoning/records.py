"""The recordings that chains are about."""

from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.splits import find_database
from cardiolect.data_provider.texts.reasoning.form import Chain
from cardiolect.data_provider.texts.record_finder import RecordFinder
from cardiolect.utils.errors import UserError


def find_recordings(
    chains: Sequence[Chain], root: Path, allow_missing: bool, on_disk: bool = True
) -> tuple[dict[str, RecordRef], int]:
    """ecg_id -> reference, and the number of chains whose recording is missing.

    root: PTB-XL's folder, that of a simulated corpus, or a manifest. on_disk: a recording without a file is missing.
    Raises `UserError` if ``root`` has no list of recordings, or unless ``allow_missing`` if a recording is missing.
    """
    database = find_database(root)
    if database is None:
        raise UserError(f"DATA_ROOT: {root} has no list of recordings (ptbxl_database.csv or a manifest)")
    finder = RecordFinder(root, database, on_disk)
    found = {ecg_id: finder.find(ecg_id, None, "", None) for ecg_id in dict.fromkeys(chain.ecg_id for chain in chains)}
    missing = [chain for chain in chains if found[chain.ecg_id] is None]
    if missing and not allow_missing:
        raise UserError(
            f"chain {missing[0].chain_id}: recording {missing[0].ecg_id} is not in {root}, nor are those of "
            f"{len(missing) - 1} other chains; ALLOW_MISSING=true leaves them out"
        )
    return {ecg_id: ref for ecg_id, ref in found.items() if ref is not None}, len(missing)


def patient_of(ref: RecordRef) -> str:
    """The patient; a recording of an unknown one counts as a patient of its own."""
    return ref.patient_id or f"record {ref.record_id}"

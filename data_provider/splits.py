"""Splits that share no patient: choosing by fold, and the check that must pass before training or scoring."""

import os
from collections.abc import Iterable
from itertools import combinations

from data_provider.examples import RecordRef
from utils.errors import UserError


def patients_in_common(a: Iterable[RecordRef], b: Iterable[RecordRef]) -> set[str]:
    """Patients with recordings in both; a shared recording of an unknown patient appears as "record <id>"."""
    return set(_shared(list(a), list(b)))


def check_no_leakage(splits: dict[str, list[RecordRef]]) -> None:
    """Raise `UserError` if a patient stands in two of the named splits; names a record, never a patient."""
    for (name_a, a), (name_b, b) in combinations(splits.items(), 2):
        shared = _shared(a, b)
        if shared:
            plural = "patient stands" if len(shared) == 1 else "patients stand"
            raise UserError(
                f"{len(shared)} {plural} in both {name_a} and {name_b}, for example with record "
                f"{min(shared.values())} of {name_b}; split by patient"
            )


def select_folds(refs: Iterable[RecordRef], folds: frozenset[int]) -> list[RecordRef]:
    """The recordings whose fold is in ``folds``; raises `UserError` where there are none."""
    refs = list(refs)
    chosen = [ref for ref in refs if ref.fold in folds]
    if not chosen:
        raise UserError(f"none of {len(refs)} recordings is in folds {', '.join(map(str, sorted(folds)))}")
    return chosen


def _shared(a: list[RecordRef], b: list[RecordRef]) -> dict[str, str]:
    """Shared patient (or "record <id>") -> id of a record of ``b``."""
    patients = {ref.patient_id for ref in a} - {None}
    records = {ref.record_id: ref for ref in a}
    paths = {os.path.abspath(ref.path) for ref in a}
    shared: dict[str, str] = {}
    for ref in b:
        if ref.patient_id in patients:
            shared[ref.patient_id] = ref.record_id
        # The same recording may come from a file that knows the patient and from one that does not, and in a mixture
        # under two names.
        elif os.path.abspath(ref.path) in paths or (
            ref.record_id in records and None in (ref.patient_id, records[ref.record_id].patient_id)
        ):
            shared[f"record {ref.record_id}"] = ref.record_id
    return shared

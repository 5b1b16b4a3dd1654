"""The ECGs in the prompts under each condition: the sample's own, none, another patient's, or an altered one."""

import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.storage.item_cache import ENCODE_BATCH
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.ecg_tokenizer.measured.representation import CODES, MEASURED
from cardiolect.model.evaluation.conditions import (
    CODES_ONLY,
    CONDITIONS,
    MEASURED_ONLY,
    NEIGHBOUR_CONDITIONS,
    NEIGHBOURS_ONLY,
    NO_ECG,
    NO_NEIGHBOURS,
    NO_RANGES,
    NOISE,
    NOISE_MV,
    OTHER_ECG,
    RANGES_ONLY,
    REVERSED,
    SILENCED,
    WITH_ECG,
)
from cardiolect.model.evaluation.settings import CheckpointSettings
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError

Inputs = Callable[[Sequence[RecordRef]], list[PreparedECG | None]]
ALTERED: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {  # signal (12, T) in mV
    SILENCED: lambda signal, rng: np.zeros_like(signal),
    NOISE: lambda signal, rng: rng.normal(0, NOISE_MV, signal.shape).astype(np.float32),
    REVERSED: lambda signal, rng: signal[::-1],
}
PARTS = {CODES_ONLY: CODES, MEASURED_ONLY: MEASURED}


def inputs_under(
    condition: str,
    asked: Sequence[tuple[RecordRef, ...]],
    own: Iterable[tuple[RecordRef, ...]],
    ecgs: CachedECGs,
    settings: CheckpointSettings,
) -> Inputs | None:
    """A function from the recordings of a question to the ECGs in its prompt; None if the condition cannot be met.

    asked: the recordings of every question on all ranks. own: those of this rank. The keys of the ECGs identify the
    recording and its alteration. Altered ECGs and parts keep the similar recordings that the whole ECG has found.
    Floors have none, since they would tell what is in the ECG; that of another patient has its own.
    Raises `UserError` if a recording to alter cannot be read, or if ECGs have no such part.
    """
    if condition == NO_ECG:
        return lambda refs: [None] * len(refs)
    if condition == OTHER_ECG:
        others = another_patient(asked, settings.seed)
        if any(_ids(refs) not in others for refs in asked):
            return None
        return lambda refs: list(map(ecgs.ecg, others[_ids(refs)]))
    if condition in ALTERED:
        refs = list({ref.record_id: ref for refs in own for ref in refs}.values())
        altered = _altered(refs, condition, ecgs, settings)
        return lambda refs: [altered[ref.record_id] for ref in refs]
    if condition in PARTS:
        return lambda refs: [_part(ecgs, ref, condition) for ref in refs]
    if condition in (RANGES_ONLY, NO_RANGES):
        return lambda refs: [_in_ranges(ecgs, ref, condition) for ref in refs]
    if condition in NEIGHBOUR_CONDITIONS:
        if not ecgs.neighbours:
            raise UserError(f"FLOORS={condition}: the checkpoint has no index of similar recordings (RETRIEVE)")
        return lambda refs: [_with_neighbours(ecgs, ref, condition) for ref in refs]
    if condition != WITH_ECG:
        raise ValueError(condition)
    return lambda refs: list(map(ecgs.ecg, refs))


def _part(ecgs: CachedECGs, ref: RecordRef, condition: str) -> PreparedECG:
    """One part of a recording's tokens."""
    parts = ecgs.representation.parts(ecgs.item(ref))
    if PARTS[condition] not in parts:
        raise UserError(
            f"FLOORS={condition}: the checkpoint's ECGs are {ecgs.representation.name}, which have no parts"
        )
    prepared = ecgs.representation.prepared((ref.record_id, condition), parts[PARTS[condition]])
    return prepared._replace(neighbours=ecgs.neighbours.get(ref.record_id, ()))


def _in_ranges(ecgs: CachedECGs, ref: RecordRef, condition: str) -> PreparedECG:
    """A recording whose codes are only in the prompt's ranges of times, or everywhere else."""
    if ecgs.representation.time_bins is None:
        raise UserError(f"FLOORS={condition}: questions hold no codes of ECGs that are {ecgs.representation.name}")
    ecg = ecgs.ecg(ref)
    before, inside = ((), ecg.token_ids) if condition == RANGES_ONLY else (ecg.token_ids, ())
    return PreparedECG((ecg.key, condition), before, ecg.item, inside, ecg.neighbours)


def _with_neighbours(ecgs: CachedECGs, ref: RecordRef, condition: str) -> PreparedECG:
    """A recording without similar ones, with random ones, or these without the recording itself."""
    ecg = ecgs.ecg(ref)
    if condition == NEIGHBOURS_ONLY:
        return PreparedECG((ecg.key, condition), (), ecg.item, None, ecg.neighbours)
    others = () if condition == NO_NEIGHBOURS else ecgs.random_neighbours.get(ref.record_id, ())
    return ecg._replace(neighbours=others)


def _altered(
    refs: Sequence[RecordRef], condition: str, ecgs: CachedECGs, settings: CheckpointSettings
) -> dict[str, PreparedECG]:
    """Record id -> the ECG after `ALTERED` has changed its signal."""
    representation, rate = ecgs.representation, ecgs.representation.sampling_rate
    representation.to(choose_device(settings.device))
    found: dict[str, PreparedECG] = {}
    what, check_leads = f"encoding {condition}", settings.lead_law == "error"
    signals = stream_signals(
        refs, rate, settings.workers, what, max_bad=0, check_leads=check_leads, seconds=ecgs.seconds
    )
    while batch := list(islice(signals, ENCODE_BATCH)):
        changed = [
            np.ascontiguousarray(ALTERED[condition](each.signal, _generator(settings.seed, each.ref))) for each in batch
        ]
        for each, item in zip(batch, representation.prepare(changed, rate), strict=True):
            prepared = representation.prepared((each.ref.record_id, condition), item)
            similar = () if CONDITIONS[condition].floor else ecgs.neighbours.get(each.ref.record_id, ())
            found[each.ref.record_id] = prepared._replace(neighbours=similar)
    representation.to("cpu")
    if missing := [ref.record_id for ref in refs if ref.record_id not in found]:
        raise UserError(f"record {missing[0]}: can no longer be read; its codes are cached, but its signal is not")
    return found


def _generator(seed: int, ref: RecordRef) -> np.random.Generator:
    """Random numbers of a recording, whichever rank and batch it is in."""
    return np.random.default_rng([seed, *hashlib.sha256(ref.record_id.encode()).digest()])


def _ids(refs: Sequence[RecordRef]) -> tuple[str, ...]:
    return tuple(ref.record_id for ref in refs)


def another_patient(asked: Iterable[tuple[RecordRef, ...]], seed: int) -> dict[tuple[str, ...], tuple[RecordRef, ...]]:
    """Ids of the recordings of a question -> as many recordings of other patients, spread evenly.

    A comparison gets the recordings of another comparison with as many patients, so that the two are related in the
    same way; if there is none, any recordings of other patients. Without such recordings there is no entry.
    """
    together = {tuple(ref.record_id for ref in refs): refs for refs in asked}
    patients_of = {ids: [ref.patient_id or ref.record_id for ref in refs] for ids, refs in together.items()}
    pool = sorted(together, key=lambda ids: (patients_of[ids], ids))
    random.Random(seed).shuffle(pool)
    single = {ref.record_id: ref for refs in together.values() for ref in refs}
    partner = {}
    for i, ids in enumerate(pool):
        patients = set(patients_of[ids])
        for step in range(1, len(pool)):
            other = pool[(i + step) % len(pool)]
            alike = len(other) == len(ids) and len(set(patients_of[other])) == len(patients)
            if alike and patients.isdisjoint(patients_of[other]):
                partner[ids] = together[other]
                break
        else:
            strangers = {}  # patient -> recording
            for ref in single.values():
                strangers.setdefault(ref.patient_id or ref.record_id, ref)
            found = [ref for patient, ref in strangers.items() if patient not in patients][: len(ids)]
            if len(found) == len(ids):
                partner[ids] = tuple(found)
    return partner

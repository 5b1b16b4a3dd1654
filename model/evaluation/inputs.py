"""What stands in the prompt in place of an ECG: its codes, and what is shown instead as a floor."""

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np
import torch

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.storage.item_cache import ENCODE_BATCH, CodeCache
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.model.evaluation.conditions import NO_ECG, OTHER_ECG, REVERSED, SILENCED, WITH_ECG
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.utils.errors import UserError

Shown = Callable[[Sequence[RecordRef]], list[np.ndarray | None]]
ALTERED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    SILENCED: np.zeros_like,
    REVERSED: lambda signal: signal[::-1],
}


def shown_under(
    condition: str,
    asked: Sequence[tuple[RecordRef, ...]],
    mine: Iterable[tuple[RecordRef, ...]],
    ecg_tokenizer: ECGTokenizer,
    cache: CodeCache,
    settings: EvalSettings,
) -> Shown | None:
    """A function from the recordings of a question to their codes under ``condition``; None where it cannot be had.

    asked: recordings asked about together, of all questions, on all ranks; mine: those of this rank.
    """
    if condition == NO_ECG:
        return lambda refs: [None] * len(refs)
    if condition == OTHER_ECG:
        others = another_patient(asked, settings.seed)
        if any(_ids(refs) not in others for refs in asked):
            return None
        return lambda refs: [cache.codes(ref) for ref in others[_ids(refs)]]
    if condition in ALTERED:
        refs = list({ref.record_id: ref for refs in mine for ref in refs}.values())
        altered = _altered_codes(refs, ALTERED[condition], condition, ecg_tokenizer, settings)
        return lambda refs: [altered[ref.record_id] for ref in refs]
    if condition != WITH_ECG:
        raise ValueError(condition)
    return lambda refs: [cache.codes(ref) for ref in refs]


def _altered_codes(
    refs: Sequence[RecordRef],
    alter: Callable[[np.ndarray], np.ndarray],
    what: str,
    ecg_tokenizer: ECGTokenizer,
    settings: EvalSettings,
) -> dict[str, np.ndarray]:
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    ecg_tokenizer.to("cuda" if on_gpu else "cpu")
    codes: dict[str, np.ndarray] = {}
    signals = stream_signals(refs, ecg_tokenizer.config.sampling_rate, settings.workers, f"encoding {what}", max_bad=0)
    while batch := list(islice(signals, ENCODE_BATCH)):
        found = ecg_tokenizer.encode_batch([np.ascontiguousarray(alter(signal)) for _, signal, _ in batch])
        codes |= {ref.record_id: each for (ref, _, _), each in zip(batch, found, strict=True)}
    ecg_tokenizer.to("cpu")
    if missing := [ref.record_id for ref in refs if ref.record_id not in codes]:
        raise UserError(f"record {missing[0]}: cannot be read any more; its codes are cached, its signal is not")
    return codes


def _ids(refs: Sequence[RecordRef]) -> tuple[str, ...]:
    return tuple(ref.record_id for ref in refs)


def another_patient(asked: Iterable[tuple[RecordRef, ...]], seed: int) -> dict[tuple[str, ...], tuple[RecordRef, ...]]:
    """Ids of the recordings that are asked about together -> as many recordings of other patients.

    Spread evenly. A comparison gets another one's recordings, of as many patients, so that what the two have to do with
    each other stays alike; any of other patients where there is none. What has no such partner has no entry.
    """
    together = {tuple(ref.record_id for ref in refs): refs for refs in asked}
    whose = {ids: [ref.patient_id or ref.record_id for ref in refs] for ids, refs in together.items()}
    pool = sorted(together, key=lambda ids: (whose[ids], ids))
    random.Random(seed).shuffle(pool)
    single = {ref.record_id: ref for refs in together.values() for ref in refs}
    partner = {}
    for i, ids in enumerate(pool):
        patients = set(whose[ids])
        for step in range(1, len(pool)):
            other = pool[(i + step) % len(pool)]
            alike = len(other) == len(ids) and len(set(whose[other])) == len(patients)
            if alike and patients.isdisjoint(whose[other]):
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

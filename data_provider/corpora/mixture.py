"""Mixes several corpora: unique ids, and how often each corpus is used."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import load_corpus
from cardiolect.utils.errors import UserError

Row = TypeVar("Row")


def corpus_names(roots: Sequence[Path]) -> list[str]:
    """The name of the corpus in each manifest. Raises `UserError` if two are the same."""
    names = [load_corpus(root).name for root in roots]
    for name, times in Counter(names).items():
        if times > 1:
            raise UserError(f"DATA_ROOT: {times} of the corpora are named {name}; list each corpus once")
    return names


def rename(ref: RecordRef, corpus: str) -> RecordRef:
    """The reference with ids that are unique across corpora: patients by database, which two corpora may share."""
    patient = None if ref.patient_id is None else f"{ref.database or corpus}/{ref.patient_id}"
    return replace(ref, record_id=f"{corpus}/{ref.record_id}", patient_id=patient, corpus=corpus)


def take(rows: Sequence[Row], weight: float, rng: Random) -> list[Row]:
    """``rows`` repeated ``weight`` times; a fraction takes that share of them, drawn anew at every call."""
    whole, part = divmod(weight, 1)
    return [*rows] * int(whole) + rng.sample(list(rows), round(part * len(rows)))


def probabilities(record_ids: Iterable[str], weights: dict[str, float]) -> np.ndarray | None:
    """The probability of each recording of a mixture by the weight of its corpus; None if all are equal."""
    weight = np.array([weights.get(record_id.partition("/")[0], 1.0) for record_id in record_ids])
    return None if len(set(weight)) < 2 else weight / weight.sum()

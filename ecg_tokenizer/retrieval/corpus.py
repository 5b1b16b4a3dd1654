"""Indexes the training recordings of a corpus, and finds similar ones for all of its recordings."""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from cardiolect.data_provider.audit.seen import marks_of, seen_again, signal_marks
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.base import Neighbour
from cardiolect.ecg_tokenizer.cached import CachedECGs, prepare_corpus
from cardiolect.ecg_tokenizer.retrieval.features import SIGNAL_FEATURES
from cardiolect.ecg_tokenizer.retrieval.index import By, NeighbourIndex, Retrieval
from cardiolect.ecg_tokenizer.retrieval.search import Search
from cardiolect.ecg_tokenizer.retrieval.texts import neighbour_text, shortened
from cardiolect.ecg_tokenizer.retrieval.vectors import item_vectors
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

_PADDING = 0.05  # share of an ECG by which a representation may round up its length


class Made(NamedTuple):
    """A new index, the numbers of the patients in it, and figures for cardiolect.json."""

    index: NeighbourIndex
    numbers: dict[str, int]
    figures: dict[str, Any]


def vectors_of(
    by: By, refs: Sequence[RecordRef], ecgs: CachedECGs, settings: DataSettings, seconds: float
) -> np.ndarray:
    """``(refs, d)``; of recordings longer than ``seconds``, of the first so many. Features of signals are cached."""
    if by in SIGNAL_FEATURES:
        cached = prepare_corpus(SIGNAL_FEATURES[by], refs, settings, seconds)
        return np.stack([cached.item(ref) for ref in refs])
    vector = item_vectors(by, ecgs.representation)
    other = {ref: ref for ref in refs if _covers_other(ref, ecgs, seconds)}
    if other:
        cut = prepare_corpus(ecgs.representation, other, settings, seconds)
    return np.stack([vector((cut if ref in other else ecgs).item(ref)) for ref in refs])


def _covers_other(ref: RecordRef, ecgs: CachedECGs, seconds: float) -> bool:
    """Whether the item of a recording is of clearly more or less than its first ``seconds``; 0: of all of it."""
    shorter = ecgs.seconds and (not seconds or ecgs.seconds < seconds) and ecgs.remark(ref).cropped > 0
    longer = seconds and ecgs.representation.coverage(ecgs.item(ref)).seconds > (1 + _PADDING) * seconds
    return bool(shorter or longer)


def make_index(
    retrieval: Retrieval,
    words: int,
    reports: Mapping[str, str],
    records: Iterable[RecordRef],
    ecgs: CachedECGs,
    settings: DataSettings,
) -> Made:
    """Index the training recordings that have a report.

    words: of a text, at most. reports: by record id. records: of the training split. Prints what is left out or cut.
    Raises `UserError` if there is nothing to choose between: fewer than two patients, or features that do not vary.
    """
    readable = [ref for ref in {ref.record_id: ref for ref in records}.values() if ref in ecgs]
    texts = {r.record_id: neighbour_text(reports.get(r.record_id, ""), retrieval.content) for r in readable}
    refs = [ref for ref in readable if texts[ref.record_id]]
    short = [shortened(texts[ref.record_id], words) for ref in refs]
    cut = sum(text != texts[ref.record_id] for text, ref in zip(short, refs, strict=True))
    own = {patient_of(ref) for ref in refs}
    if len(own) == 1:
        raise UserError(
            f"RETRIEVE={retrieval.by}: all training recordings with a text are of one patient, whose own are not "
            "similar ones; at least two patients are needed"
        )
    theirs = [ref for ref in readable if patient_of(ref) in own]
    marks = signal_marks(theirs, "fingerprints of the indexed patients' recordings").union(*map(marks_of, theirs))
    weights = SIGNAL_FEATURES[retrieval.by].weights if retrieval.by in SIGNAL_FEATURES else None
    index, numbers = NeighbourIndex.of(
        retrieval,
        vectors_of(retrieval.by, refs, ecgs, settings, retrieval.seconds) if refs else np.empty((0, 1), np.float32),
        [patient_of(ref) for ref in refs],
        short,
        marks,
        weights,
    )
    if not index.scale.any():
        raise UserError(
            f"RETRIEVE={retrieval.by}: no feature differs between the {len(refs)} training recordings with a text; are "
            "their signals copies of one another?"
        )
    figures = {
        "recordings": len(refs),
        "patients": len(numbers),
        "without_text": len(readable) - len(refs),
        "cut_texts": cut,
        "features": index.vectors.shape[1],
    }
    if launch.is_main():
        left_out = f"; {figures['without_text']} others have no {retrieval.content}" * bool(figures["without_text"])
        long = f"; {cut} texts are cut after NEIGHBOUR_WORDS={words}" * bool(cut)
        print(
            f"similar recordings are looked for by {retrieval.by} among {len(refs)} training recordings of "
            f"{len(numbers)} patients{left_out}{long}"
        )
    return Made(index, numbers, figures)


def find_neighbours(
    index: NeighbourIndex,
    refs: Iterable[RecordRef],
    ecgs: CachedECGs,
    settings: DataSettings,
    numbers: Mapping[str, int] | None = None,
    away: Container[str] = frozenset(),
    search: Search = "numpy",
) -> None:
    """Give ``ecgs`` similar recordings for each of ``refs`` that was prepared; the ranks share the work.

    numbers: of the patients in the index, in the run that made it. Without them, it is an evaluation: recordings also
    get random ones, and the ids ``away`` get neither, since the index does not know which rows are their patients' (see
    `in_index`). Prints how many have none, or fewer than asked for.
    """
    refs = [ref for ref in {ref.record_id: ref for ref in refs}.values() if ref in ecgs]
    vectors = vectors_of(index.retrieval.by, refs, ecgs, settings, index.retrieval.seconds)
    asked = [k for k, ref in enumerate(refs) if ref.record_id not in away]
    mine = asked[launch.rank() :: launch.world_size()]
    whose = [None if numbers is None else numbers.get(patient_of(refs[k])) for k in mine]
    keys = [refs[k].record_id for k in mine]
    nearest = dict(zip(keys, index.nearest(vectors[mine], whose, search), strict=True))
    random = {}
    if numbers is None:
        random = dict(zip(keys, index.at_random(vectors[mine], keys, None, settings.seed, search), strict=True))
    parts = launch.gather((nearest, random))
    none = {ref.record_id: () for ref in refs}
    ecgs.neighbours, ecgs.random_neighbours = (
        none | {key: each for part in parts for key, each in part[k].items()} for k in (0, 1)
    )
    if launch.is_main():
        _say_what_is_lacking(index, ecgs.neighbours, len(refs) - len(asked))


def _say_what_is_lacking(index: NeighbourIndex, found: Mapping[str, Sequence[Neighbour]], away: int) -> None:
    if away:
        print(
            f"{away} of {len(found)} recordings get no similar ones: their patients are in the index, "
            "which does not say which of its recordings are theirs"
        )
    fewer = sum(len(each) < index.retrieval.neighbours for each in found.values()) - away
    if fewer:
        print(
            f"{fewer} of {len(found)} recordings get fewer than {index.retrieval.neighbours} similar ones: the index "
            f"has too few of other patients ({len(index)} in all)"
        )


def in_index(index: NeighbourIndex, refs: Iterable[RecordRef], corpus: Iterable[RecordRef]) -> set[str]:
    """Ids of the recordings that are in the index, or whose patients are: by any recording of theirs in ``corpus``.

    Recordings are known by their ids, files and signals, see `seen_again`.
    """
    return seen_again(refs, corpus, set(index.marks))


def figures_of(index: NeighbourIndex, refs: Iterable[RecordRef], ecgs: CachedECGs) -> dict[str, Any]:
    """How similar recordings are found, and what was found for ``refs``.

    without: recordings that have none, because their patients are in the index. fewer: those with less than asked for.
    fingerprint: of all that was found. distance: of the nearest, smallest, median and largest.
    """
    found = [ecgs.neighbours.get(record, ()) for record in sorted({ref.record_id for ref in refs})]
    distances = [each[0].distance for each in found if each]
    return {
        **asdict(index.retrieval),
        "indexed": len(index),
        "recordings": len(found),
        "without": sum(not each for each in found),
        "fewer": sum(0 < len(each) < index.retrieval.neighbours for each in found),
        "fingerprint": hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16],
        "distance": [min(distances), float(np.median(distances)), max(distances)] if distances else None,
    }


def patient_of(ref: RecordRef) -> str:
    """A key of the patient; a recording of an unknown patient counts as a patient of its own."""
    return ref.patient_id or f"record {ref.record_id}"

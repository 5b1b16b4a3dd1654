"""Indexes the training recordings of a corpus, and finds similar ones for all of its recordings."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from cardiolect.data_provider.audit.seen import id_marks, marks_of
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.cached import CachedECGs, prepare_corpus
from cardiolect.ecg_tokenizer.retrieval.features import SIGNAL_FEATURES
from cardiolect.ecg_tokenizer.retrieval.index import By, NeighbourIndex, Retrieval
from cardiolect.ecg_tokenizer.retrieval.search import Search
from cardiolect.ecg_tokenizer.retrieval.texts import neighbour_text, shortened
from cardiolect.ecg_tokenizer.retrieval.vectors import item_vectors
from cardiolect.utils import launch


class Made(NamedTuple):
    """A new index, the numbers of the patients in it, and figures for cardiolect.json."""

    index: NeighbourIndex
    numbers: dict[str, int]
    figures: dict[str, Any]


def vectors_of(by: By, refs: Sequence[RecordRef], ecgs: CachedECGs, settings: DataSettings) -> np.ndarray:
    """``(refs, d)``; of a recording with several windows, that of the first. Features of signals are cached."""
    if by in SIGNAL_FEATURES:
        cached = prepare_corpus(SIGNAL_FEATURES[by], refs, settings, ecgs.seconds)
        return np.stack([cached.item(ref) for ref in refs])
    vector = item_vectors(by, ecgs.representation)
    return np.stack([vector(ecgs.item(ref)) for ref in refs])


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
    """
    readable = [ref for ref in {ref.record_id: ref for ref in records}.values() if ref in ecgs]
    texts = {r.record_id: neighbour_text(reports.get(r.record_id, ""), retrieval.content) for r in readable}
    refs = [ref for ref in readable if texts[ref.record_id]]
    short = [shortened(texts[ref.record_id], words) for ref in refs]
    cut = sum(text != texts[ref.record_id] for text, ref in zip(short, refs, strict=True))
    weights = SIGNAL_FEATURES[retrieval.by].weights if retrieval.by in SIGNAL_FEATURES else None
    index, numbers = NeighbourIndex.of(
        retrieval,
        vectors_of(retrieval.by, refs, ecgs, settings) if refs else np.empty((0, 1), np.float32),
        [patient_of(ref) for ref in refs],
        short,
        [mark for ref in refs for mark in _marks(ref)],
        weights,
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
    search: Search = "numpy",
) -> None:
    """Give ``ecgs`` similar recordings for each of ``refs`` that was prepared; the ranks share the work.

    numbers: of the patients in the index, if the index was made in this run. Otherwise a recording whose patient is
    in the index, as far as marks say, gets no neighbours: the index does not know which rows are this patient's.
    """
    refs = [ref for ref in {ref.record_id: ref for ref in refs}.values() if ref in ecgs]
    vectors = vectors_of(index.retrieval.by, refs, ecgs, settings)
    known = set() if numbers is not None else _patients_in(index, refs)
    asked = [k for k, ref in enumerate(refs) if patient_of(ref) not in known]
    mine = asked[launch.rank() :: launch.world_size()]
    whose = [None if numbers is None else numbers.get(patient_of(refs[k])) for k in mine]
    keys = [refs[k].record_id for k in mine]
    nearest = dict(zip(keys, index.nearest(vectors[mine], whose, search), strict=True))
    random = dict(zip(keys, index.at_random(vectors[mine], keys, whose, settings.seed), strict=True))
    parts = launch.gather((nearest, random))
    ecgs.neighbours, ecgs.random_neighbours = (
        {key: each for part in parts for key, each in part[k].items()} for k in (0, 1)
    )
    if len(asked) < len(refs) and launch.is_main():
        print(
            f"{len(refs) - len(asked)} of {len(refs)} recordings get no similar ones: their patients are in the index, "
            "which does not say which of its recordings are theirs"
        )


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


def _patients_in(index: NeighbourIndex, refs: Iterable[RecordRef]) -> set[str]:
    return {patient_of(ref) for ref in refs if not index.marks.isdisjoint(_marks(ref))}


def _marks(ref: RecordRef) -> set[str]:
    """Of record and patient; if it is not known whose database they are in, of the file."""
    return id_marks(ref) or marks_of(ref)

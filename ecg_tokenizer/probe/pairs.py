"""Whether an encoder that was trained with reports finds an ECG's report again among those of all, and the reverse."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cardiolect.data_provider.examples import REPORT_TASK, RecordRef
from cardiolect.data_provider.splits import find_database
from cardiolect.data_provider.texts.shared_examples import examples_of_files
from cardiolect.ecg_tokenizer.encoders.objectives.alignment import AlignedEncoders
from cardiolect.ecg_tokenizer.encoders.objectives.contrast import ranks_of, retrieval
from cardiolect.ecg_tokenizer.encoders.objectives.contrastive import words
from cardiolect.ecg_tokenizer.probe.features import collect
from cardiolect.ecg_tokenizer.probe.zero_shot import embedding_of
from cardiolect.utils.errors import UserError

RESAMPLES = 1000


def reports_of(paths: Sequence[Path], data: Path, refs: Sequence[RecordRef], cache: Path) -> dict[str, str]:
    """The first report of each of ``refs`` that has one, by record id. Raises `UserError` if none has."""
    examples, _ = examples_of_files(paths, data, find_database(data), True, cache)
    examples = examples.select(examples.of_task(REPORT_TASK) & examples.within({ref.record_id for ref in refs}))
    found: dict[str, str] = {}
    for example in examples:
        found.setdefault(example.records[0].record_id, example.answers[0])
    if not found:
        raise UserError(f"--reports {', '.join(map(str, paths))}: no report about a recording of --folds")
    return found


def find_pairs(
    models: Mapping[str, AlignedEncoders],
    refs: Sequence[RecordRef],
    reports: Mapping[str, str],
    workers: int,
    seed: int,
) -> dict:
    """Recall in both directions for each encoder, with 95 % intervals of the first hit over patients.

    Reports in the same words are all right, as in training.
    """
    refs = [ref for ref in refs if ref.record_id in reports]
    used, embedded, _ = collect(refs, {name: embedding_of(model) for name, model in models.items()}, workers, "pairs")
    texts = [reports[ref.record_id] for ref in used]
    said = np.array([words(text) for text in texts])
    same = said[:, None] == said[None]
    _, whose = np.unique([ref.patient_id or ref.record_id for ref in used], return_inverse=True)
    found: dict = {"pairs": len(used), "distinct_reports": len(set(said))}
    for name, model in models.items():
        similarities = embedded[name] @ model.embed_texts(texts).cpu().numpy().T
        found[name] = {
            "reports_of_ecgs": _with_interval(similarities, same, whose, seed),
            "ecgs_of_reports": _with_interval(similarities.T, same.T, whose, seed),
        }
    return found


def _with_interval(similarities: np.ndarray, same: np.ndarray, whose: np.ndarray, seed: int) -> dict:
    first, rng, people = ranks_of(similarities, same) == 1, np.random.default_rng(seed), whose.max() + 1
    drawn = [np.bincount(rng.integers(people, size=people), minlength=people)[whose] for _ in range(RESAMPLES)]
    means = [np.average(first, weights=weights) for weights in drawn]
    return retrieval(similarities, same) | {"recall_1_ci95": np.percentile(means, [2.5, 97.5]).tolist()}

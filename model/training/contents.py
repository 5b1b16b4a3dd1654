"""Hashes of what a run trains and validates with, by which RESUME knows that the data is the same."""

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.data_provider.splits import Split
from cardiolect.data_provider.storage.example_table import TEXT, Examples
from cardiolect.ecg_tokenizer.cached import CachedECGs


def short_hash(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


def contents_of_data(splits: Mapping[str, Split], refs: Iterable[RecordRef], ecgs: CachedECGs) -> dict[str, str]:
    """What a part of the data is -> its hash, in the order of the data; all that can change a training sequence.

    refs: the recordings that are trained on or validate. "data" is the hash of recordings, questions and answers that
    checkpoints hold.
    """
    parts = {
        what: hashlib.sha256()
        for what in ("recordings", "questions and answers", "tasks", "earlier questions", "patients' backgrounds")
    }
    recordings, questions, tasks, histories, backgrounds = parts.values()
    data = hashlib.sha256()
    for name, split in sorted(splits.items()):
        for part in (*parts.values(), data):
            part.update(name.encode())
        recordings.update(repr([(r.record_id, r.corpus) for r in split.records]).encode())
        data.update(repr(sorted(r.record_id for r in split.records)).encode())
        examples = Examples.of(split.examples)
        data.update(examples.fingerprint())
        task, question, answers, history = (examples.tables["texts"][column].to_pylist() for column in TEXT)
        of_group = [[ref.record_id for ref in examples.records_of(group)] for group in range(examples.num_groups)]
        questions.update(_in_order(of_group, examples.group))
        questions.update(_in_order(zip(question, answers, strict=True), examples.text))
        tasks.update(_in_order(task, examples.text))
        histories.update(_in_order(history, examples.text))
        backgrounds.update(_in_order(map(examples.backgrounds_of, range(examples.num_groups)), examples.group))
    found = {what: part.hexdigest()[:16] for what, part in parts.items()}
    return {"data": data.hexdigest()[:16], **found, "content of the ECGs": _hash_of_ecgs(refs, ecgs)}


def _in_order(values: Iterable, rows: np.ndarray) -> bytes:
    """Hash of the values of which each row has one, by number."""
    hashes = b"".join(hashlib.sha256(repr(value).encode()).digest()[:8] for value in values)
    return hashlib.sha256(np.frombuffer(hashes, np.uint64)[rows].tobytes()).digest()


def _hash_of_ecgs(refs: Iterable[RecordRef], ecgs: CachedECGs) -> str:
    """Hash of what the prompts hold of each recording.

    Codes and symbols are read, a few kilobytes for each ECG. Samples and features would be all signals again: of these,
    the headers of the recordings (WFDB, with the signals' checksums) or the starts of their files are.
    """
    digest = hashlib.sha256()
    for ref in {ref.record_id: ref for ref in refs}.values():
        digest.update(ref.record_id.encode())
        if ecgs.representation.embeds:
            digest.update(str(content_hash(ref.path)).encode())
            continue
        for window in range(ecgs.windows(ref)):
            item = ecgs.item(ref, window)
            digest.update(str(item.shape).encode())
            digest.update(item.tobytes())
    return digest.hexdigest()[:16]

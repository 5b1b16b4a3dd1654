"""Hashes of what a run trains and validates with, by which RESUME knows that the data is the same."""

import hashlib
from collections.abc import Iterable, Mapping

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.data_provider.splits import Split
from cardiolect.ecg_tokenizer.cached import CachedECGs


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def contents_of_data(splits: Mapping[str, Split], refs: Iterable[RecordRef], ecgs: CachedECGs) -> dict[str, str]:
    """What a part of the data is -> its hash, in the order of the data; all that can change a training sequence.

    refs: the recordings that are trained on or validate. "data" is the hash of recordings, questions and answers that
    checkpoints hold, which does not depend on the order.
    """
    parts = {
        what: hashlib.sha256()
        for what in ("recordings", "questions and answers", "tasks", "earlier questions", "patients' backgrounds")
    }
    recordings, texts, tasks, histories, backgrounds = parts.values()
    for name, split in sorted(splits.items()):
        recordings.update(repr((name, *((r.record_id, r.corpus) for r in split.records))).encode())
        for part in (texts, tasks, histories, backgrounds):
            part.update(name.encode())
        for example in split.examples:
            texts.update(repr((example.record_ids, example.question, example.answers)).encode())
            tasks.update(example.task.encode())
            histories.update(repr(example.history).encode())
            backgrounds.update(repr(example.backgrounds).encode())
    found = {what: part.hexdigest()[:16] for what, part in parts.items()}
    return {"data": _regardless_of_order(splits), **found, "content of the ECGs": _hash_of_ecgs(refs, ecgs)}


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


def _regardless_of_order(splits: Mapping[str, Split]) -> str:
    digest = hashlib.sha256()
    for name, split in sorted(splits.items()):
        digest.update(name.encode())
        for record in sorted(r.record_id for r in split.records):
            digest.update(record.encode())
        for example in sorted((e.sample_id, e.question, *e.answers) for e in split.examples):
            digest.update(repr(example).encode())
    return digest.hexdigest()[:16]

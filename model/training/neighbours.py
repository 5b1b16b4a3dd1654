"""Similar training recordings for a run: the index that its checkpoint keeps, and what is found for its recordings."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from cardiolect.data_provider.examples import REPORT_TASK, RecordRef
from cardiolect.data_provider.splits import Split, check_no_leakage, find_database
from cardiolect.data_provider.storage.example_table import Examples
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.ecg_tokenizer.retrieval.corpus import figures_of, find_neighbours, make_index
from cardiolect.ecg_tokenizer.retrieval.index import Retrieval
from cardiolect.ecg_tokenizer.retrieval.settings import NONE
from cardiolect.model.inference.recordings import SECONDS
from cardiolect.model.llm.checkpoint import Checkpoint
from cardiolect.model.training.contents import short_hash
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError


def add_neighbours(
    checkpoint: Checkpoint, splits: Mapping[str, Split], ecgs: CachedECGs, settings: FinetuneSettings
) -> None:
    """Give the checkpoint an index of the training split, and the recordings of both splits their neighbours.

    Says so if the checkpoint that training starts from was fine-tuned with other neighbours. Raises `UserError` if no
    training recording has a report, or if only one patient has.
    """
    earlier = checkpoint.info.pop("retrieval", None)
    checkpoint.index = None
    retrieval = None
    if settings.retrieve != NONE:
        retrieval = Retrieval(
            settings.retrieve,
            settings.neighbours,
            settings.neighbour_content,
            settings.neighbour_place,
            settings.record_seconds or SECONDS,  # as `ask` cuts what it is given
        )
    before, now = in_words(earlier and Retrieval(**earlier["how"])), in_words(retrieval)
    if checkpoint.info.get("stage") == "finetune" and before != now and launch.is_main():
        print(f"RETRIEVE: CHECKPOINT was fine-tuned with {before}, this run with {now}")
    if retrieval is None:
        return
    train, valid = splits["train"].records, splits["valid"].records
    check_no_leakage({"train": train, "valid": valid})
    made = make_index(retrieval, settings.neighbour_words, _reports(splits["train"], settings), train, ecgs, settings)
    find_neighbours(made.index, [*train, *valid], ecgs, settings, made.numbers, search=settings.neighbour_search)
    checkpoint.index = made.index
    checkpoint.info["retrieval"] = {
        "how": asdict(retrieval),
        **made.figures,
        "found": {name: _found(figures_of(made.index, splits[name].records, ecgs)) for name in ("train", "valid")},
    }


def _found(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures[name] for name in ("recordings", "without", "fewer", "distance")}


def in_words(retrieval: Retrieval | None) -> str:
    if retrieval is None:
        return "no similar recordings"
    number = retrieval.neighbours
    return f"{number} similar recording{'s' * (number > 1)} by {retrieval.by} ({retrieval.content}, {retrieval.place})"


def _reports(split: Split, settings: FinetuneSettings) -> dict[str, str]:
    """Record id -> the report on a training recording, by NEIGHBOUR_REPORTS or among the training texts."""
    if not settings.neighbour_reports:
        found = split.examples.select(split.examples.of_task(REPORT_TASK))
    elif len(settings.data_root) > 1:
        raise UserError("NEIGHBOUR_REPORTS needs a single DATA_ROOT; in a mixture, reports come with TASKTYPE=all")
    else:
        root = settings.data_root[0]
        loaded = load_examples(settings.neighbour_reports, root, find_database(root), allow_missing=True)
        found = Examples.of([e for e in loaded.examples if e.task == REPORT_TASK])
    of_split = {ref.record_id for ref in split.records}
    reports: dict[str, str] = {}
    for example in found:
        (record,) = example.record_ids
        if record in of_split:
            reports.setdefault(record, example.answers[0])
    if not reports:
        what = "no file of it has a report" if settings.neighbour_reports else "there is no report in TRAIN_DATA"
        raise UserError(
            f"NEIGHBOUR_REPORTS: {what} on a training recording, and RETRIEVE={settings.retrieve} needs some"
        )
    return reports


def fingerprint_of_neighbours(ecgs: CachedECGs, refs: Iterable[RecordRef]) -> dict[str, str]:
    """A hash of what prompts have of similar recordings, by its name in `contents.contents_of_data`; {} if nothing."""
    if not ecgs.neighbours:
        return {}
    texts = [[each.text for each in ecgs.neighbours.get(ref.record_id, ())] for ref in refs]
    return {"similar recordings": short_hash(json.dumps(texts))}

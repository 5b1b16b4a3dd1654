"""One split of a corpus, as the settings describe it: its recordings and the examples about them."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_provider.examples import Example, RecordRef
from data_provider.manifest import is_manifest, load_records, load_texts
from data_provider.ptbxl import DATABASE_NAME, load_database, parse_folds
from data_provider.questions import load_examples
from data_provider.settings import DataSettings
from data_provider.splits import check_no_leakage, select_folds
from utils.errors import UserError

SplitName = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Split:
    name: SplitName
    records: list[RecordRef]
    examples: list[Example]


def find_database(root: Path) -> dict[str, RecordRef] | None:
    """Every recording of a corpus by id: a manifest's, PTB-XL's; None where ``root`` has neither."""
    if is_manifest(root):
        return {record_id: ref for record_id, (ref, _) in load_records(root).items()}
    return load_database(root) if (root / DATABASE_NAME).is_file() else None


def load_splits(settings: DataSettings, names: tuple[SplitName, ...], task: str | None) -> dict[SplitName, Split]:
    """The named splits; ``task`` "qa" or "report" brings examples, None recordings only.

    Raises `UserError` when a split is empty or a patient stands in two of them.
    """
    if is_manifest(settings.data_root):
        splits = _splits_of_manifest(settings, names, task)
    else:
        database = find_database(settings.data_root)
        splits = {name: _load_split(settings, name, task, database) for name in names}
    check_no_leakage({name: split.records for name, split in splits.items()})
    return splits


def _splits_of_manifest(
    settings: DataSettings, names: tuple[SplitName, ...], task: str | None
) -> dict[SplitName, Split]:
    """Splits as the manifest has them, or by the folds of the settings; texts of ``*_DATA`` where these are set."""
    records = load_records(settings.data_root)
    database = {record_id: ref for record_id, (ref, _) in records.items()}
    texts = load_texts(settings.data_root, records)
    splits = {}
    for name in names:
        if getattr(settings, f"{name}_data"):
            splits[name] = _load_split(settings, name, task, database)
            continue
        folds = parse_folds(getattr(settings, f"{name}_folds"))
        chosen = [ref for ref, split in records.values() if (ref.fold in folds if folds else split == name)]
        kept = {ref.record_id for ref in chosen}
        examples = [
            example
            for example, split in texts
            if task in (None, example.task) and kept.issuperset(example.record_ids) and (folds or split == name)
        ]
        splits[name] = _limited(settings, name, chosen, examples)
    return splits


def _load_split(settings: DataSettings, name: SplitName, task: str | None, database) -> Split:
    paths = getattr(settings, f"{name}_data")
    folds = parse_folds(getattr(settings, f"{name}_folds"))
    examples: list[Example] = []
    if paths:
        loaded = load_examples(paths, settings.data_root, database, allow_missing=settings.allow_missing)
        print(loaded.summary(name))
        examples = [e for e in loaded.examples if task is None or e.task == task]
        records = list({ref.record_id: ref for e in examples for ref in e.records}.values())
    elif database is not None and task is None:
        records = list(database.values())
    else:
        key = name.upper()
        raise UserError(
            f"{key}_DATA is not set and is needed for questions and reports"
            if task
            else f"{key}_DATA is not set and {settings.data_root}/ptbxl_database.csv does not exist; set one of them"
        )
    if folds:
        records = select_folds(records, folds)
    return _limited(settings, name, records, examples)


def _limited(settings: DataSettings, name: SplitName, records: list[RecordRef], examples: list[Example]) -> Split:
    """At most MAX_* recordings, and the examples about them."""
    most = {"train": settings.max_train, "valid": settings.max_valid, "test": 0}[name]
    if most and len(records) > most:
        records = random.Random(settings.seed).sample(records, most)
    kept = {record.record_id for record in records}
    across = sum(not kept.isdisjoint(e.record_ids) and not kept.issuperset(e.record_ids) for e in examples)
    if across:
        print(f"{name}: left out {across} comparisons with a recording that is not in this split")
    examples = [e for e in examples if kept.issuperset(e.record_ids)]
    if not records:
        raise UserError(f"the {name} split is empty: check {name.upper()}_DATA and {name.upper()}_FOLDS")
    return Split(name, records, examples)

"""The splits of a corpus as the settings describe them: recordings and the examples about them."""

import os
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Literal

from cardiolect.data_provider.audit.held_out import People, find_held_out, without
from cardiolect.data_provider.audit.seen import SEEN, id_marks, load_seen
from cardiolect.data_provider.corpora.databases import COPIES, is_manifest
from cardiolect.data_provider.corpora.mixture import corpus_names, rename
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, parse_folds
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import load_corpus, load_records
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.storage.example_table import Examples
from cardiolect.data_provider.texts.shared_examples import examples_of_files, examples_of_manifest
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import is_main

SplitName = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Split:
    """removed: "held_out" and "validation" -> recordings, patients and texts that training lost for that reason."""

    name: SplitName
    records: list[RecordRef]
    examples: Examples
    removed: dict[str, dict[str, int]] = field(default_factory=dict)


def find_database(root: Path) -> dict[str, RecordRef] | None:
    """Every recording of a manifest or of PTB-XL's database, by id; None if ``root`` contains neither."""
    if is_manifest(root):
        return {record_id: ref for record_id, (ref, _) in load_records(root).items()}
    return load_database(root) if (root / DATABASE_NAME).is_file() else None


def known_recordings(roots: Sequence[Path]) -> dict[str, RecordRef]:
    """Every recording of one corpus or of a mixture, by id; empty if the corpus has no list of them."""
    if len(roots) == 1:
        return find_database(roots[0]) or {}
    refs = [
        rename(ref, name)
        for root, name in zip(roots, corpus_names(roots), strict=True)
        for ref, _ in load_records(root).values()
    ]
    return {ref.record_id: ref for ref in refs}


def load_splits(settings: DataSettings, names: tuple[SplitName, ...], task: str | None) -> dict[SplitName, Split]:
    """The named splits of all corpora together.

    task: "qa", "report" or "instruct" keeps the texts of this task, None keeps all. Raises `UserError` if a split is
    empty or a patient is in two of them.
    """
    roots = settings.data_root
    if settings.prepared:
        parts = [_splits_of_manifest(root, settings, names, task) for root in roots]
    else:
        database = find_database(roots[0])
        parts = [{name: _load_split(settings, name, task, database) for name in names}]
    if len(roots) > 1:
        parts = [
            {name: _renamed(split, corpus) for name, split in part.items()}
            for part, corpus in zip(parts, corpus_names(roots), strict=True)
        ]
    lost = _leave_out(settings, parts) if settings.held_out else {}
    limited = [{name: _limited(settings, split) for name, split in part.items()} for part in parts]
    for name in names:
        _check_not_empty(settings, name, [part[name] for part in limited])
    splits = {
        name: Split(
            name,
            [ref for part in limited for ref in part[name].records],
            Examples.joined([part[name].examples for part in limited]),
            lost.get(name, {}),
        )
        for name in names
    }
    check_no_leakage({name: split.records for name, split in splits.items()})
    return splits


def with_texts(split: Split) -> Split:
    """The split without recordings that have no text, which is said. Raises `UserError` if none has."""
    described = {ref.record_id for ref in split.examples.used_refs()}
    records = [ref for ref in split.records if ref.record_id in described]
    if not records:
        raise UserError(f"{split.name}: no recording has a report; check {split.name.upper()}_DATA")
    if (without_text := len(split.records) - len(records)) and is_main():
        print(f"{split.name}: left out {without_text} of {len(split.records)} recordings without a report")
    return replace(split, records=records)


def left_out(splits: dict[SplitName, Split]) -> dict[str, dict]:
    """``removed`` of each split for the figures of a stage; nothing without HELD_OUT."""
    found = {name: split.removed for name, split in splits.items() if split.removed}
    return {"removed_patients": found} if found else {}


def held_out(settings: DataSettings) -> People:
    """The recordings that HELD_OUT names, read once for these settings and their copies."""
    if not settings.held_out:
        return People([])
    paths, roots = settings.held_out, settings.data_root
    asked = ([*paths], [*roots], settings.allow_missing)
    if settings._held_out is None or settings._held_out[0] != asked:
        corpora = [
            (Path(load_corpus(root).source) if is_manifest(root) else root, find_database(root)) for root in roots
        ]
        settings._held_out = asked, find_held_out(paths, corpora, settings.allow_missing)
    return settings._held_out[1]


def warn_of_seen(settings: DataSettings, seen: set[str]) -> None:
    """Say so if an earlier stage has seen patients that HELD_OUT names: it was trained on another split."""
    people = held_out(settings)
    if again := sum(not seen.isdisjoint(id_marks(ref)) for ref in people.refs):
        print(
            f"HELD_OUT: an earlier stage has seen the patients of {again} of its {len(people)} recordings; an "
            "evaluation will leave them out. Train that stage with the same HELD_OUT"
        )


def _leave_out(settings: DataSettings, parts: list[dict[SplitName, Split]]) -> dict[SplitName, dict]:
    """Remove HELD_OUT's patients from training and validation, and from training those that validate.

    Changes the splits in ``parts``; returns what each lost, by the reason.
    """
    people = held_out(settings)
    whose = f"patients that HELD_OUT names ({len(people)} recordings)"
    lost: dict[SplitName, dict] = {name: {"held_out": _remove(people, parts, name, whose)} for name in parts[0]}
    if {"train", "valid"} <= lost.keys():
        validating = People(ref for part in parts for ref in part["valid"].records)
        lost["train"]["validation"] = _remove(validating, parts, "train", "patients of the validation split")
    return lost


def _remove(people: People, parts: list[dict[SplitName, Split]], name: SplitName, whose: str) -> dict[str, int]:
    """Remove ``people`` from one split of all corpora, and say so; returns the sums of what is gone."""
    gone: Counter[str] = Counter()
    before = sum(len(part[name].records) for part in parts)
    for part in parts:
        records, examples, lost = without(people, part[name].records, part[name].examples)
        part[name] = replace(part[name], records=records, examples=examples)
        gone.update(lost)
    if is_main():
        print(f"{name}: left out {gone['records']} of {before} recordings and {gone['texts']} texts of {whose}")
    return dict(gone)


def _renamed(split: Split, corpus: str) -> Split:
    """The split of a corpus in a mixture."""
    return replace(
        split,
        records=[rename(ref, corpus) for ref in split.records],
        examples=split.examples.renamed(lambda ref: rename(ref, corpus), f"{corpus}/"),
    )


def seen_in_data(settings: DataSettings) -> set[str]:
    """Hashes of recordings that the corpora were made from, such as those whose noise is in simulated recordings."""
    sources = [Path(load_corpus(root).source) for root in settings.data_root if is_manifest(root)]
    for folder in sources:
        if (folder / COPIES).is_file() and not (folder / SEEN).is_file():
            raise UserError(
                f"{folder / SEEN}: is missing; it names the originals of these copies: run cardiolect augment again"
            )
    return {seen for folder in (*settings.data_root, *sources) for seen in load_seen(folder)}


def corpus_weights(settings: DataSettings) -> dict[str, float]:
    """Corpus -> how often an epoch contains it; empty if all are contained once."""
    if not settings.corpus_weights:
        return {}
    names = corpus_names(settings.data_root) if len(settings.data_root) > 1 else [""]
    return dict(zip(names, settings.corpus_weights, strict=True))


def _splits_of_manifest(
    root: Path, settings: DataSettings, names: tuple[SplitName, ...], task: str | None
) -> dict[SplitName, Split]:
    """The splits of the manifest, or by the settings' folds; the texts of ``*_DATA`` if these are set."""
    records = load_records(root)
    database = {record_id: ref for record_id, (ref, _) in records.items()}
    texts = examples_of_manifest(root, records, settings.cache_dir)
    if task:
        texts = texts.select(texts.of_task(task))
    splits = {}
    for name in names:
        if getattr(settings, f"{name}_data"):
            splits[name] = _load_split(settings, name, task, database)
            continue
        folds = parse_folds(getattr(settings, f"{name}_folds"))
        chosen = [ref for ref, split in records.values() if (ref.fold in folds if folds else split == name)]
        kept = {ref.record_id for ref in chosen}
        examples = texts if folds else texts.select(texts.in_split(name))
        splits[name] = Split(name, chosen, examples.select(examples.within(kept)))
    return splits


def _load_split(settings: DataSettings, name: SplitName, task: str | None, database) -> Split:
    root, paths = settings.data_root[0], getattr(settings, f"{name}_data")
    folds = parse_folds(getattr(settings, f"{name}_folds"))
    examples = Examples.of([])
    if paths:
        examples, summary = examples_of_files(paths, root, database, settings.allow_missing, settings.cache_dir)
        if is_main():
            print(f"{name}{summary}")
        examples = examples if task is None else examples.select(examples.of_task(task))
        records = list({ref.record_id: ref for ref in examples.used_refs()}.values())
    elif database is not None and task is None:
        records = list(database.values())
    else:
        key = name.upper()
        raise UserError(
            f"{key}_DATA is not set; questions and reports need it"
            if task
            else f"{key}_DATA is not set and {root}/ptbxl_database.csv does not exist; set one of them"
        )
    if folds:
        records = select_folds(records, folds)
    return Split(name, records, examples)


def _draw(records: list[RecordRef], examples: Examples, most: int, rng: random.Random) -> list[RecordRef]:
    """``most`` of the recordings at random, whole comparisons first."""
    groups = map(examples.records_of, examples.used_groups().tolist())
    compared = list(dict.fromkeys(tuple(ref.record_id for ref in refs) for refs in groups if len(refs) > 1))
    kept: set[str] = set()
    for ids in rng.sample(compared, len(compared)):
        if len(kept.union(ids)) <= most:
            kept.update(ids)
    others = [record for record in records if record.record_id not in kept]
    return [r for r in records if r.record_id in kept] + rng.sample(others, most - len(kept))


def _check_not_empty(settings: DataSettings, name: SplitName, parts: list[Split]) -> None:
    """Name the corpora of a mixture that have nothing for a split. Raises `UserError` if none has."""
    if not any(part.records for part in parts):
        held = ", HELD_OUT" if settings.held_out else ""
        raise UserError(
            f"the {name} split is empty: check {name.upper()}_DATA, {name.upper()}_FOLDS{held} and TASKTYPE"
        )
    if is_main():
        for part, corpus in zip(parts, corpus_names(settings.data_root) if len(parts) > 1 else [""], strict=True):
            if not part.records:
                print(f"{name}: no recordings of {corpus}")


def _limited(settings: DataSettings, split: Split) -> Split:
    """At most MAX_* recordings and the examples about them; comparisons keep both recordings or none."""
    name, records = split.name, split.records
    kept = {record.record_id for record in records}
    inside = split.examples.within(kept)
    touched = split.examples.about(lambda ref: ref.record_id in kept, every=False)
    if (across := int((touched & ~inside).sum())) and is_main():
        print(f"{name}: left out {across} comparisons with a recording from outside this split")
    examples = split.examples.select(inside)
    most = {"train": settings.max_train, "valid": settings.max_valid, "test": 0}[name]
    if most and len(records) > most:
        records = _draw(records, examples, most, random.Random(settings.seed))
        kept = {record.record_id for record in records}
        examples = examples.select(examples.within(kept))
    return Split(name, records, examples)


def patients_in_common(a: Iterable[RecordRef], b: Iterable[RecordRef]) -> set[str]:
    """Patients with recordings in both; a shared recording of an unknown patient is listed as "record <id>"."""
    return set(_shared(list(a), list(b)))


def check_no_leakage(splits: dict[str, list[RecordRef]]) -> None:
    """Raise `UserError` if a patient is in two of the named splits; the message names a record, never a patient."""
    for (name_a, a), (name_b, b) in combinations(splits.items(), 2):
        shared = _shared(a, b)
        if shared:
            plural = "patient is" if len(shared) == 1 else "patients are"
            raise UserError(
                f"{len(shared)} {plural} in both {name_a} and {name_b}, for example with record "
                f"{min(shared.values())} in {name_b}; split by patient"
            )


def select_folds(refs: Iterable[RecordRef], folds: frozenset[int]) -> list[RecordRef]:
    """The recordings whose fold is in ``folds``. Raises `UserError` if there are none."""
    refs = list(refs)
    chosen = [ref for ref in refs if ref.fold in folds]
    if not chosen:
        raise UserError(f"none of the {len(refs)} recordings is in folds {', '.join(map(str, sorted(folds)))}")
    return chosen


def _shared(a: list[RecordRef], b: list[RecordRef]) -> dict[str, str]:
    """Shared patient (or "record <id>") -> id of a record of ``b``."""
    patients = {ref.patient_id for ref in a} - {None}
    records = {ref.record_id: ref for ref in a}
    paths = {os.path.abspath(ref.path) for ref in a}
    shared: dict[str, str] = {}
    for ref in b:
        if ref.patient_id in patients:
            shared[ref.patient_id] = ref.record_id
        # The same recording may come from a file that names the patient and one that does not, and in a mixture under
        # two ids.
        elif os.path.abspath(ref.path) in paths or (
            ref.record_id in records and None in (ref.patient_id, records[ref.record_id].patient_id)
        ):
            shared[f"record {ref.record_id}"] = ref.record_id
    return shared

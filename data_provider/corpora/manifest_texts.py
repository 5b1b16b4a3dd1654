"""Texts that others published about a corpus, put into its manifest, and labels made into questions.

A text stands in the split of its recordings, whatever the file was called that it came from.
"""

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, parse_folds
from cardiolect.data_provider.ecgqa.derived import derive
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.manifest import Text
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.utils.errors import UserError

SPLITS = ("train", "valid", "test")


def take_ecg_qa_splits(done: Prepared, folder: Path) -> None:
    """Split recordings as ECG-QA's ``train_ecgs.tsv``, ``valid_ecgs.tsv`` and ``test_ecgs.tsv`` in ``folder`` do.

    A recording that is not listed goes with its patient, and to training where none of the patient's is listed.
    """
    listed = {ecg_id: split for split in SPLITS for ecg_id in _ecg_ids(folder / f"{split}_ecgs.tsv")}
    of_patient: dict[str, str] = {}
    for record in done.records:
        split = listed.get(record.record_id)
        if split and record.patient_id and of_patient.setdefault(record.patient_id, split) != split:
            raise UserError(f"{folder}: record {record.record_id} and another of its patient stand in two splits")
    if listed.keys().isdisjoint(record.record_id for record in done.records):
        raise UserError(f"{folder}: lists no recording of this corpus; --ecg-qa-splits takes ECG-QA's folder for it")
    done.records = [
        replace(r, split=listed.get(r.record_id) or of_patient.get(r.patient_id or "", "train")) for r in done.records
    ]
    split_of = {record.record_id: record.split for record in done.records}
    done.texts = [replace(text, split=split_of[text.record_ids[0]]) for text in done.texts]


def take_folds(done: Prepared, folds: list[str]) -> None:
    """Split recordings by their fold: those that train, validate and test; a fold in none of them is left out."""
    split_of: dict[int, str] = {}
    for split, text in zip(SPLITS, folds, strict=True):
        for fold in parse_folds(text):
            if split_of.setdefault(fold, split) != split:
                raise UserError(f"--folds: fold {fold} stands in two splits")
    if any(record.fold is None for record in done.records):
        raise UserError("--folds: this corpus has no folds")
    kept = [replace(r, split=split_of[r.fold]) for r in done.records if r.fold in split_of]
    done.left_out["recordings of other folds"] += len(done.records) - len(kept)
    done.records, splits = kept, {record.record_id: record.split for record in kept}
    done.texts = [replace(t, split=splits[t.record_ids[0]]) for t in done.texts if t.record_ids[0] in splits]


def add_texts(done: Prepared, source: Path, paths: list[Path], licence: str) -> None:
    """Add what the files say about recordings of this corpus; the rest is counted."""
    refs = {
        r.record_id: RecordRef(r.record_id, source / r.path, r.patient_id, r.fold, r.background) for r in done.records
    }
    loaded = load_examples(paths, source, refs, allow_missing=True)
    told = {e.record_ids for e in loaded.examples if e.task == "report"}
    kept = [text for text in done.texts if text.task != "report" or text.record_ids not in told]
    done.left_out["own reports, replaced by those of --texts"] += len(done.texts) - len(kept)
    done.texts = kept
    # What lies below the source but is no recording of the manifest has no split.
    known = [e for e in loaded.examples if refs.keys() >= set(e.record_ids)]
    done.left_out["texts about recordings that are not there"] += (
        loaded.skipped_missing + len(loaded.examples) - len(known)
    )
    done.left_out["empty reports"] += loaded.empty_reports
    _add(done, known, licence)


def add_derived_questions(done: Prepared, source: Path, seed: int, licence: str) -> None:
    """Add questions derived from PTB-XL's labels, yes and no balanced within each split."""
    with (source / DATABASE_NAME).open(newline="", encoding="utf-8") as file:
        rows = {str(int(row["ecg_id"])): row for row in csv.DictReader(file)}
    for split in SPLITS:
        members = [record for record in done.records if record.split == split]
        for item in derive([rows[record.record_id] for record in members], seed):
            text = Text(
                f"derived/{split}:{item['sample_id']}",
                (str(item["ecg_id"][0]),),
                "qa",
                item["question"],
                tuple(item["answer"]),
                item["question_type"],
                item["attribute_type"],
                item["template_id"],
                split=split,
                provenance="derived",
                licence=licence,
                attributes=tuple(item["attribute"] or ()),
            )
            done.texts.append(text)


def _add(done: Prepared, examples: Iterable[Example], licence: str) -> None:
    split_of = {record.record_id: record.split for record in done.records}
    for e in examples:
        splits = {split_of[i] for i in e.record_ids}
        if len(splits) > 1:
            done.left_out["comparisons across splits"] += 1
            continue
        text = Text(
            e.sample_id,
            e.record_ids,
            e.task,
            e.question,
            e.answers,
            e.question_type,
            e.attribute_type,
            e.template_id,
            e.background,
            splits.pop(),
            e.provenance,
            licence,
            e.history,
            e.attributes,
        )
        done.texts.append(text)


def _ecg_ids(path: Path) -> list[str]:
    try:
        rows = [line.split("\t") for line in path.read_text().splitlines() if line.strip()]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; --ecg-qa-splits takes ECG-QA's folder of the corpus") from None
    if any(len(row) != 2 for row in rows):
        raise UserError(f"{path}: a line is not a number and an ecg id; take the file as ECG-QA ships it")
    return [ecg_id.strip() for _, ecg_id in rows]

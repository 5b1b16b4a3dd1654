"""Adds texts to a manifest: those that others published about the corpus, and questions derived from its labels.

A text is in the split of its recordings, whatever the name of its file.
"""

import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_labels, parse_folds
from cardiolect.data_provider.ecgqa.derived import derive
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.manifest import Text
from cardiolect.data_provider.texts.english_reports import ENGLISH, render
from cardiolect.data_provider.texts.numbers import NUMBER
from cardiolect.data_provider.texts.questions import Loaded, load_examples
from cardiolect.utils.errors import UserError

SPLITS = ("train", "valid", "test")
RENDERINGS = "renderings.jsonl"
SHOWN = 5  # names in a line
QUESTION_TYPES = ("single-verify", "single-choose", "single-query", NUMBER)  # which scores are made for


def take_ecg_qa_splits(done: Prepared, folder: Path) -> None:
    """Split recordings as in ECG-QA's ``train_ecgs.tsv``, ``valid_ecgs.tsv`` and ``test_ecgs.tsv`` in ``folder``.

    A recording in none of them gets the split of its patient, or "train" if the patient has none.
    """
    ecg_qa_split = {ecg_id: split for split in SPLITS for ecg_id in ecg_ids(folder / f"{split}_ecgs.tsv")}
    patient_split: dict[str, str] = {}
    for record in done.records:
        split = ecg_qa_split.get(record.record_id)
        if split and record.patient_id and patient_split.setdefault(record.patient_id, split) != split:
            raise UserError(f"{folder}: record {record.record_id} and another of its patient are in different splits")
    if ecg_qa_split.keys().isdisjoint(record.record_id for record in done.records):
        raise UserError(f"{folder}: no recording of this corpus is in it; give ECG-QA's folder for this corpus")
    done.records = [
        replace(r, split=ecg_qa_split.get(r.record_id) or patient_split.get(r.patient_id or "", "train"))
        for r in done.records
    ]
    split_of = {record.record_id: record.split for record in done.records}
    done.texts = [replace(text, split=split_of[text.record_ids[0]]) for text in done.texts]


def take_folds(done: Prepared, folds: list[str]) -> None:
    """Split recordings by folds for training, validation and test; recordings of other folds are left out."""
    split_of: dict[int, str] = {}
    for split, text in zip(SPLITS, folds, strict=True):
        for fold in parse_folds(text, "--folds"):
            if split_of.setdefault(fold, split) != split:
                raise UserError(f"--folds: fold {fold} is in two splits")
    if any(record.fold is None for record in done.records):
        raise UserError("--folds: this corpus has no folds")
    kept = [replace(r, split=split_of[r.fold]) for r in done.records if r.fold in split_of]
    done.left_out["recordings of other folds"] += len(done.records) - len(kept)
    done.records, splits = kept, {record.record_id: record.split for record in kept}
    done.texts = [replace(t, split=splits[t.record_ids[0]]) for t in done.texts if t.record_ids[0] in splits]


def add_texts(done: Prepared, source: Path, paths: list[Path], licence: str) -> None:
    """Add the texts about recordings of this corpus; the rest is counted as left out."""
    refs = {
        r.record_id: RecordRef(r.record_id, source / r.path, r.patient_id, r.fold, r.background) for r in done.records
    }
    loaded = load_examples(paths, source, refs, allow_missing=True)
    reported = {e.record_ids for e in loaded.examples if e.task == "report"}
    kept = [text for text in done.texts if text.task != "report" or text.record_ids not in reported]
    done.left_out["own reports, replaced by those of --texts"] += len(done.texts) - len(kept)
    done.texts = kept
    # A recording below the source that is not in the manifest has no split.
    known = [e for e in loaded.examples if refs.keys() >= set(e.record_ids)]
    done.left_out["texts about recordings that are not there"] += (
        loaded.skipped_missing + len(loaded.examples) - len(known)
    )
    done.left_out["empty reports"] += loaded.empty_reports
    if paths != done.bundled:
        _say_unknown(loaded, known, refs, paths)
    _add(done, known, licence)


def _say_unknown(loaded: Loaded, known: Sequence[Example], refs: Mapping[str, RecordRef], paths: list[Path]) -> None:
    """Print a line for the recordings and types of questions that are not known. Raises `UserError` if no text is."""
    absent = [ecg_id for ecg_id, _ in loaded.missing]  # paths may hold patient ids
    absent += [i for e in loaded.examples for i in e.record_ids if i not in refs]
    if absent:
        named = ", ".join(list(dict.fromkeys(absent))[:SHOWN]) + (", ..." if len(set(absent)) > SHOWN else "")
        there = ", ".join(list(refs)[:SHOWN]) + (", ..." if len(refs) > SHOWN else "")
        line = f"no recording is called {named}; those of the corpus are called {there}"
        if not known:
            raise UserError(f"--texts {paths[0]}: {line}")
        print(f"--texts: {line}")
    types = Counter(e.question_type for e in known if e.question_type and e.question_type not in QUESTION_TYPES)
    for name, count in types.items():
        if near := difflib.get_close_matches(name, QUESTION_TYPES, n=1, cutoff=0.8):
            print(f"--texts: question_type {name} ({count}) has no scores of its own; did you mean {near[0]}?")


def add_derived_questions(done: Prepared, source: Path, seed: int, licence: str) -> None:
    """Add questions derived from PTB-XL's labels, with yes and no balanced within each split."""
    rows = {str(int(row["ecg_id"])): row for row in load_labels(source / DATABASE_NAME, "--source")}
    left_open: Counter[str] = Counter()
    for split in SPLITS:
        members = [record for record in done.records if record.split == split]
        for item in derive([rows[record.record_id] for record in members], seed, left_open=left_open):
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
    done.left_out["derived questions that the labels leave open"] += left_open.total()


def render_reports(done: Prepared, folder: Path) -> None:
    """Replace reports in German and Swedish by English renderings of their statements; English ones stay.

    Their provenance becomes "rendered from German". ``renderings.jsonl`` in ``folder`` has a line for each, with the
    report as published. Reports without a known statement are left out, and so are words that no lexicon knows.
    """
    kept, lines = [], []
    for text in done.texts:
        if text.task != "report":
            kept.append(text)
            continue
        rendering = render(text.answers[0])
        if rendering.language == ENGLISH:
            kept.append(text)
            continue
        done.left_out["runs of unknown words in rendered reports"] += len(rendering.left_out)
        if not rendering.text:
            done.left_out["reports in other languages without a known statement"] += 1
            continue
        provenance = f"rendered from {rendering.language}"
        kept.append(replace(text, answers=(rendering.text,), provenance=provenance))
        line = {
            "sample_id": text.sample_id,
            "language": rendering.language,
            "report": text.answers[0],
            "rendering": rendering.text,
            "left_out": rendering.left_out,
        }
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    done.texts = kept
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RENDERINGS).write_text("".join(lines), encoding="utf-8")


def _add(done: Prepared, examples: Sequence[Example], licence: str) -> None:
    """Add texts; of conversations to train on only their ends, which hold all answers before them."""
    split_of = {record.record_id: record.split for record in done.records}
    for number, e in enumerate(examples, start=1):
        following = examples[number] if number < len(examples) else None
        splits = {split_of[i] for i in e.record_ids}
        if splits == {"train"} and following and following.history == (*e.history, (e.question, *e.answers)):
            continue
        if len(splits) > 1:
            done.left_out["comparisons across splits"] += 1
            continue
        done.texts.append(Text.of(e, splits.pop(), licence))


def ecg_ids(path: Path) -> list[str]:
    """The ids in one of ECG-QA's ``*_ecgs.tsv``."""
    try:
        rows = [line.split("\t") for line in path.read_text().splitlines() if line.strip()]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; --ecg-qa-splits must be ECG-QA's folder for this corpus") from None
    if any(len(row) != 2 for row in rows):
        raise UserError(f"{path}: a line does not consist of a number and an ECG id; use ECG-QA's own file")
    return [ecg_id.strip() for _, ecg_id in rows]

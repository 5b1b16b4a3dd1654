"""The manifest of a prepared corpus: a table of recordings, a table of texts, and a description of both.

    manifest.json     name, version, licence, citation, source folder, counts
    records.parquet   a row for each `Record`
    texts.parquet     a row for each `Text`

Paths are relative to the source folder, which stays in place; ``DATA_ROOT`` names the folder of the three files. Both
tables can be opened with ``datasets.load_dataset("parquet", data_files=...)``.
"""

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Self, get_type_hints

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cardiolect.data_provider.corpora.databases import MANIFEST, likely_database
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import announce

RECORDS, TEXTS = "records.parquet", "texts.parquet"


@dataclass(frozen=True)
class Corpus:
    """Description of a prepared corpus.

    source: absolute folder of the recordings; left_out: reason -> count; database: whose patients and records it has.
    """

    name: str
    version: str
    licence: str
    citation: str
    source: str
    records: int
    texts: int
    left_out: dict[str, int]
    database: str = ""


@dataclass(frozen=True)
class Record:
    """A row of records.parquet: a `RecordRef` with its path relative to the source, and its split.

    split: "train", "valid", "test", or "" for none.
    """

    record_id: str
    path: str
    patient_id: str | None = None
    split: str = ""
    fold: int | None = None
    background: str = ""


@dataclass(frozen=True)
class Text:
    """A row of texts.parquet: an `Example` with the ids of its recordings, its split and its licence."""

    sample_id: str
    record_ids: tuple[str, ...]
    task: str
    question: str
    answers: tuple[str, ...]
    question_type: str = ""
    attribute_type: str = ""
    template_id: int | None = None
    background: str = ""
    split: str = ""
    provenance: str = "published"
    licence: str = ""
    history: tuple[tuple[str, str], ...] = ()
    attributes: tuple[str, ...] = ()

    @classmethod
    def of(cls, example: Example, split: str, licence: str) -> Self:
        shared = {field.name: getattr(example, field.name) for field in fields(cls) if hasattr(example, field.name)}
        return cls(**shared, split=split, licence=licence)


def _schema(row: type, **narrower: pa.DataType) -> pa.Schema:
    """The columns of a table: the fields of its row."""
    text = pa.string()
    types = {
        str: text,
        str | None: text,
        tuple[str, ...]: pa.list_(text),
        tuple[tuple[str, str], ...]: pa.list_(pa.list_(text)),
    }
    return pa.schema([(name, narrower.get(name) or types[kind]) for name, kind in get_type_hints(row).items()])


RECORD_SCHEMA = _schema(Record, fold=pa.int8())
TEXT_SCHEMA = _schema(Text, template_id=pa.int32())


def write_manifest(folder: Path, corpus: Corpus, records: Iterable[Record], texts: Iterable[Text]) -> None:
    """Write the three files, manifest.json last, so that a killed run leaves no incomplete corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for name, rows, schema in ((RECORDS, records, RECORD_SCHEMA), (TEXTS, texts, TEXT_SCHEMA)):
        partial, rows = folder / f"{name}.tmp", list(rows)
        columns = {column: [getattr(row, column) for row in rows] for column in schema.names}
        pq.write_table(pa.table(columns, schema=schema), partial)
        os.replace(partial, folder / name)
    partial = folder / f"{MANIFEST}.tmp"
    partial.write_text(json.dumps(asdict(corpus), indent=2) + "\n")
    os.replace(partial, folder / MANIFEST)


def load_corpus(folder: Path) -> Corpus:
    """The description of a corpus. Raises `UserError` if manifest.json is invalid.

    A manifest of an earlier release does not name its database, which is then concluded and said, once.
    """
    try:
        corpus = Corpus(**json.loads((folder / MANIFEST).read_text()))
    except (json.JSONDecodeError, TypeError):
        raise UserError(f"{folder}/{MANIFEST} is not a valid manifest; prepare the corpus again") from None
    if corpus.database:
        return corpus
    database = likely_database(corpus.name, corpus.citation, Path(corpus.source))
    _say_concluded(str(folder), database)
    return replace(corpus, database=database)


@cache
def _say_concluded(folder: str, database: str) -> None:
    announce(
        f"{folder}/{MANIFEST} names no database: its patients are taken for those of {database}; if that is wrong, "
        "prepare the corpus again",
        sys.stderr,
    )


def load_records(folder: Path) -> dict[str, tuple[RecordRef, str]]:
    """record_id -> reference and split, for every recording."""
    corpus = load_corpus(folder)
    source = Path(corpus.source)
    if not source.is_dir():
        raise UserError(f"{folder}/{MANIFEST}: its source {source} does not exist; prepare the corpus again")
    frame = _table(folder / RECORDS, RECORD_SCHEMA)
    return {
        row.record_id: (
            RecordRef(
                row.record_id,
                source / row.path,
                row.patient_id or None,
                None if pd.isna(row.fold) else int(row.fold),
                row.background or "",
                database=corpus.database,
            ),
            row.split or "",
        )
        for row in frame.itertuples(index=False)
    }


def load_texts(folder: Path, records: dict[str, tuple[RecordRef, str]]) -> list[tuple[Example, str]]:
    """Every text with its split: its own, or that of its recordings, "" if these are in different splits.

    Raises `UserError` for a text about a recording that is not in the corpus.
    """
    found = []
    for row in _table(folder / TEXTS, TEXT_SCHEMA).itertuples(index=False):
        if unknown := [i for i in row.record_ids if i not in records]:
            raise UserError(
                f"{folder}/{TEXTS}: {row.sample_id} is about record {unknown[0]}, which is not in the corpus"
            )
        refs = tuple(records[i][0] for i in row.record_ids)
        splits = {records[i][1] for i in row.record_ids}
        example = Example(
            row.sample_id,
            refs,
            row.task,
            row.question or "",
            tuple(row.answers),
            row.question_type or "",
            row.attribute_type or "",
            None if pd.isna(row.template_id) else int(row.template_id),
            row.background or refs[0].background,
            tuple((question, answer) for question, answer in row.history),
            row.provenance,
            tuple(row.attributes),
        )
        found.append((example, row.split or (splits.pop() if len(splits) == 1 else "")))
    return found


def _table(path: Path, schema: pa.Schema) -> pd.DataFrame:
    try:
        table = pq.read_table(path)
        if missing := [name for name in schema.names if name not in table.column_names]:
            raise UserError(f"{path}: no column {missing[0]}; prepare the corpus again")
        return table.to_pandas()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; prepare the corpus again") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: cannot be read ({str(error)[:80]}); prepare the corpus again") from None

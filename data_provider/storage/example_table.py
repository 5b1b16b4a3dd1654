"""Examples as columns of Arrow tables, which ranks share by memory map: 24 million of them fit into any memory.

questions   a row for each example: its id, and the rows of the other tables that it consists of
texts       each distinct question with its history and its answers
kinds       each distinct combination of type, template, attributes, provenance and split
groups      each distinct combination of recordings and background
records     the recordings
"""

import hashlib
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from dataclasses import fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Self, overload

import numpy as np
import pyarrow as pa

from cardiolect.data_provider.examples import INSTRUCT_TASK, Example, RecordRef
from cardiolect.data_provider.storage.shared_tables import Tables
from cardiolect.utils.errors import UserError

TEXT = ("task", "question", "answers", "history")
KIND = ("question_type", "attribute_type", "template_id", "provenance", "attributes")
_AT_ONCE = 4096  # examples that an iteration looks up at once
_words = pa.list_(pa.string())
_SCHEMAS = {
    "questions": {"sample_id": pa.large_string(), "group": pa.int32(), "text": pa.int32(), "kind": pa.int32()},
    "texts": {"task": pa.string(), "question": pa.string(), "answers": _words, "history": pa.list_(_words)},
    "kinds": dict(zip(KIND, (pa.string(), pa.string(), pa.int32(), pa.string(), _words), strict=True))
    | {"split": pa.string(), "prefix": pa.string()},
    "groups": {"records": pa.list_(pa.int32()), "background": pa.string()},
    "records": {field.name: pa.int32() if field.name == "fold" else pa.string() for field in fields(RecordRef)},
}


TABLES = tuple(_SCHEMAS)


class _Numbers(dict):
    """Distinct values -> their numbers, in the order in which they come."""

    def __missing__(self, value: Hashable) -> int:
        self[value] = len(self)
        return self[value]


def tables_of(examples: Iterable[tuple[Example, str]], **metadata: str) -> Tables:
    """Tables of examples and the splits that they are in. metadata: notes in the schema of the questions."""
    refs, groups, texts, kinds = _Numbers(), _Numbers(), _Numbers(), _Numbers()
    questions: list[tuple] = []
    for example, split in examples:
        group = groups[tuple(refs[ref] for ref in example.records), example.background]
        text = texts[tuple(getattr(example, name) for name in TEXT)]
        kind = kinds[(*(getattr(example, name) for name in KIND), split, "")]
        questions.append((example.sample_id, group, text, kind))
    values = {
        "questions": questions,
        "texts": texts,
        "kinds": kinds,
        "groups": groups,
        "records": [(r.record_id, str(r.path), *(getattr(r, f.name) for f in fields(r)[2:])) for r in refs],
    }
    tables = {name: _table(rows, _SCHEMAS[name]) for name, rows in values.items()}
    tables["questions"] = tables["questions"].replace_schema_metadata(metadata)
    return tables


def _table(rows: Iterable[tuple], types: dict[str, pa.DataType]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(types)
    try:
        arrays = [pa.array(column, kind) for column, kind in zip(columns, types.values(), strict=True)]
    except UnicodeEncodeError as error:
        raise UserError(f"this text holds half of a surrogate pair, correct it: {error.object[:80]!a}") from None
    return pa.table(arrays, schema=pa.schema(types.items()))


def refs_of(tables: Tables) -> list[RecordRef]:
    """The recordings of tables."""
    columns = [tables["records"][name].to_pylist() for name in _SCHEMAS["records"]]
    return [RecordRef(record, Path(path), *rest) for record, path, *rest in zip(*columns, strict=True)]


class Examples(Sequence[Example]):
    """Some rows of tables of examples, each of which is made when it is asked for.

    refs: the recordings, in the order of the records table. rows: which questions; None: all.
    """

    def __init__(self, tables: Tables, refs: Sequence[RecordRef], rows: np.ndarray | None = None):
        self.tables, self.refs, self._rows = tables, refs, rows
        self._text = lru_cache(2**14)(self._read_text)

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Self:
        """``examples`` as they are if they have columns already; others get their own, in memory."""
        if isinstance(examples, cls):
            return examples
        tables = tables_of((example, "") for example in examples)
        refs = list(dict.fromkeys(ref for example in examples for ref in example.records))
        return cls(tables, refs)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Examples one after another."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        tables = {name: pa.concat_tables(part.tables[name] for part in parts) for name in ("texts", "kinds")}
        columns = {"sample_id": pa.chunked_array((c for p in parts for c in p._sample_ids.chunks), pa.large_string())}
        for name, other in (("group", "groups"), ("text", "texts"), ("kind", "kinds")):
            sizes = np.cumsum([0, *(len(part.tables[other]) for part in parts)])
            shifted = [getattr(part, name) + np.int32(size) for part, size in zip(parts, sizes, strict=False)]
            columns[name] = np.concatenate(shifted)
        before = np.cumsum([0, *(len(part.refs) for part in parts)])
        flat = np.concatenate([part._members[0] + at for part, at in zip(parts, before, strict=False)])
        ends = np.cumsum([0, *np.concatenate([np.diff(part._members[1]) for part in parts])])
        records = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat, pa.int32()))
        backgrounds = (chunk for p in parts for chunk in p.tables["groups"]["background"].chunks)
        backgrounds = pa.chunked_array(backgrounds, pa.string())
        tables["groups"] = pa.table({"records": records, "background": backgrounds})
        return cls(tables | {"questions": pa.table(columns)}, [ref for part in parts for ref in part.refs])

    def __len__(self) -> int:
        return len(self.tables["questions"]) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, i: int) -> Example: ...

    @overload
    def __getitem__(self, i: slice) -> list[Example]: ...

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i = range(len(self))[i]
        row = i if self._rows is None else int(self._rows[i])
        return self._example(self.tables["questions"]["sample_id"][row].as_py(), i)

    def __iter__(self) -> Iterator[Example]:
        for start in range(0, len(self), _AT_ONCE):
            stop = min(start + _AT_ONCE, len(self))
            yield from map(self._example, self._sample_ids_of(slice(start, stop)), range(start, stop))

    def _example(self, sample_id: str, i: int) -> Example:
        (*kind, _, prefix), group = self._kinds[self.kind[i]], int(self.group[i])
        task, question, answers, history = self._text(int(self.text[i]))
        question_type, attribute_type, template_id, provenance, attributes = kind
        return Example(
            prefix + sample_id,
            self.records_of(group),
            task,
            question,
            answers,
            question_type,
            attribute_type,
            template_id,
            self.tables["groups"]["background"][group].as_py(),
            history,
            provenance,
            tuple(attributes),
        )

    @cached_property
    def group(self) -> np.ndarray:
        """The row of the groups table of each example, int32."""
        return self._column("group")

    @cached_property
    def text(self) -> np.ndarray:
        """The row of the texts table of each example, int32."""
        return self._column("text")

    @cached_property
    def kind(self) -> np.ndarray:
        """The row of the kinds table of each example, int32."""
        return self._column("kind")

    def members_of(self, group: int) -> np.ndarray:
        """The places in ``refs`` of the recordings of a group."""
        flat, ends = self._members
        return flat[ends[group] : ends[group + 1]]

    def records_of(self, group: int) -> tuple[RecordRef, ...]:
        """The recordings of a group."""
        return tuple(self.refs[k] for k in self.members_of(group))

    def backgrounds_of(self, group: int) -> tuple[str, ...]:
        """As `Example.backgrounds`."""
        records = self.records_of(group)
        own = self.tables["groups"]["background"][int(group)].as_py()
        return (own,) if len(records) == 1 else tuple(ref.background for ref in records)

    def text_example(self, text: int) -> Example:
        """The texts of a row of the texts table, as an example without recordings."""
        task, question, answers, history = self._text(text)
        return Example("", (), task, question, answers, history=history)

    def about(self, keep: Callable[[RecordRef], bool], every: bool = True) -> np.ndarray:
        """Boolean, for each example: whether ``keep`` is true for every one of its recordings, or else for any."""
        flat, ends = self._members
        chosen = np.fromiter(map(keep, self.refs), bool, len(self.refs))[flat]
        joined = (np.logical_and if every else np.logical_or).reduceat(chosen, ends[:-1]) if len(flat) else chosen
        return joined[self.group]

    def within(self, record_ids: Container[str]) -> np.ndarray:
        """Boolean, for each example: whether all its recordings are among these."""
        return self.about(lambda ref: ref.record_id in record_ids)

    def of_task(self, task: str) -> np.ndarray:
        """Boolean, for each example: whether it has this task."""
        return (self.tables["texts"]["task"].to_numpy() == task)[self.text]

    def in_conversations(self) -> np.ndarray:
        """Boolean, for each row of the texts table: whether it is a turn of a conversation."""
        return self.tables["texts"]["task"].to_numpy() == INSTRUCT_TASK

    def in_split(self, split: str) -> np.ndarray:
        """Boolean, for each example: whether it is in this split."""
        return (self.tables["kinds"]["split"].to_numpy() == split)[self.kind]

    def select(self, chosen: np.ndarray) -> Self:
        """The examples for which ``chosen`` is true."""
        if chosen.all():
            return self
        rows = np.flatnonzero(chosen).astype(np.int32)
        return type(self)(self.tables, self.refs, rows if self._rows is None else self._rows[rows])

    def renamed(self, rename: Callable[[RecordRef], RecordRef], prefix: str) -> Self:
        """With other references to the recordings, and sample ids that begin with ``prefix``."""
        kinds = self.tables["kinds"]
        changed = kinds.set_column(kinds.num_columns - 1, "prefix", pa.array([prefix] * len(kinds), pa.string()))
        return type(self)({**self.tables, "kinds": changed}, [*map(rename, self.refs)], self._rows)

    @property
    def num_groups(self) -> int:
        return len(self.tables["groups"])

    @property
    def num_texts(self) -> int:
        return len(self.tables["texts"])

    def used_groups(self) -> np.ndarray:
        """The groups that the examples belong to, in order."""
        return np.flatnonzero(np.bincount(self.group, minlength=self.num_groups))

    def used(self) -> np.ndarray:
        """Boolean, for each of ``refs``: whether an example is about it."""
        flat, ends = self._members
        found, chosen = np.zeros(len(self.refs), bool), np.zeros(self.num_groups, bool)
        chosen[self.used_groups()] = True
        found[flat[np.repeat(chosen, np.diff(ends))]] = True
        return found

    def used_refs(self) -> list[RecordRef]:
        """The recordings that the examples are about, each once."""
        return [self.refs[k] for k in np.flatnonzero(self.used())]

    def count_with_background(self) -> int:
        """How many examples have a background."""
        any_ = [any(self.backgrounds_of(group)) for group in range(self.num_groups)]
        return int(np.array(any_, bool)[self.group].sum())

    def fingerprint(self) -> bytes:
        """Hash of sample ids, questions and answers."""
        texts = self.tables["texts"]
        of_text = [
            hashlib.sha256(repr(row).encode()).digest()[:8]
            for row in zip(texts["question"].to_pylist(), texts["answers"].to_pylist(), strict=True)
        ]
        of_texts, digest = np.frombuffer(b"".join(of_text), np.uint64), hashlib.sha256()
        for start in range(0, len(self), _AT_ONCE):
            span = slice(start, start + _AT_ONCE)
            prefixes = {self._kinds[kind][-1] for kind in np.unique(self.kind[span])}
            digest.update("\n".join([*sorted(prefixes), *self._sample_ids_of(span)]).encode())
            digest.update(of_texts[self.text[span]].tobytes())
        return digest.digest()

    @cached_property
    def _kinds(self) -> list[tuple]:
        columns = [self.tables["kinds"][name].to_pylist() for name in _SCHEMAS["kinds"]]
        return list(zip(*columns, strict=True))

    @cached_property
    def _members(self) -> tuple[np.ndarray, np.ndarray]:
        """The recordings of all groups end to end, and where those of each group begin and end."""
        records = self.tables["groups"]["records"].combine_chunks()
        return records.values.to_numpy(), records.offsets.to_numpy()

    @property
    def _sample_ids(self) -> pa.ChunkedArray:
        column = self.tables["questions"]["sample_id"]
        return column if self._rows is None else column.take(pa.array(self._rows))

    def _sample_ids_of(self, span: slice) -> list[str]:
        column = self.tables["questions"]["sample_id"]
        if self._rows is None:
            return column[span].to_pylist()
        return column.take(pa.array(self._rows[span])).to_pylist()

    def _column(self, name: str) -> np.ndarray:
        chunks = self.tables["questions"][name].chunks
        column = chunks[0].to_numpy() if len(chunks) == 1 else self.tables["questions"][name].to_numpy()
        return column if self._rows is None else column[self._rows]

    def _read_text(self, text: int) -> tuple[str, str, tuple[str, ...], tuple[tuple[str, str], ...]]:
        (row,) = self.tables["texts"].slice(text, 1).to_pylist()
        return row["task"], row["question"], tuple(row["answers"]), tuple(map(tuple, row["history"]))

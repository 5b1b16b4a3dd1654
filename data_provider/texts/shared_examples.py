"""The examples of a corpus, parsed once for all runs and ranks that have the cache folder in common."""

import json
from collections.abc import Sequence
from pathlib import Path

from cardiolect.data_provider import examples, manifest
from cardiolect.data_provider.corpora.databases import MANIFEST, is_manifest
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import RECORDS, TEXTS, load_texts
from cardiolect.data_provider.readers.formats import is_on_disk
from cardiolect.data_provider.storage import example_table
from cardiolect.data_provider.storage.example_table import TABLES, Examples, refs_of, tables_of
from cardiolect.data_provider.storage.shared_tables import Tables, key_of, shared_tables, state_of
from cardiolect.data_provider.texts import background, conversations, questions, record_finder
from cardiolect.data_provider.texts.questions import labelled, load_examples
from cardiolect.data_provider.texts.record_finder import RecordFinder

# What is read depends on these modules: a table made by others is not current.
_READ_BY = (example_table, examples, manifest, questions, conversations, record_finder, background)


def examples_of_files(
    paths: Sequence[Path], root: Path, database: dict[str, RecordRef] | None, allow_missing: bool, cache: Path
) -> tuple[Examples, str]:
    """What `load_examples` reads, and its summary after the split's name. Raises `UserError` as it does."""
    refs: list[RecordRef] = []

    def build() -> Tables:
        refs.clear()
        loaded = load_examples(list(paths), root, database, allow_missing)
        notes = {"summary": loaded.summary(""), "missing": json.dumps([loaded.missing_records, loaded.missing])}
        return tables_of(((example, "") for example in loaded.examples), **notes)

    def is_current(tables: Tables) -> bool:
        refs[:] = refs_of(tables)
        missing_records, missing = json.loads(tables["questions"].schema.metadata[b"missing"])
        finder = RecordFinder(root, database)
        still = all(finder.find(ecg_id, path, "", None) is None for ecg_id, path in missing)
        return (allow_missing or not missing_records) and still and all(is_on_disk(ref.path) for ref in refs)

    files = labelled(list(paths)).values()
    first = str(next(iter(database.values())).path) if database else ""  # in PTB-XL, at 500 or 100 Hz
    tables = shared_tables(_folder(cache, root, first, *files), TABLES, build, is_current)
    known = {} if database is None else database
    # The database's own reference, which is in memory anyway.
    refs[:] = [known[ref.record_id] if known.get(ref.record_id) == ref else ref for ref in refs or refs_of(tables)]
    return Examples(tables, refs), tables["questions"].schema.metadata[b"summary"].decode()


def examples_of_manifest(folder: Path, records: dict[str, tuple[RecordRef, str]], cache: Path) -> Examples:
    """What `load_texts` reads. Raises `UserError` as it does."""
    tables = shared_tables(
        _folder(cache, folder, "", folder / TEXTS),
        TABLES,
        lambda: tables_of(load_texts(folder, records)),
        lambda _: True,
    )
    return Examples(tables, [records[ref.record_id][0] for ref in refs_of(tables)])


def _folder(cache: Path, root: Path, note: str, *files: Path) -> Path:
    """The folder of tables made from these files and the list of recordings in ``root``."""
    lists = [root / name for name in ((MANIFEST, RECORDS) if is_manifest(root) else (DATABASE_NAME,))]
    sources = [Path(module.__file__).read_text() for module in _READ_BY]
    states = [state_of(*files), state_of(*(path for path in lists if path.is_file()))]
    return cache / "examples" / key_of([str(root), str(root.resolve()), note, *states, *sources])

"""Examples as columns, shared by memory map: what is looked up is what was parsed, and nothing is out of date."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.splits import load_splits
from cardiolect.data_provider.storage.example_table import TABLES, Examples, tables_of
from cardiolect.data_provider.storage.shared_tables import shared_tables
from cardiolect.data_provider.texts import shared_examples
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.data_provider.texts.shared_examples import examples_of_files
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT

A, B, C = (
    RecordRef(k, Path(f"files/{k}"), p, fold, background, corpus, database)
    for k, p, fold, background, corpus, database in (
        ("1", "p1", 3, "age 56", "", "PTB-XL"),
        ("2", None, None, "", "", ""),
        ("3", "p3", 10, "age 7", "", ""),
    )
)
MIXED = [
    Example("a", (A,), "qa", "What?", ("yes", "no"), "verify", "rhythm", 7, "age 56", attributes=("x", "y")),
    Example("b", (A, B), "qa", "What is new?", ("none",), "compare", background="age 56"),
    Example("c", (C,), "instruct", "And?", ("ü\n",), history=(("What?", "yes"), ("Is it?", "no"))),
    Example("d", (B,), "report", "", ("Sinus rhythm.",), provenance="derived"),
    Example("e", (A,), "qa", "What?", ("yes", "no"), "choose", background="age 56"),
]


def test_every_field_of_every_kind_of_example_comes_back():
    table = Examples.of(MIXED)
    assert list(table) == [table[i] for i in range(len(MIXED))] == MIXED and table[-1] == MIXED[-1]
    assert table[1:4] == MIXED[1:4] and [ref.database for ref in table.refs] == ["PTB-XL", "", ""]
    assert [table[i].backgrounds for i in (0, 1)] == [e.backgrounds for e in MIXED[:2]]
    with pytest.raises(IndexError):
        table[5]
    assert Examples.of(table) is table and len(Examples.of([])) == 0 and list(Examples.of([])) == []


def test_columns_select_what_the_examples_themselves_would():
    table = Examples.of(MIXED)
    assert table.within({"1", "2"}).tolist() == [True, True, False, True, True]
    assert table.about(lambda ref: ref == B, every=False).tolist() == [False, True, False, True, False]
    chosen = table.select(table.of_task("qa"))
    assert list(chosen) == [e for e in MIXED if e.task == "qa"] and chosen.used_refs() == [A, B]
    again = chosen.select(chosen.within({"1"}))
    assert list(again) == [MIXED[0], MIXED[4]] and again.used_refs() == [A]
    assert table.count_with_background() == sum(any(e.backgrounds) for e in MIXED)


def test_a_mixture_renames_samples_and_recordings_and_leaves_the_rest():
    table = Examples.of(MIXED)
    some = table.select(table.of_task("qa")).renamed(lambda ref: replace(ref, record_id=f"x/{ref.record_id}"), "x/")
    joined = Examples.joined([some, table])
    expected = [
        replace(
            e, sample_id=f"x/{e.sample_id}", records=tuple(replace(r, record_id=f"x/{r.record_id}") for r in e.records)
        )
        for e in MIXED
        if e.task == "qa"
    ]
    assert list(joined) == expected + MIXED
    assert list(joined.select(joined.of_task("report"))) == [MIXED[3]]
    assert joined.count_with_background() == 3 + table.count_with_background()


def test_the_fingerprint_follows_ids_questions_and_answers():
    found = {Examples.of(MIXED).fingerprint(), Examples.of([*MIXED]).fingerprint()}
    assert len(found) == 1
    changes = [{"sample_id": "z"}, {"question": "Why?"}, {"answers": ("no",)}]
    others = {Examples.of([replace(MIXED[0], **change), *MIXED[1:]]).fingerprint() for change in changes}
    assert len(others | found) == 4 and Examples.of(MIXED[1:]).fingerprint() not in others | found


@pytest.fixture
def files(tmp_path, corpus) -> tuple[list[Path], Path]:
    """A file of questions about the corpus, and a cache folder."""
    path = tmp_path / "train.json"
    path.write_bytes((corpus / "questions/train.json").read_bytes())
    return [path], tmp_path / "cache"


def read(files, corpus, allow_missing: bool = False) -> Examples:
    paths, cache = files
    return examples_of_files(paths, corpus, load_database(corpus), allow_missing, cache)[0]


def test_files_are_parsed_once_and_mapped_then(files, corpus, monkeypatch):
    """Every rank of every run parsed them, 17 minutes of 24 million questions, and kept its own copy."""
    parsed = load_examples(files[0], corpus, load_database(corpus)).examples
    assert list(read(files, corpus)) == parsed
    monkeypatch.setattr(shared_examples, "load_examples", None)
    before = pa.total_allocated_bytes()
    again = read(files, corpus)
    assert list(again) == parsed and pa.total_allocated_bytes() - before < 100_000
    assert again.text.base is not None and not again.text.flags.owndata, "a view of the file"


@pytest.mark.parametrize("change", ["texts", "database", "damaged", "a part is gone"])
def test_what_changed_is_parsed_again(files, tmp_path, corpus, change):
    own = tmp_path / "corpus"
    own.mkdir()
    for name in corpus.iterdir():
        (own / name.name).symlink_to(name)
    first = list(read(files, own))
    if change == "texts":
        items = json.loads(files[0][0].read_text())
        files[0][0].write_text(json.dumps(items[1:]))
        assert len(read(files, own)) == len(first) - 1
    elif change == "database":
        text = (own / "ptbxl_database.csv").read_text()
        (own / "ptbxl_database.csv").unlink()
        (own / "ptbxl_database.csv").write_text(text + "\n")
        assert len(read(files, own)) == len(first) and len(list((files[1] / "examples").glob("*.lock"))) == 2
    elif change == "a part is gone":
        next(files[1].rglob("records.arrow")).unlink()
        assert list(read(files, own)) == first
    else:
        for path in files[1].rglob("*.arrow"):
            path.write_bytes(path.read_bytes()[:100])
        assert list(read(files, own)) == first


def test_recordings_that_come_and_go_are_noticed(files, tmp_path, corpus):
    """The tables of a corpus with missing recordings would hide those that were downloaded since."""
    whole = load_examples(files[0], corpus, load_database(corpus)).examples
    gone, kept = whole[0].records[0], tmp_path / "kept"
    moved = [path for path in corpus.rglob(f"{gone.path.name}.*")]
    kept.mkdir()
    for path in moved:
        path.rename(kept / path.name)
    try:
        fewer = read(files, corpus, allow_missing=True)
        assert len(fewer) == sum(gone not in e.records for e in whole)
        assert len(read(files, corpus, allow_missing=True)) == len(fewer)
        with pytest.raises(UserError, match=r"1 of .* recordings are missing"):
            read(files, corpus)
    finally:
        for path in moved:
            (kept / path.name).rename(path)
    assert list(read(files, corpus, allow_missing=True)) == whole
    for path in moved:
        path.rename(kept / path.name)
    try:
        with pytest.raises(UserError, match=r"1 of .* recordings are missing"):
            read(files, corpus)
    finally:
        for path in moved:
            (kept / path.name).rename(path)


def test_two_processes_that_start_at_once_share_one_table(files, corpus):
    code = (
        "import sys; from pathlib import Path\n"
        "from cardiolect.data_provider.corpora.ptbxl_database import load_database\n"
        "from cardiolect.data_provider.texts.shared_examples import examples_of_files\n"
        "file, root, cache = map(Path, sys.argv[1:])\n"
        "print(len(examples_of_files([file], root, load_database(root), False, cache)[0]))"
    )
    words = [sys.executable, "-c", code, str(files[0][0]), str(corpus), str(files[1])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    started = [subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(process.communicate()[0]) for process in started]
    assert counts == [len(read(files, corpus))] * 2
    assert len(list((files[1] / "examples").glob("*/questions.arrow"))) == 1
    assert len(list((files[1] / "examples").iterdir())) == 2, "the tables and their lock"


def test_a_cache_that_cannot_be_written_costs_memory_and_nothing_else(files, corpus):
    files[1].write_text("a file where the folder should be")
    assert list(read(files, corpus)) == load_examples(files[0], corpus, load_database(corpus)).examples


@pytest.mark.parametrize("place", ["fcntl.flock", "pyarrow.ipc.new_file"])
def test_a_cache_that_cannot_be_locked_or_is_full_costs_memory_and_one_line(files, corpus, monkeypatch, capsys, place):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(place, fail)
    assert list(read(files, corpus)) == load_examples(files[0], corpus, load_database(corpus)).examples
    assert "cannot be shared (No space left on device)" in capsys.readouterr().out
    monkeypatch.undo()
    assert list(read(files, corpus)) and len(list((files[1] / "examples").iterdir())) == 2, "nothing is left over"


def test_what_a_killed_run_left_over_is_in_nobodys_way(files, corpus, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.ipc.new_file", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            read(files, corpus)
    first = list(read(files, corpus))
    monkeypatch.setattr(shared_examples, "load_examples", None)
    assert list(read(files, corpus)) == first


def test_a_recording_that_another_path_finds_does_not_make_every_start_parse_again(files, corpus, monkeypatch):
    items = json.loads(files[0][0].read_text())
    single = next(item for item in items if len(item["ecg_id"]) == 1)
    elsewhere = single | {"ecg_path": [f"elsewhere/{single['ecg_id'][0]}"]}
    files[0][0].write_text(json.dumps([*items, elsewhere]))
    first = list(read(files, corpus))
    monkeypatch.setattr(shared_examples, "load_examples", None)
    assert list(read(files, corpus)) == first


def test_corpora_without_texts_are_mixed_from_the_cache(tmp_path):
    """Of an empty table, a file holds no chunk that would tell the type."""
    empty = lambda: tables_of([])  # noqa: E731
    parts = [Examples(shared_tables(tmp_path / name, TABLES, empty, lambda _: True), []) for name in "ab"]
    joined = Examples.joined([part.renamed(lambda ref: ref, f"{k}/") for k, part in enumerate(parts)])
    assert len(joined) == 0 and list(joined) == [] and joined.used_refs() == []


def test_half_of_a_surrogate_pair_is_refused_in_one_line(files, corpus):
    items = json.loads(files[0][0].read_text())
    files[0][0].write_text(json.dumps([items[0] | {"question": "half \ud83d"}]))
    with pytest.raises(UserError, match=r"half of a surrogate pair.*'half \\ud83d'"):
        read(files, corpus)


def test_splits_of_json_files_hold_what_the_files_say(files, corpus, tmp_path, tokenizer_folder):
    settings = FinetuneSettings(
        data_root=[corpus],
        train_data=[corpus / "questions/train.json"],
        valid_data=[corpus / "questions/valid.json"],
        cache_dir=files[1],
        tasktype="qa",
        tokenizer_path=tokenizer_folder,
        llm_path="tiny",
        output_dir=tmp_path / "out",
        max_valid=0,
    )
    splits = load_splits(settings, ("train", "valid"), task="qa")
    for name, split in splits.items():
        parsed = load_examples([corpus / f"questions/{name}.json"], corpus, load_database(corpus)).examples
        assert list(split.examples) == [e for e in parsed if e.task == "qa"]
        assert {r.record_id for r in split.records} == {i for e in split.examples for i in e.record_ids}

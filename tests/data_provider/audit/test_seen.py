"""Evaluation leaves out patients that a training stage has seen, whatever split file names them."""

import json
import shutil
from dataclasses import replace

import pytest

from cardiolect.data_provider.audit.seen import SEEN, load_seen, save_seen, seen_again
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.data_provider.record import resample
from cardiolect.utils.errors import UserError
from tests.helpers.wfdb_records import write


def test_a_patient_seen_through_another_recording_is_found(corpus, tmp_path):
    database = load_database(corpus)
    by_patient = {}
    for ref in database.values():
        by_patient.setdefault(ref.patient_id, []).append(ref)
    first, second = next(refs for refs in by_patient.values() if len(refs) > 1)[:2]
    stranger = next(ref for ref in database.values() if ref.patient_id != first.patient_id)
    save_seen(tmp_path, [first])
    seen = load_seen(tmp_path)
    assert seen_again([second, stranger], database.values(), seen) == {second.record_id}


def test_moving_the_corpus_hides_nothing_and_no_id_is_stored(corpus, tmp_path):
    ref = next(iter(load_database(corpus).values()))
    save_seen(tmp_path, [ref], before=["earlier"])
    moved = shutil.copytree(corpus, tmp_path / "moved")
    again = load_database(moved)[ref.record_id]
    assert seen_again([again], [], load_seen(tmp_path)) == {ref.record_id}
    stored = load_seen(tmp_path)
    assert "earlier" in stored and ref.patient_id not in str(stored)
    assert seen_again([again], [], set()) == set()


@pytest.fixture
def copies(corpus, tmp_path) -> dict[str, RecordRef]:
    """A recording as a training corpus has it, and copies under other names that state no database and no patient."""
    signal, other = (read_record(ref).signal for ref in list(load_database(corpus).values())[:2])
    write(tmp_path, signal, name="train")
    write(tmp_path, signal, name="renamed")
    write(tmp_path, signal[:, ::5], fs=100, name="every_fifth")
    write(tmp_path, resample(1.02 * signal, 500, 100), fs=100, name="hundred_hertz")
    write(tmp_path, other, name="stranger")
    names = ("train", "renamed", "every_fifth", "hundred_hertz", "stranger")
    return {name: RecordRef(name, tmp_path / name) for name in names}


def test_a_renamed_or_converted_copy_is_seen(copies, tmp_path):
    save_seen(tmp_path, [copies["train"]])
    assert seen_again(copies.values(), [], load_seen(tmp_path)) == set(copies) - {"stranger"}


def test_a_patient_is_seen_through_another_manifest_of_the_database(tmp_path):
    """Neither the training recording nor its signal is in the corpus of the evaluation."""
    trained = RecordRef("a/5", tmp_path / "gone", "ptb-xl/17", corpus="a", database="ptb-xl")
    save_seen(tmp_path, [trained])
    seen = load_seen(tmp_path)
    assert seen_again([RecordRef("9", tmp_path / "x", "17", database="ptb-xl")], [], seen) == {"9"}
    assert seen_again([RecordRef("9", tmp_path / "x", "17", database="mimic-iv-ecg")], [], seen) == set()
    assert seen_again([RecordRef("b/5", tmp_path / "x", corpus="b", database="ptb-xl")], [], seen) == {"b/5"}
    assert "17" not in json.loads((tmp_path / SEEN).read_text())


def test_a_list_of_an_earlier_release_still_works_and_says_what_it_lacks(copies, tmp_path, capsys):
    (tmp_path / SEEN).write_text(json.dumps([content_hash(copies["train"].path)]))
    assert seen_again(copies.values(), [], load_seen(tmp_path)) == {"train"}
    assert "1 seen recordings are known by their files only" in capsys.readouterr().out
    save_seen(tmp_path, [copies["stranger"]])
    seen_again(copies.values(), [], load_seen(tmp_path))
    assert capsys.readouterr().out == ""


def test_a_recording_that_an_earlier_stage_has_read_is_not_read_again(copies, tmp_path, monkeypatch):
    ref = replace(copies["train"], database="georgia")
    save_seen(tmp_path, [ref])
    before = load_seen(tmp_path)
    monkeypatch.setattr("cardiolect.data_provider.audit.seen.read_record", None)
    save_seen(tmp_path, [ref], before)
    assert load_seen(tmp_path) == before


def test_a_damaged_list_is_named(tmp_path):
    (tmp_path / SEEN).write_text("[")
    with pytest.raises(UserError, match=f"{SEEN}: is damaged"):
        load_seen(tmp_path)
    with pytest.raises(UserError, match="a fingerprint is damaged"):
        seen_again([RecordRef("1", tmp_path / "x")], [], {"signal:###"})

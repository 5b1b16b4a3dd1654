"""Evaluation leaves out patients that a training stage has seen, whatever split file names them."""

import json
import shutil
from dataclasses import replace

import pytest

from cardiolect.data_provider.audit.seen import (
    SEEN,
    load_seen,
    read_seen,
    record_seen,
    save_seen,
    seen_again,
    seen_before,
    take_over_seen,
)
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


@pytest.fixture(params=["cardiolect.json", "config.json"])
def trained(request, copies, tmp_path):
    """A checkpoint or an ECG tokenizer with the record of its list."""
    folder = tmp_path / "trained"
    folder.mkdir()
    record = save_seen(folder, [copies["train"], copies["stranger"]])
    (folder / request.param).write_text(json.dumps({"stage": "x", "seen": record}))
    return folder


def test_a_list_as_training_wrote_it_is_known_however_it_is_laid_out(trained, capsys):
    found = read_seen(trained)
    assert found.unknown == "" and found.record["count"] == len(found.marks) == len(load_seen(trained))
    (trained / SEEN).write_text(json.dumps(sorted(found.marks, reverse=True), indent=1))
    assert read_seen(trained).unknown == ""
    before = seen_before({"checkpoint": trained}, True)
    assert before.marks == found.marks and before.record == {} and capsys.readouterr().out == ""


def _of_another(path):
    path.write_text(json.dumps([f"other{mark}" for mark in json.loads(path.read_text())]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_text(json.dumps(json.loads(path.read_text())[:-1])), "is not the one that training"),
        (lambda path: path.write_text(path.read_text().replace("signal:", "signal:0", 1)), "is not the one that"),
        (lambda path: path.write_text("[]"), "is not the one that training wrote (0 entries, not"),
        (_of_another, "is not the one that training wrote"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "is damaged"),
        (lambda path: path.write_text("{}"), "is damaged"),
        (lambda path: path.write_text("[1, 2]"), "is damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is damaged"),
    ],
)
def test_a_list_that_was_lost_cut_or_changed_is_not_relied_upon(trained, change, says, capsys):
    change(trained / SEEN)
    assert says in read_seen(trained).unknown
    before = seen_before({"checkpoint": trained}, True)
    assert "checkpoint that training started from" in before.record["unknown"] and says in capsys.readouterr().out


def test_what_an_earlier_stage_did_not_know_stays_unknown(copies, tmp_path):
    record = save_seen(tmp_path, [copies["train"]]) | {"unknown": "its first stage"}
    (tmp_path / "cardiolect.json").write_text(json.dumps({"seen": record}))
    assert read_seen(tmp_path).unknown == "its first stage"


def test_the_ecg_tokenizer_in_a_checkpoint_has_the_list_of_the_checkpoint(copies, tmp_path):
    (tmp_path / "ecg_tokenizer").mkdir()
    record = save_seen(tmp_path, [copies["train"]])
    (tmp_path / "cardiolect.json").write_text(json.dumps({"seen": record}))
    assert read_seen(tmp_path / "ecg_tokenizer") == read_seen(tmp_path)


def test_a_list_without_a_record_is_used_and_said_to_be_unchecked(copies, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    save_seen(tmp_path, [copies["train"]])
    assert read_seen(tmp_path).unknown == "" and read_seen(tmp_path).record == {}
    before = seen_before({"ECG tokenizer": tmp_path}, True)
    assert before.record == {"unrecorded": "ECG tokenizer"}
    (tmp_path / "cardiolect.json").write_text(
        json.dumps({"seen": save_seen(tmp_path, [], before.marks) | before.record})
    )
    assert seen_before({"checkpoint": tmp_path}, True).record == before.record, "the next stage passes it on"


@pytest.mark.parametrize("name", ["cardiolect.json", "config.json"])
def test_a_run_that_replaces_weights_leaves_them_their_list_until_it_writes_its_own(copies, tmp_path, name):
    (tmp_path / name).write_text(json.dumps({"seen": save_seen(tmp_path, [copies["train"]])}))
    record = save_seen(tmp_path, [copies["stranger"]])
    assert read_seen(tmp_path).unknown == "", "the run may be killed before it has weights"
    if name == "config.json":
        record_seen(tmp_path, record)
    else:
        take_over_seen(tmp_path)
        (tmp_path / name).write_text(json.dumps({"seen": record}))
    assert read_seen(tmp_path).unknown == "" and read_seen(tmp_path).record == record
    assert sorted(path.name for path in tmp_path.glob("*seen*")) == [SEEN]

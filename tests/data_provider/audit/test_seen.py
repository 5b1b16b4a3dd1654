"""Evaluation leaves out patients that a training stage has seen, whatever split file names them."""

import shutil

from cardiolect.data_provider.audit.seen import load_seen, save_seen, seen_again
from cardiolect.data_provider.corpora.ptbxl_database import load_database


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

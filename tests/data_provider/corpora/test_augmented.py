"""Altered copies of recordings: the same heart, by another device."""

import json

import numpy as np
import pytest

from cardiolect.data_provider.audit.seen import SEEN, load_seen, save_seen, seen_again
from cardiolect.data_provider.corpora import augmented
from cardiolect.data_provider.corpora.databases import is_made
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.corpora.ptbxl_database import load_database, load_labels
from cardiolect.data_provider.manifest import load_records
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LIMB_FROM_I_II, resample
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.splits import seen_in_data
from cardiolect.utils.errors import UserError


@pytest.fixture(scope="module")
def copies(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    texts = [str(corpus / f"questions/{split}.json") for split in ("train", "test")]
    options = ["--folds", "1-2", "--copies", "2", "--workers", "1", "--texts", *texts]
    augmented.main(["--source", str(corpus), "--out", str(folder), *options])
    return folder


def test_each_recording_of_these_folds_has_its_copies_with_its_labels(corpus, copies):
    rows = {int(row["ecg_id"]): row for row in load_labels(corpus / "ptbxl_database.csv")}
    of_folds = {ecg_id for ecg_id, row in rows.items() if int(row["strat_fold"]) in (1, 2)}
    found = {int(row["ecg_id"]): row for row in load_labels(copies / "ptbxl_database.csv")}
    assert {i % augmented.BEYOND for i in found} == of_folds and len(found) == 2 * len(of_folds)
    for ecg_id, row in found.items():
        original = rows[ecg_id % augmented.BEYOND]
        assert all(row[name] == original[name] for name in ("scp_codes", "strat_fold", "patient_id"))


def test_a_copy_is_another_signal_of_the_same_beats(corpus, copies):
    originals, found = load_database(corpus), load_database(copies)
    rates, alike = set(), []
    for ecg_id, ref in list(found.items())[:12]:
        record, original = read_record(ref), read_record(originals[str(int(ecg_id) % augmented.BEYOND)])
        rates.add(record.fs)
        np.testing.assert_allclose(record.signal[:6], LIMB_FROM_I_II @ record.signal[:2], atol=0.003)
        lead = resample(record.signal, record.fs, 500)[1]
        lead, whole = np.diff(lead), np.diff(original.signal[1])
        best = np.correlate(whole - whole.mean(), lead - lead.mean(), "valid").max()
        alike.append(best / (np.linalg.norm(lead) * np.linalg.norm(whole)))
        assert len(lead) <= len(whole) and alike[-1] < 0.9999
    assert len(rates) > 2 and np.median(alike) > 0.7


def test_questions_follow_the_copies_but_not_those_about_noise(corpus, copies):
    asked = json.loads((copies / "questions.json").read_text())
    source = json.loads((corpus / "questions/train.json").read_text())
    ids = {int(i) for i in load_database(copies)}
    expected = [
        row for row in source if row["attribute_type"] != "noise" and row["ecg_id"][0] + augmented.BEYOND in ids
    ]
    assert len(asked) == 2 * len(expected) > 0 and {row["ecg_id"][0] for row in asked} <= ids
    assert {row["attribute_type"] for row in source} - {row["attribute_type"] for row in asked} == {"noise"}


def test_copies_are_prepared_like_their_recordings(copies, tmp_path):
    made = prepare("ptb-xl", copies, tmp_path / "m", [copies / "questions.json"], mixture_name="copies")
    assert made.records == len(load_records(tmp_path / "m")) > 0 and made.texts > made.records


def test_copies_have_the_patients_of_their_recordings_and_these_count_as_seen(corpus, copies):
    originals, found = load_database(corpus), load_database(copies)
    assert {ref.database for ref in found.values()} == {ref.database for ref in originals.values()}
    outside = [ref for ref in originals.values() if ref.fold not in (1, 2)]
    copied = [ref for ref in originals.values() if ref.fold in (1, 2)]
    seen = load_seen(copies)
    assert seen_again(copied, [], seen) == {ref.record_id for ref in copied}
    assert not seen_again(outside, [], seen)


def test_lists_of_seen_recordings_hold_only_ids_of_what_was_made(corpus, copies, tmp_path):
    refs = [*list(load_database(copies).values())[:3], *list(load_database(corpus).values())[:3]]
    save_seen(tmp_path, refs)
    assert {mark.partition(":")[0] for mark in load_seen(tmp_path)} == {"record", "patient"}


def test_copies_without_the_list_of_their_originals_are_refused(copies, tmp_path):
    prepare("ptb-xl", copies, tmp_path / "m", mixture_name="copies")
    settings = DataSettings(output_dir=tmp_path, data_root=[tmp_path / "m"])
    assert seen_in_data(settings) == load_seen(copies)
    (copies / SEEN).rename(tmp_path / SEEN)
    with pytest.raises(UserError, match="run cardiolect augment again"):
        seen_in_data(settings)
    (tmp_path / SEEN).rename(copies / SEEN)


def test_only_the_folder_of_a_recording_says_that_it_was_made(copies, tmp_path):
    assert is_made(copies / "records500/01/1.dat")
    (tmp_path / "copies.json").write_text("{}")
    (tmp_path / "real").mkdir()
    (tmp_path / "real/ptbxl_database.csv").write_text("")
    assert not is_made(tmp_path / "real/1.dat") and not is_made(tmp_path / "elsewhere/1.dat")


def test_the_same_seed_makes_the_same_copies(corpus, copies, tmp_path):
    augmented.main(
        ["--source", str(corpus), "--out", str(tmp_path / "a"), "--folds", "1", "--copies", "1", "--workers", "1"]
    )
    written = sorted((tmp_path / "a").rglob("*.dat"))
    assert written
    for path in written:
        assert path.read_bytes() == (copies / path.relative_to(tmp_path / "a")).read_bytes()


def test_no_recordings_and_finished_copies_are_named(corpus, copies, tmp_path):
    with pytest.raises(UserError, match="--copies 0: give 1 to 99"):
        augmented.main(["--source", str(corpus), "--out", str(tmp_path), "--copies", "0"])
    with pytest.raises(UserError, match=r"already holds ptbxl_database\.csv"):
        augmented.main(["--source", str(corpus), "--out", str(copies)])

"""Copies of a recording are recognised however they were converted; different recordings never are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bench.copies import COPIES, copy, groups_of, known, recognised
from cardiolect.data_provider.audit.__main__ import audit
from cardiolect.data_provider.audit.fingerprint import N_SHAPE, UNKNOWN, Fingerprint, fingerprint, sample_hash
from cardiolect.data_provider.audit.html_page import page
from cardiolect.data_provider.audit.leakage import Placed, leaks
from cardiolect.data_provider.audit.matching import NEAREST, candidates, seen_among
from cardiolect.data_provider.audit.report_texts import Report, rare_reports_across_splits
from cardiolect.data_provider.corpora.databases import MANIFEST
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.manifest import load_corpus, load_records
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import LEADS, ECGRecord, resample
from tests.helpers.wfdb_records import write

NEVER_RECOGNISED = {
    "seconds 0 to 3",
    "rate wrong by 2 %",
    "reversed in time",
    "chest leads in the order V3 V1 V2 V6 V4 V5",
}
AT_TIMES = {"noise of 30 uV", "noise of 100 uV", "15 Hz low-pass", "clipped at 0.5 mV"}
MISSED_BY_SEEN = {  # of some recordings
    "noise of 10 uV",
    "arm electrodes exchanged",
    "V1 and V2 exchanged",
    "left arm and left leg electrodes exchanged",
    "noise of 200 uV in V2 and V3",
    "seconds 0.3 to 5.8, 0.5 Hz high-pass, 5 uV, 200 Hz",
}


@pytest.fixture(scope="module")
def simulated(corpus) -> list[ECGRecord]:
    return [read_record(ref) for ref in list(load_database(corpus).values())[:40]]


@pytest.fixture(scope="module")
def originals(simulated):
    return [known(record) for record in simulated]


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_recognised_among_strangers(kind: str, simulated, originals):
    places = [3, 20, 37]
    audited, seen = recognised(originals, places, [known(copy(simulated[i], kind)) for i in places])
    if kind in NEVER_RECOGNISED:
        assert audited == seen == 0
    elif kind not in AT_TIMES:
        assert audited == 1
    if kind not in {*NEVER_RECOGNISED, *AT_TIMES, *MISSED_BY_SEEN}:
        assert seen == 1


def test_different_recordings_are_never_one(originals, shared_data):
    real = [known(read_record(ref)) for ref in list(load_database(shared_data / "ptb-xl").values())[:60]]
    labels = groups_of([*originals, *real])
    assert len(set(labels)) == len(labels)


def test_the_100_hz_files_of_ptbxl_are_copies_of_its_500_hz_files(shared_data):
    folder = shared_data / "ptb-xl"
    low = [path.with_suffix("") for path in sorted((folder / "records100").rglob("*.hea"))]
    high = [folder / "records500" / path.parent.name / path.name.replace("_lr", "_hr") for path in low]
    both = [known(read_record(path)) for path in (*high, *low)]
    assert len(low) == 20 and groups_of(both) == 2 * list(range(20))
    stored = [Fingerprint.from_text(found.to_text()) for _, found in both[:20]]
    assert seen_among([found for _, found in both[20:]], stored).all()
    assert not seen_among([found for _, found in both[30:]], stored[:10]).any()


def test_flat_short_and_missing_leads_are_no_copies_of_one_another(simulated):
    def record(signal: np.ndarray, good: bool = True) -> ECGRecord:
        return ECGRecord(signal.astype(np.float32), 500.0, np.full(signal.shape, good), "x")

    flat, short = record(np.zeros((12, 5000))), record(simulated[0].signal[:, :2000])
    assert fingerprint(flat) is None and sample_hash(flat) == "" and fingerprint(short) is None
    assert fingerprint(record(simulated[0].signal, good=False)) is None
    one_flat = simulated[0].signal.copy()
    one_flat[LEADS.index("V2")] = 0
    labels = groups_of([known(each) for each in (flat, flat, short, simulated[0], record(one_flat))])
    assert labels == [0, 1, 2, 3, 3]


def test_noise_without_beats_is_no_copy_of_other_noise():
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, 0.1, (12, 5000)).astype(np.float32) for _ in range(30)]
    labels = groups_of([known(ECGRecord(x, 500.0, np.ones(x.shape, bool), "x")) for x in (*noise, 1.1 * noise[7])])
    assert labels == [*range(30), 7]


def test_many_copies_of_one_recording_form_one_group(simulated):
    copies = [known(copy(simulated[5], kind)) for kind in COPIES if kind not in {*NEVER_RECOGNISED, *AT_TIMES}]
    labels = groups_of([known(record) for record in simulated[:20]] + copies)
    assert set(labels[20:]) == {labels[5]} and len(set(labels[:20])) == 20


def test_the_number_of_compared_pairs_grows_with_the_recordings_not_with_their_square():
    """Even where all recordings look alike, as regular rhythms of one simulator do."""
    alike = np.random.default_rng(0).integers(0, 2, (3000, N_SHAPE)).astype(np.int8)
    assert len(candidates(alike)) <= 2 * (NEAREST + 1) * len(alike)


def test_a_fingerprint_survives_being_stored(simulated):
    found = fingerprint(copy(simulated[0], "II, V1, V5 only"))
    stored = Fingerprint.from_text(found.to_text())
    assert np.array_equal(stored.shape, found.shape) and np.array_equal(stored.signs, found.signs[:, ::4])
    assert (stored.signs[0] == 0).all() and (found.shape == UNKNOWN).any() and len(found.to_text()) < 300


def test_a_converted_copy_in_another_corpus_is_a_leak_and_the_page_names_the_limits(corpus, tmp_path):
    refs = load_database(corpus)
    record = read_record(refs["1"])
    (tmp_path / "georgia").mkdir()
    converted = resample(1.05 * record.signal[:, 7:], 500, 250)
    write(tmp_path / "georgia", converted, fs=250, name="copy")
    prepare("georgia", tmp_path / "georgia", tmp_path / "a")
    prepare("simulated", corpus, tmp_path / "b")
    figures = audit([tmp_path / "a", tmp_path / "b"])
    assert figures["duplicates"] == [["georgia/copy", "simulated/1"]]
    shown = page({**figures, "leaks": []})
    assert "No leakage found: no known patient, no recognised ECG" in shown and "wrong sampling rate" in shown


def test_two_manifests_of_one_database_share_its_patients(shared_data, tmp_path):
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path / "a", folds=["1-7", "8", "9-10"])
    prepare("ptb-xl", shared_data / "ptb-xl-reconstructed", tmp_path / "b", mixture_name="more")
    placed = [
        Placed(corpus.name, ref.record_id, ref.patient_id, split, "", corpus.database)
        for folder in (tmp_path / "a", tmp_path / "b")
        for corpus in [load_corpus(folder)]
        for ref, split in load_records(folder).values()
    ]
    (line,) = leaks(placed)
    assert (
        line.startswith("1 patient is in more than one split") and "ptb-xl/352 (test)" in line and "more/1701" in line
    )


def test_a_manifest_that_does_not_name_its_database_still_works_and_says_so(shared_data, tmp_path, capsys):
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path, mixture_name="mine")
    old = json.loads((tmp_path / MANIFEST).read_text())
    assert old.pop("database") == "ptb-xl"
    (tmp_path / MANIFEST).write_text(json.dumps(old))
    assert load_corpus(tmp_path).database == load_corpus(tmp_path).database == "ptb-xl"
    assert capsys.readouterr().err.count("names no database: its patients are taken for those of ptb-xl") == 1
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path, database="our-hospital", force=True)
    assert {ref.database for ref, _ in load_records(tmp_path).values()} == {"our-hospital"}


def test_patients_of_two_simulated_corpora_are_different_people(corpus, tmp_path):
    prepare("simulated", corpus, tmp_path / "a")
    settings = (corpus / "corpus.json").read_text()
    other = tmp_path / "other"
    other.mkdir()
    for path in corpus.iterdir():
        if path.name != "corpus.json":
            (other / path.name).symlink_to(path)
    (other / "corpus.json").write_text(settings.replace('"seed": 3', '"seed": 4'))
    prepare("simulated", other, tmp_path / "b")
    assert load_corpus(tmp_path / "a").database != load_corpus(tmp_path / "b").database


def test_a_long_report_that_nobody_else_wrote_is_listed_if_it_is_in_two_splits():
    text = "A long free report that no two people write alike, 12 words and more."
    phrases = ["sinus rhythm with first degree block", "left axis deviation", "old inferior infarct of unknown age"]
    device = [". ".join(np.random.default_rng(i).permutation(phrases)) for i in range(20)]
    others = [Report(f"c/{i}", ("train", "test")[i % 2], words) for i, words in enumerate(device)]
    copies = [Report("c/a", "train", text), Report("c/b", "test", text.upper()), Report("c/c", "", text)]
    assert rare_reports_across_splits([*others, *copies]) == [copies]
    assert rare_reports_across_splits([replace(each, split="train") for each in copies]) == []

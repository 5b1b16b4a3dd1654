"""Several corpora in one run: ids stay apart, weights say how often each is seen, comparisons train and evaluate."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cardiolect.data_provider.audit.seen import SEEN, save_seen
from cardiolect.data_provider.corpora.mixture import probabilities, take
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.splits import corpus_weights, known_recordings, load_splits, seen_in_data
from cardiolect.model.evaluation.condition_inputs import another_patient
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.training.rows import FinetuneDataset, PretrainDataset
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.ecgs import CodesInMemory
from tests.helpers.runs import one_thread, run


@pytest.fixture(scope="module")
def manifests(tmp_path_factory, shared_data, corpus) -> list[Path]:
    """Real PTB-XL with ECG-QA's questions and splits, and simulated recordings with a question each."""
    folder = tmp_path_factory.mktemp("manifests")
    qa = shared_data / "ecg-qa/ecgqa/ptbxl"
    prepare("ptb-xl", shared_data / "ptb-xl", folder / "real", [qa / "template"], "CC BY 4.0", qa)
    asked = [
        {
            "ecg_id": header.stem,
            "question": "Is this a simulation?",
            "answer": ["yes"],
            "question_type": "single-verify",
        }
        for header in (corpus / "records500").rglob("*.hea")
    ]
    (folder / "asked.json").write_text(json.dumps(asked))
    prepare("georgia", corpus, folder / "simulated", [folder / "asked.json"])
    return [folder / "real", folder / "simulated"]


def settings(roots: list[Path], **values) -> DataSettings:
    return DataSettings(output_dir=Path("unused"), data_root=roots, **values)


def test_ids_of_two_corpora_stay_apart_and_lead_to_their_recordings(manifests):
    splits = load_splits(settings(manifests), ("train", "valid", "test"), task="qa")
    named = Counter(ref.corpus for split in splits.values() for ref in split.records)
    assert named == {"ptb-xl": 488, "georgia": 120}
    for split in splits.values():
        for ref in split.records[::50]:
            assert ref.record_id.startswith(f"{ref.corpus}/") and ref.path.with_name(ref.path.name + ".hea").is_file()
            assert ref.patient_id is None or ref.patient_id.startswith("ptb-xl/")
    assert known_recordings(manifests).keys() >= {ref.record_id for ref in splits["test"].records}
    real = [e for split in splits.values() for e in split.examples if e.records[0].corpus == "ptb-xl"]
    assert len(real) == 637 and sum(len(e.records) == 2 for e in real) == 166 + 38 + 20


@pytest.mark.parametrize(("weight", "rows"), [(0, 0), (0.5, 5), (1, 10), (2.3, 23)])
def test_a_weight_is_how_often_an_epoch_takes_a_corpus(weight, rows):
    taken = Counter(take(range(10), weight, Random(0)))
    assert taken.total() == rows and all(abs(taken[row] - weight) < 1 for row in range(10))


def test_epochs_of_a_mixture_have_one_length_and_take_other_rows_of_a_part():
    refs = [RecordRef(f"{c}/{k}", Path("x"), corpus=c) for c, n in (("a", 6), ("b", 10)) for k in range(n)]
    cache = CodesInMemory({ref: np.zeros(4, dtype=np.uint16) for ref in refs})
    weights = {"a": 2, "b": 0.5}
    pretraining = PretrainDataset(None, refs, cache, "causal", corpus_weights=weights)
    first = list(pretraining.refs)
    pretraining.set_epoch(1)
    assert [Counter(ref.corpus for ref in rows) for rows in (first, pretraining.refs)] == [{"a": 12, "b": 5}] * 2
    assert {ref for ref in first if ref.corpus == "b"} != {ref for ref in pretraining.refs if ref.corpus == "b"}

    class Words:
        eos_token_id = 1

    class Vocabulary:
        tokenizer, chat = Words, None

        @staticmethod
        def text_ids(text: str) -> list[int]:
            return [0] * len(text)

        ids, escaped, timed = text_ids, str, str

    asked = [Example(str(k), (ref,), "qa", "?", ("yes",)) for k, ref in enumerate(refs)]
    questions = FinetuneDataset(Vocabulary, asked, cache, corpus_weights=weights)
    for epoch in range(2):
        questions.set_epoch(epoch)
        assert Counter(questions.records_of(i)[0].corpus for i in range(len(questions))) == {"a": 12, "b": 5}


def test_a_limit_on_validation_is_of_each_corpus_and_keeps_comparisons_whole(manifests):
    """Drawn one by one, few recordings of a comparison would come together."""
    valid = load_splits(settings(manifests, max_valid=10), ("valid",), task="qa")["valid"]
    assert Counter(ref.corpus for ref in valid.records) == {"ptb-xl": 10, "georgia": 10}
    assert sum(len(e.records) == 2 for e in valid.examples) >= 5
    assert {i for e in valid.examples for i in e.record_ids} <= {ref.record_id for ref in valid.records}


def test_a_corpus_may_be_for_training_only_which_is_said(manifests, corpus, tmp_path, capsys):
    prepare("simulated", corpus, tmp_path / "simulated", folds=["1-9", "", "10"])
    mixed = settings([manifests[0], tmp_path / "simulated"])
    splits = load_splits(mixed, ("train", "valid"), task="qa")
    assert {ref.corpus for ref in splits["valid"].records} == {"ptb-xl"}
    assert "valid: no recordings of simulated" in capsys.readouterr().out
    with pytest.raises(UserError, match="the valid split is empty"):
        load_splits(settings([tmp_path / "simulated"]), ("valid",), task="qa")


def test_noise_of_real_recordings_counts_as_seen(manifests, tmp_path):
    """A model that trained on simulated ECGs with the noise of a recording is no stranger to it."""
    ref = load_splits(settings(manifests), ("test",), None)["test"].records[0]
    assert seen_in_data(settings(manifests)) == set()
    save_seen(manifests[1], [ref])
    assert content_hash(ref.path) in seen_in_data(settings(manifests))
    (manifests[1] / SEEN).unlink()


def test_the_tokenizer_draws_recordings_by_the_weight_of_their_corpus(manifests):
    weights = corpus_weights(settings(manifests, corpus_weights=[1, 3]))
    drawn = probabilities(["ptb-xl/1", "georgia/2", "georgia/3"], weights)
    np.testing.assert_allclose(drawn, [1 / 7, 3 / 7, 3 / 7])
    assert probabilities(["1", "2"], {}) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"corpus_weights": [1]}, "1 numbers for 2 corpora"),
        ({"corpus_weights": [0, 0]}, "all are 0"),
        ({"corpus_weights": [1, -1]}, "numbers from 0 to"),
        ({"train_folds": "1-8"}, "TRAIN_FOLDS needs a single DATA_ROOT"),
    ],
)
def test_impossible_mixtures_are_named(manifests, tmp_path, values, message):
    with pytest.raises(UserError, match=message):
        DataSettings(output_dir=tmp_path, data_root=manifests, **values).check()
    with pytest.raises(UserError, match="is not a prepared corpus"):
        DataSettings(output_dir=tmp_path, data_root=[manifests[0], tmp_path]).check()
    with pytest.raises(UserError, match="are named ptb-xl"):
        load_splits(settings([manifests[0]] * 2), ("train",), None)


def test_a_recording_in_two_splits_under_two_names_is_leakage(manifests, shared_data, tmp_path):
    """The same PTB-XL, split by ECG-QA in one corpus and by fold in the other."""
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path, mixture_name="by-fold")
    with pytest.raises(UserError, match="are in both train and valid"):
        load_splits(settings([manifests[0], tmp_path]), ("train", "valid"), None)


def test_evaluation_takes_no_weights(manifests, tmp_path):
    values = {"tasktype": "qa", "checkpoint": tmp_path, "output_dir": tmp_path, "data_root": manifests}
    with pytest.raises(UserError, match="CORPUS_WEIGHTS is for training"):
        EvalSettings(**values, corpus_weights=[1, 2]).check()


def test_another_patients_ecgs_are_those_of_strangers_on_both_sides():
    """The floor of a comparison shows another comparison, of one patient where it is of one, and nobody of its own."""
    refs = {name: RecordRef(name, Path(name), name[0]) for name in ("a1", "a2", "b1", "b2", "c1", "d1", "e1", "e2")}

    def asked(*names: str) -> tuple[RecordRef, ...]:
        return tuple(refs[name] for name in names)

    pairs = [asked("a1", "b1"), asked("b1", "c1"), asked("c1", "d1"), asked("a1", "a2"), asked("e1", "e2")]
    partner = another_patient([*pairs, asked("a1"), asked("b2")], seed=0)
    for pair in pairs:
        shown = partner[tuple(ref.record_id for ref in pair)]
        assert len(shown) == 2 and {r.patient_id for r in shown}.isdisjoint(r.patient_id for r in pair)
        assert shown[0] != shown[1]
    assert {r.patient_id for r in partner["a1", "a2"]} == {"e"}
    assert partner["a1",] == asked("b2")
    assert another_patient([asked("a1"), asked("a2")], seed=0) == {}


def test_a_mixture_with_comparisons_trains_and_evaluates(manifests, tmp_path, tokenizer_folder):
    roots = ",".join(map(str, manifests))
    lines = {"DATA_ROOT": roots, "CORPUS_WEIGHTS": "1,0.5", "MAX_VALID": 30, "TUNING": "full"}
    tiny = {"TINY_VOCABULARY": 400, "TINY_LAYERS": 1, "TINY_HIDDEN": 32, "TINY_HEADS": 2}
    pretrained = run(
        "pretrain", tmp_path, "pre", **lines, **tiny, LLM_PATH="tiny", TOKENIZER_PATH=tokenizer_folder, MAX_TRAIN=40
    )
    tuned = run("finetune", tmp_path, "ft", **lines, TASKTYPE="qa", CHECKPOINT=pretrained)
    env = tmp_path / "eval.env"
    env.write_text(
        f"DATA_ROOT={roots}\nTASKTYPE=qa\nCHECKPOINT={tuned}\nOUTPUT_DIR={tmp_path}/results\nMAX_NEW_TOKENS=3\n"
        f"CACHE_DIR={tmp_path}/cache\nWORKERS=0\n"
    )
    done = subprocess.run(
        [sys.executable, "run_eval.py", str(env)], cwd=ROOT, capture_output=True, text=True, env=one_thread()
    )
    assert done.returncode == 0, done.stderr[-2000:]
    scores = json.loads((tmp_path / "results/result.json").read_text())
    kinds = scores["groups"]["question_type"]
    assert kinds["comparison_irrelevant-query"]["n"] == 20 and kinds["single-verify"]["n"] > 0
    assert set(scores["conditions"]) >= {"no_ecg", "other_ecg", "majority"}
    rows = [json.loads(line) for line in (tmp_path / "results/predictions.jsonl").read_text().splitlines()]
    assert sorted({len(row["record_ids"]) for row in rows}) == [1, 2]

"""HELD_OUT: every stage of an experiment leaves out the same patients, so that its tests are about patients unseen."""

import json
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider import splits as splits_module
from cardiolect.data_provider.audit.held_out import People
from cardiolect.data_provider.audit.seen import load_seen, save_seen, seen_again
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.splits import held_out, known_recordings, load_splits, warn_of_seen
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.wfdb_records import write

PTBXL = {"corpus": "ptbxl", "tokenizer": "ecg_tokenizer/config.env", "pretrain": "env/pretrain.env"}
MIMIC = {"corpus": "mimic", "tokenizer": "env/tokenizer_mimic.env", "pretrain": "env/pretrain_mimic.env"}


def stages(experiment: dict, task: str) -> dict[str, type]:
    """Env file -> its settings, in the order in which they run."""
    name = f"{task}_{experiment['corpus']}"
    return {
        experiment["tokenizer"]: TokenizerSettings,
        experiment["pretrain"]: PretrainSettings,
        f"env/ft_{name}.env": FinetuneSettings,
        f"env/test_{name}.env": EvalSettings,
    }


def heartllm_files(folder: Path, corpus: str, texts: dict[tuple[str, str], list[dict]]) -> None:
    """HeartLLM's files of questions and reports: (kind, split) -> items."""
    for (kind, split), items in texts.items():
        name = f"template_{split}_background.json" if kind == "ecgqa" else f"{split}.json"
        path = folder / "data/heartllm" / kind / corpus / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(items))


def items_in(path: Path) -> list[dict]:
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    return [item for file in files for item in json.loads(file.read_text())]


@pytest.fixture
def ptbxl_folder(tmp_path, shared_data) -> Path:
    """PTB-XL's sample where the presets expect PTB-XL, ECG-QA's questions and HeartLLM's reports about it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/ptb-xl").symlink_to(shared_data / "ptb-xl")
    known = set(load_database(shared_data / "ptb-xl"))
    splits = ("train", "valid", "test")
    texts = {("ecgqa", s): items_in(shared_data / "ecg-qa/ecgqa/ptbxl/template" / s) for s in splits}
    reports = {("report", s): items_in(shared_data / f"heartllm-json/report/ptbxl/{s}.json") for s in splits}
    texts |= {key: [item for item in items if str(item["ecg_id"]) in known] for key, items in reports.items()}
    heartllm_files(tmp_path, "ptbxl", texts)
    return tmp_path


@pytest.fixture
def mimic_folder(tmp_path, shared_data) -> Path:
    """Made-up signals under the paths of HeartLLM's MIMIC samples; patients of both tests have studies in training."""
    rng = np.random.default_rng(0)
    texts = {}
    for kind, name in (("ecgqa", "template_{}_background.json"), ("report", "{}.json")):
        for split in ("train", "valid", "test"):
            items = items_in(shared_data / "heartllm-json" / kind / "mimic-iv-ecg" / name.format(split))
            texts[kind, split] = items[:25]
    for i, item in enumerate(texts["ecgqa", "test"][:5] + texts["report", "test"][:5]):
        patient = (item.get("ecg_path") or item["filepath"]).rpartition("/s")[0]
        study = {"ecg_id": 90000 + i, "filepath": f"{patient}/s{90000 + i}/{90000 + i}"}
        texts["report", "train"].append(texts["report", "train"][0] | study)
    for item in (item for items in texts.values() for item in items):
        path = tmp_path / "data/mimic-iv-ecg/files" / (item.get("ecg_path") or item["filepath"])
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path.parent, rng.normal(size=(12, 50)), name=path.name)
    heartllm_files(tmp_path, "mimic-iv-ecg", texts)
    return tmp_path


def run_data_side(folder: Path, files: dict[str, type], monkeypatch) -> tuple[int, set[str], list[dict]]:
    """What the stages load: number of test recordings, those left out as seen, and what training stages left out."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WORKERS", "0")
    seen, left_out = set(), []
    for number, (file, cls) in enumerate(files.items()):
        settings = cls.read(ROOT / file)
        settings.check_data()
        task = getattr(settings, "tasktype", None)
        if cls is EvalSettings:
            refs = {ref for e in load_splits(settings, ("test",), task)["test"].examples for ref in e.records}
            return len(refs), seen_again(refs, known_recordings(settings.data_root).values(), seen), left_out
        splits = load_splits(settings, ("train", "valid"), task)
        left_out.append({name: split.removed for name, split in splits.items()})
        stage = folder / f"stage{number}"
        stage.mkdir()
        save_seen(stage, [ref for split in splits.values() for ref in split.records], seen)
        seen = load_seen(stage)
    raise AssertionError("no evaluation among the stages")


@pytest.mark.parametrize("task", ["qa", "report"])
def test_no_stage_of_the_ptbxl_presets_sees_a_patient_of_their_tests(ptbxl_folder, task, monkeypatch, capsys):
    tested, seen, left_out = run_data_side(ptbxl_folder, stages(PTBXL, task), monkeypatch)
    assert tested >= 20 and seen == set()
    assert left_out[0]["train"]["held_out"]["records"] >= 20 and left_out[0]["train"]["validation"]["records"] > 0
    gone = left_out[0]["train"]["held_out"]["records"]
    assert f"train: left out {gone} of 488 recordings" in capsys.readouterr().out


@pytest.mark.parametrize("task", ["qa", "report"])
def test_no_stage_of_the_mimic_presets_sees_a_patient_of_their_tests(mimic_folder, task, monkeypatch):
    tested, seen, left_out = run_data_side(mimic_folder, stages(MIMIC, task), monkeypatch)
    assert tested >= 20 and seen == set()
    assert left_out[1]["train"]["held_out"] == {"records": 10, "patients": 10, "texts": 10}


def test_all_stages_of_an_experiment_hold_out_the_same(monkeypatch):
    for experiment in (PTBXL, MIMIC):
        files = stages(experiment, "qa") | stages(experiment, "report")
        held = {tuple(cls.read(ROOT / file).held_out) for file, cls in files.items() if cls is not EvalSettings}
        assert len(held) == 1
        tests = {path for file, cls in files.items() if cls is EvalSettings for path in cls.read(ROOT / file).test_data}
        assert set(held.pop()) == tests


def test_recordings_are_the_same_by_database_and_id_whatever_the_corpus_is_called(tmp_path):
    held = People([RecordRef("5", tmp_path / "a", "17", database="ptb-xl")])
    assert RecordRef("more/9", tmp_path / "b", "ptb-xl/17", corpus="more", database="ptb-xl") in held
    assert RecordRef("more/5", tmp_path / "c", corpus="more", database="ptb-xl") in held
    assert RecordRef("5", tmp_path / "d", "17", database="code-15") not in held
    assert RecordRef("6", tmp_path / "e", database="ptb-xl") not in held, "an unknown patient is not held out"


def settings_of(folder: Path, **values) -> TokenizerSettings:
    return TokenizerSettings(output_dir=folder / "out", **values)


def patients(refs) -> set[str]:
    return {ref.patient_id for ref in refs}


@pytest.fixture(scope="module")
def prepared(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "a"
    prepare("simulated", corpus, folder)
    return folder


@pytest.mark.parametrize("named", ["questions", "manifest", "ids"])
def test_questions_ids_and_a_prepared_corpus_name_what_is_held_out(corpus, prepared, tmp_path, named):
    """The corpus trains by folds; what is held out is what another preparation of it tests on."""
    database = load_database(corpus)
    other = tmp_path / "other"
    prepare("simulated", corpus, other, folds=["1-7", "8", "9-10"])
    if named == "questions":
        path = corpus / "questions/test.json"
        ids = {str(i) for item in items_in(path) for i in item["ecg_id"]}
    elif named == "manifest":
        path, ids = other, {i for i, ref in database.items() if ref.fold in (9, 10)}
    else:
        path, ids = tmp_path / "test_ecgs.tsv", set(list(database)[:7])
        path.write_text("".join(f"{n}\t{i}\n" for n, i in enumerate(ids)))
    for root in (corpus, prepared):
        settings = settings_of(tmp_path, data_root=[root], train_folds="1-7,9-10", valid_folds="8", held_out=[path])
        splits = load_splits(settings, ("train", "valid"), None)
        for split in splits.values():
            assert patients(split.records).isdisjoint(patients(database[i] for i in ids))
        assert patients(splits["train"].records).isdisjoint(patients(splits["valid"].records))


def test_a_mixture_of_corpora_holds_out_the_patients_of_both(corpus, prepared, tmp_path):
    other = tmp_path / "other"
    prepare("simulated", corpus, other, folds=["3-8", "9", "1-2,10"], mixture_name="other")
    database = load_database(corpus)
    some = tmp_path / "some.json"
    some.write_text(json.dumps(items_in(corpus / "questions/train.json")[:50]))
    asked = {str(i) for item in items_in(some) for i in item["ecg_id"]}
    for held, ids in ((some, asked), (other, {i for i, ref in database.items() if ref.fold in (1, 2, 10)})):
        settings = settings_of(tmp_path, data_root=[prepared, other], held_out=[held])
        train = load_splits(settings, ("train",), None)["train"]
        assert train.removed["held_out"]["records"] > 0
        assert {ref.own_patient_id for ref in train.records}.isdisjoint(patients(database[i] for i in ids))


def test_training_loses_the_texts_too_and_comparisons_with_either_recording(ptbxl_folder, monkeypatch):
    monkeypatch.chdir(ptbxl_folder)
    settings = FinetuneSettings.read(ROOT / "env/ft_qa_ptbxl.env")
    before = load_splits(settings.model_copy(update={"held_out": []}), ("train",), "qa")["train"]
    pair = next(e for e in before.examples if len(e.records) == 2)
    held = ptbxl_folder / "held.json"
    held.write_text(json.dumps([{"ecg_id": int(pair.record_ids[0]), "report": "one of a pair"}]))
    after = load_splits(settings.model_copy(update={"held_out": [held]}), ("train",), "qa")["train"]
    gone = {e.sample_id for e in before.examples} - {e.sample_id for e in after.examples}
    assert pair.sample_id in gone and after.removed["held_out"]["texts"] == len(gone)


def test_what_is_held_out_is_read_once_for_all_splits_and_stages_of_a_process(corpus, tmp_path, monkeypatch):
    settings = settings_of(tmp_path, data_root=[corpus], held_out=[corpus / "questions/test.json"])
    settings = settings.model_copy(update={"train_folds": "1-8", "valid_folds": "9"})
    read, own = [], splits_module.find_held_out
    monkeypatch.setattr(splits_module, "find_held_out", lambda *arguments: read.append(1) or own(*arguments))
    first = load_splits(settings, ("train", "valid"), None)
    again = load_splits(settings.model_copy(update={"seed": 7}), ("train", "valid"), None)
    assert all((split.records, split.removed) == (first[n].records, first[n].removed) for n, split in again.items())
    warn_of_seen(settings, set())
    assert len(held_out(settings)) > 0 and len(read) == 1
    other = settings.model_copy(update={"held_out": [corpus / "questions/valid.json"]})
    assert held_out(other) is not held_out(settings) and len(read) == 2


def test_a_file_about_another_corpus_is_named(corpus, tmp_path):
    path = tmp_path / "held.json"
    path.write_text(
        json.dumps([{"ecg_id": 99999, "report": "of nobody here", "filepath": "records500/99000/99999_hr"}])
    )
    settings = settings_of(tmp_path, data_root=[corpus], train_folds="1-8", valid_folds="9", held_out=[path])
    with pytest.raises(UserError, match=r"HELD_OUT: .*held\.json names no recording of DATA_ROOT"):
        load_splits(settings, ("train", "valid"), None)
    path.write_text("{}")
    with pytest.raises(UserError, match=r"HELD_OUT: .*held\.json: contains a JSON dict"):
        load_splits(settings, ("train", "valid"), None)


def test_evaluation_refuses_a_setting_of_training(corpus, tmp_path):
    env_file = tmp_path / "x.env"
    lines = {"TASKTYPE": "qa", "DATA_ROOT": corpus, "CHECKPOINT": tmp_path, "OUTPUT_DIR": tmp_path / "out"}
    lines |= {"TEST_DATA": corpus / "questions/test.json", "HELD_OUT": corpus / "questions/test.json"}
    env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with pytest.raises(UserError, match="HELD_OUT is for training"):
        EvalSettings.load(env_file)

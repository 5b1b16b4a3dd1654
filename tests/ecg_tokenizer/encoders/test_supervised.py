"""Supervised training of encoders: what counts, resuming, ranks, and the language model that follows."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cardiolect.data_provider.ecgqa.scp_classes import indicators, load_classes
from cardiolect.ecg_tokenizer.encoders.settings import EncoderSettings
from cardiolect.ecg_tokenizer.encoders.training import train_encoder
from cardiolect.utils.errors import UserError
from cardiolect.utils.scp_codes import LABEL_TASKS, SUBCLASS_OF, SUPERCLASS_OF
from tests.helpers import ROOT
from tests.helpers.runs import command, finetune_lines, interrupted, one_thread, run

SMALL = {
    **{"REPRESENTATION": "encoder", "ENCODER": "convnext-atto", "ENCODER_WIDTH": 8, "ENCODER_DEPTH": 1},
    **{"TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "MAX_TRAIN": 24, "MAX_VALID": 24, "LABELS": "rhythm"},
    **{"STEPS": 4, "EVAL_STEPS": 2, "BATCH_SIZE": 6, "CROP_SECONDS": 2},
}


def test_an_encoder_is_trained_and_its_figures_are_kept(tmp_path, corpus):
    output = run("tokenizer", tmp_path, "encoder", DATA_ROOT=corpus, **SMALL)
    figures = json.loads((output / "metrics.json").read_text())
    assert 0 <= figures["macro_auroc"] <= 1 and figures["labels"] == sorted(set(LABEL_TASKS["rhythm"].values()))
    assert figures["recordings"] <= 24 and figures["classes"] >= 1
    log = (output / "training.log").read_text()
    assert "mean AUROC" in log and "encoder" in json.loads((output / "config.json").read_text())["representation"]


def test_a_stopped_run_goes_on_to_the_weights_of_an_unbroken_one(tmp_path, corpus):
    short = {**SMALL, "EVAL_STEPS": 4, "SAVE_STEPS": 1}  # so that the weights kept are those of the last step
    whole = run("tokenizer", tmp_path, "whole", DATA_ROOT=corpus, **short)
    learner = "cardiolect.ecg_tokenizer.encoders.objectives.supervised.SupervisedLearner"
    output = interrupted(tmp_path, "broken", learner, step=4, DATA_ROOT=corpus, **short)
    assert list((output / "resume").glob("step-3.pt"))
    run("tokenizer", tmp_path, "broken", DATA_ROOT=corpus, **short)
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, output))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_ranks_train_as_one(tmp_path, corpus):
    folders = [
        run("tokenizer", tmp_path, f"{ranks} ranks", DATA_ROOT=corpus, **SMALL, NUM_PROCESSES=ranks) for ranks in (1, 2)
    ]
    one, two = (load_file(folder / "model.safetensors") for folder in folders)
    assert all((one[name] - two[name]).abs().max() < 2e-5 for name in one)
    figures = [json.loads((folder / "metrics.json").read_text())["macro_auroc"] for folder in folders]
    assert figures[0] == pytest.approx(figures[1], abs=1e-3)


def test_labels_that_no_recording_has_are_an_error(tmp_path, corpus):
    env_file = tmp_path / "x.env"
    lines = {**SMALL, "DATA_ROOT": corpus, "OUTPUT_DIR": tmp_path / "out", "MAX_VALID": 1, "WORKERS": 0}
    lines["CACHE_DIR"] = tmp_path / "cache"
    env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with pytest.raises(UserError, match="LABELS=rhythm: no class has recordings with and without it"):
        train_encoder(EncoderSettings.load(env_file))


def test_classes_are_those_of_the_benchmark(shared_data):
    assert len(set(SUBCLASS_OF.values())) == 23 and SUBCLASS_OF.keys() == SUPERCLASS_OF.keys()
    labels = load_classes(shared_data / "ptb-xl", "subclass")
    assert labels["1"] == {"NORM"} and load_classes(shared_data / "ptb-xl", "rhythm")["1"] == {"SR"}
    found = indicators({"a": frozenset({"AMI"}), "b": frozenset()}, ["a", "b", "c"], ["AMI", "IMI"])
    np.testing.assert_array_equal(found, [[1, 0], [np.nan] * 2, [np.nan] * 2])


@pytest.mark.parametrize("frozen", [True, False])
def test_a_language_model_is_trained_on_its_rows_and_a_frozen_encoder_stays_as_it_was(frozen, tmp_path, corpus):
    lines = {**SMALL, "OBJECTIVE": "none", "ENCODER_FROZEN": str(frozen).lower(), "ENCODER_TOKENS": 5}
    lines = {key: value for key, value in lines.items() if key not in ("STEPS", "EVAL_STEPS", "BATCH_SIZE")}
    lines = {key: value for key, value in lines.items() if key not in ("CROP_SECONDS", "LABELS")}
    encoder = run("tokenizer", tmp_path, "encoder", DATA_ROOT=corpus, **lines)
    tiny = {"LLM_PATH": "tiny", "TINY_CORPUS": corpus / "questions/train.json", "TINY_VOCABULARY": 400}
    tiny |= {"TINY_LAYERS": 1, "TINY_HIDDEN": 32, "TINY_HEADS": 2, "TUNING": "full", "MAX_TRAIN": 20}
    asked = {**finetune_lines(corpus, tmp_path), **tiny, "TOKENIZER_PATH": encoder, "ECG_LOSS_WEIGHT": 0}
    del asked["CHECKPOINT"]
    checkpoint = run("finetune", tmp_path, "llm", **asked)
    before, after = (load_file(folder / "model.safetensors") for folder in (encoder, checkpoint / "ecg_tokenizer"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before) == frozen


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"ENCODER": "mtae", "CROP_SECONDS": 4}, "CROP_SECONDS=4: mtae knows only the positions of its training"),
        ({"TIME_STRETCH": 0.1}, "TIME_STRETCH changes the rate and the intervals that LABELS state"),
        ({"ENCODER": "resnet18", "OBJECTIVE": "none"}, "OBJECTIVE=none: resnet18 .* needs data for its batch norms"),
        ({"ENCODER_WIDTH": 17}, "ENCODER_WIDTH=17: give a multiple of 8"),
        ({"DATA_ROOT": "{dir}"}, "LABELS: .*ptbxl_database.csv does not exist"),
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path, corpus, lines, message):
    values = {**SMALL, "DATA_ROOT": corpus, "OUTPUT_DIR": tmp_path / "out", **lines}
    values["DATA_ROOT"] = str(values["DATA_ROOT"]).format(dir=tmp_path)
    (tmp_path / "x.env").write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    with pytest.raises(UserError, match=message):
        EncoderSettings.load(tmp_path / "x.env")


def test_other_labels_are_another_run_and_random_weights_replace_no_training(tmp_path, corpus):
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    output = run("tokenizer", tmp_path, "encoder", DATA_ROOT=copy, **SMALL)
    table = copy / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("'SR'", "'AFIB'", 1))
    words, _ = command("tokenizer", tmp_path, "encoder", DATA_ROOT=copy, **SMALL)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 2 and "labels" in done.stderr and "RESUME=false" in done.stderr
    lines = {"REPRESENTATION": "encoder", "OBJECTIVE": "none", "DATA_ROOT": copy}
    words, _ = command("tokenizer", tmp_path, "encoder", **lines)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 2 and "holds what was trained" in done.stderr
    assert (output / "model.safetensors").is_file()

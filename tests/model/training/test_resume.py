"""RESUME: what a run finds in its OUTPUT_DIR decides whether it begins, goes on, stops or is done."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from transformers import TrainerControl, TrainerState

from cardiolect.model.training.resume import MAY_DIFFER, PATHS, choose_start, last_step
from cardiolect.model.training.settings import ADAPTERS, FinetuneSettings, PretrainSettings
from cardiolect.model.training.trainer import RunCallback
from cardiolect.utils.errors import UserError
from cardiolect.utils.resume import Start, begin, comparable, finish
from cardiolect.utils.stopping import Signals
from tests.helpers import ROOT
from tests.helpers.runs import command, curve, finetune_lines, one_thread, run

CONTENTS = {"stage": "finetune", "data": "d1", "language model": "m1"}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Makes settings of a run with one OUTPUT_DIR; keywords are the lines of its env file."""
    monkeypatch.delenv("RESUME", raising=False)
    monkeypatch.setattr("cardiolect.utils.resume.code_version", lambda: "v1")
    (tmp_path / "ecgs").mkdir()

    def make(cls=FinetuneSettings, **lines):
        file = tmp_path / "run.env"
        lines = {"OUTPUT_DIR": tmp_path / "out", "DATA_ROOT": tmp_path / "ecgs", "TASKTYPE": "qa", **lines}
        keys = cls.keys()
        file.write_text("".join(f"{key}={value}\n" for key, value in lines.items() if key in keys))
        return cls.read(file)

    return make


def save_step(settings, contents=CONTENTS, step=6) -> Path:
    begin(settings, Start(contents, code=["v1"]))
    folder = settings.output_dir / f"resume/checkpoint-{step}"
    folder.mkdir()
    (folder / "trainer_state.json").write_text("{}")
    return folder


def save_checkpoint(settings, contents=CONTENTS) -> None:
    settings.output_dir.mkdir(exist_ok=True)
    info = {"stage": contents["stage"], "settings": comparable(settings), "begun_with": contents}
    (settings.output_dir / "cardiolect.json").write_text(json.dumps(info))


def start(settings, contents=CONTENTS) -> Start:
    return choose_start(settings, lambda: contents)


@pytest.mark.parametrize("save", [save_step, save_checkpoint])
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"BATCH_SIZE": 4}, "BATCH_SIZE was 8, now 4"),
        ({"GRADIENT_ACCUMULATION_STEPS": 2}, "GRADIENT_ACCUMULATION_STEPS was 1, now 2"),
        ({"TRAIN_FOLDS": "1-7"}, "TRAIN_FOLDS was empty, now 1-7"),
        ({"LORA_ALPHA": 32}, "LORA_ALPHA was 16, now 32"),
        ({"LEARNING_RATE": 2e-4}, "LEARNING_RATE was 0.0001, now 0.0002"),
        ({"TRAIN_EPOCHS": 2}, "TRAIN_EPOCHS was 1.0, now 2.0"),
        ({"MAX_STEPS": 9}, "MAX_STEPS was 0, now 9"),
        ({"SEED": 7}, "SEED was 42, now 7"),
        ({"PRECISION": "bf16"}, "PRECISION was fp32, now bf16"),
        ({"ECG_LOSS_WEIGHT": 0.1}, "ECG_LOSS_WEIGHT was 0.0, now 0.1"),
        ({"LORA_TARGETS": "q_proj"}, "now q_proj"),
        ({"EVAL_STEPS": 5, "SEED": 7}, "SEED was 42, now 7; EVAL_STEPS was 200, now 5"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_another_setting_stops_the_run_with_every_key_and_both_values(settings, save, lines, words):
    save(settings())
    with pytest.raises(UserError) as stopped:
        start(settings(**lines))
    assert words in str(stopped.value) and "RESUME=false starts over" in str(stopped.value)
    assert "\n" not in str(stopped.value)


def test_the_documentation_names_every_setting_that_may_differ():
    page = (ROOT / "docs/USE.md").read_text()
    named = re.search(r"Only these may differ: (.*?)\.\n", page, re.DOTALL)[1]
    always, with_full = named.split("`TUNING=full`")
    keys = set(re.findall(r"`([A-Z_]+)`", always))
    assert keys == {key.upper() for key in MAY_DIFFER - PATHS} and "what is compared by content" in with_full
    lora = {key.upper() for key in ADAPTERS if key.startswith("lora_")}
    assert lora == {key.upper() for key in FinetuneSettings.model_fields if key.startswith("lora_")}
    assert {"TRAIN_NORMS"} == {key.upper() for key in ADAPTERS} - lora and "`LORA_*` and `TRAIN_NORMS`" in with_full


@pytest.mark.parametrize("save", [save_step, save_checkpoint])
@pytest.mark.parametrize("what", CONTENTS)
def test_other_content_of_the_same_paths_stops_the_run(settings, save, what):
    save(settings())
    with pytest.raises(UserError, match=f"{what} was {CONTENTS[what]}, now other"):
        start(settings(), {**CONTENTS, what: "other"})


def test_the_objective_of_pretraining_may_not_change(settings):
    save_step(settings(PretrainSettings))
    with pytest.raises(UserError, match="PRETRAIN_OBJECTIVE was causal, now multiscale"):
        start(settings(PretrainSettings, PRETRAIN_OBJECTIVE="multiscale"))


def test_the_number_of_ranks_may_not_change_whoever_starts_them(settings, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    save_step(settings())
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(UserError, match="NUM_PROCESSES was 2, now 1"):
        start(settings(NUM_PROCESSES=2))


def test_what_does_not_change_the_result_may_differ(settings, tmp_path):
    step = save_step(settings())
    lines = {"WORKERS": 0, "VERBOSE_STEPS": 1, "SAVE_STEPS": 3, "DEVICE": "cpu", "GRADIENT_CHECKPOINTING": "true"}
    shutil.copytree(tmp_path / "ecgs", tmp_path / "moved")
    lines |= {"DATA_ROOT": tmp_path / "moved", "CACHE_DIR": tmp_path / "cache", "RESUME": "True"}
    assert start(settings(**lines)) == Start(CONTENTS, step, code=["v1"])


def test_a_setting_that_is_newer_than_the_saved_step_was_at_its_default(settings):
    step = save_step(settings())
    file = step.parent / "settings.json"
    saved = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in saved.items() if key not in ("schedule", "optimizer")}))
    assert start(settings()).step == step
    with pytest.raises(UserError, match="SCHEDULE was cosine, now linear"):
        start(settings(SCHEDULE="linear"))


def test_starting_over_is_announced_and_deletes_nothing_before_training_begins(settings, capsys):
    step = save_step(settings())
    save_checkpoint(settings())
    again = settings(RESUME="false", SEED=7)
    assert start(again) == Start(CONTENTS, code=["v1"]) and step.is_dir()
    printed = capsys.readouterr().out
    assert f"the saved steps in {step.parent} are removed when training begins" in printed
    assert "is overwritten at the end" in printed
    begin(again, Start(CONTENTS))
    assert not step.exists() and json.loads((step.parent / "settings.json").read_text())["seed"] == 7


def test_a_finished_run_is_not_trained_again(settings, capsys):
    save_checkpoint(settings())
    assert start(settings()).finished
    assert "nothing is trained (RESUME=false starts over)" in capsys.readouterr().out


def test_a_best_step_that_is_gone_stops_the_run(settings):
    """The run would end with other weights than those of its best validation loss."""
    step = save_step(settings())
    (step / "trainer_state.json").write_text('{"best_global_step": 3}')
    with pytest.raises(UserError, match="checkpoint-3, the best step so far, is missing"):
        start(settings())


def test_steps_count_before_the_checkpoint_of_an_earlier_run(settings):
    """An earlier checkpoint stays until the run that replaces it has ended."""
    save_checkpoint(settings())
    step = save_step(settings(SEED=7))
    assert start(settings(SEED=7)) == Start(CONTENTS, step, code=["v1"])


def test_a_run_that_was_killed_before_its_first_step_is_not_taken_for_the_finished_one_it_replaces(settings, capsys):
    save_checkpoint(settings())
    begin(settings(RESUME="false"), Start(CONTENTS))
    assert start(settings()) == Start(CONTENTS, code=["v1"])
    assert "holds no saved step; starting from the beginning" in capsys.readouterr().out
    begin(settings(RESUME="false", SEED=7), Start(CONTENTS))
    assert start(settings(SEED=7)) == Start(CONTENTS, code=["v1"]) and start(settings()).finished


@pytest.mark.parametrize("remove", [lambda own: finish(own.output_dir), lambda own: begin(own, Start(CONTENTS))])
def test_a_kill_while_steps_are_removed_leaves_none_that_seems_whole(settings, monkeypatch, remove):
    save_checkpoint(settings())
    save_step(settings())
    monkeypatch.setattr(shutil, "rmtree", lambda folder, ignore_errors: None)  # killed before the first file
    remove(settings())
    assert last_step(settings().output_dir) is None
    monkeypatch.undo()
    finish(settings().output_dir)
    assert [path.name for path in settings().output_dir.iterdir()] == ["cardiolect.json"]


def test_another_version_of_the_code_goes_on_with_one_line_and_is_recorded(settings, monkeypatch, capsys):
    step = save_step(settings())
    assert start(settings()).code == ["v1"] and "version of" not in capsys.readouterr().out
    monkeypatch.setattr("cardiolect.utils.resume.code_version", lambda: "v2")
    goes_on = start(settings())
    assert capsys.readouterr().out.count("are of another version of the code (v1, now v2)") == 1
    begin(settings(), goes_on)
    assert goes_on.step == step and step.is_dir() and start(settings()).code == ["v1", "v2"]
    assert "version of" not in capsys.readouterr().out
    (step.parent / "code.json").unlink()
    assert start(settings()).code == ["unknown", "v2"], "an earlier release began it"


@pytest.mark.parametrize(
    ("spelled", "value"), [("", "auto"), ("auto", "auto"), ("True", "true"), ("1", "true"), ("no", "false")]
)
def test_booleans_are_values_of_resume(settings, spelled, value):
    assert settings(RESUME=spelled).resume == value
    assert settings().model_copy().resume == "auto"


@pytest.mark.parametrize(("lines", "saved"), [({}, {3, 6, 9, 10}), ({"SAVE_STEPS": 4}, {4, 8, 10})])
def test_steps_are_saved_every_save_steps_and_at_the_end(settings, lines, saved):
    callback = RunCallback(settings(EVAL_STEPS=3, **lines), [], lambda: None, Signals())
    found = set()
    for step in range(1, 11):
        callback.on_step_end(None, TrainerState(global_step=step, max_steps=10), control := TrainerControl())
        found |= {step} if control.should_save else set()
    assert found == saved


def test_a_run_that_is_refused_keeps_the_steps_of_the_earlier_one(tmp_path, corpus, pretrained):
    """LORA_TARGETS is only checked once the language model is there; the finished run is not trained again."""
    lines = {**finetune_lines(corpus, pretrained), "LORA_RANK": 4}
    output = run("finetune", tmp_path, "ft", **lines)
    weights = (output / "model.safetensors").stat()
    assert not (output / "resume").exists()
    words, _ = command("finetune", tmp_path, "ft", **lines)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 0 and "holds the finished checkpoint of this run; nothing is trained" in done.stdout
    assert (output / "model.safetensors").stat() == weights
    step = output / "resume/checkpoint-3"
    step.mkdir(parents=True)
    words, _ = command("finetune", tmp_path, "ft", **lines, LORA_TARGETS="nothing", RESUME="false")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=one_thread())
    assert done.returncode == 2 and "no layers named nothing" in done.stderr and step.is_dir()


def start_by_hand(words: list[str], ranks: int) -> list[subprocess.Popen]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    place = {**one_thread(), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [
        subprocess.Popen(
            words,
            cwd=ROOT,
            env={**place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]


@pytest.mark.parametrize(("ranks", "zero", "number"), [(1, 2, signal.SIGTERM), (2, 3, signal.SIGUSR1)])
def test_a_signal_to_any_rank_saves_a_step_and_the_same_command_goes_on(
    tmp_path, corpus, pretrained, ranks, zero, number
):
    """With dropout, and between two entries of the log: the curve of the unbroken run, to rounding."""
    lines = {**finetune_lines(corpus, pretrained), "LORA_RANK": 4, "LORA_DROPOUT": 0.3, "BATCH_SIZE": 4 // ranks}
    lines |= {"MAX_STEPS": 20, "EVAL_STEPS": 10, "VERBOSE_STEPS": 12, "NUM_PROCESSES": ranks}
    lines["DEEPSPEED_CONFIG"] = f"ds_config_zero{zero}.json"
    unbroken = run("finetune", tmp_path, "unbroken", **lines)
    words, output = command("finetune", tmp_path, "stopped", **lines)
    processes = start_by_hand(words, ranks)
    deadline = time.time() + 300
    while not (output / "resume/begun_with.json").exists() and time.time() < deadline:
        time.sleep(0.01)
    os.kill(processes[-1].pid, number)
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [75] * ranks, errors
    steps = [int(path.parent.name.split("-")[1]) for path in output.glob("resume/*/trainer_state.json")]
    assert f"stopped by {number.name} after saving step {max(steps)}; RESUME=auto goes on after it" in errors[0]
    assert max(steps) < 20 and not (output / "cardiolect.json").exists()
    output = output.rename(tmp_path / "moved")
    run("finetune", tmp_path, "moved", **lines)
    np.testing.assert_allclose(curve(output), curve(unbroken), rtol=1e-5)
    infos = [json.loads((folder / "cardiolect.json").read_text()) for folder in (output, unbroken)]
    assert infos[0]["valid_loss"] == pytest.approx(infos[1]["valid_loss"], rel=1e-5)
    assert infos[0]["best_step"] == infos[1]["best_step"] and infos[0]["code"] == infos[1]["code"]
    assert (
        re.fullmatch(r"\d+\.\d+\.\d+(, commit \w+(, with changes)?)?", *infos[0]["code"])
        and not (output / "resume").exists()
    )

"""RESUME in stage 1: a run goes on to the very weights of the unbroken run, stops, or is done."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.train import train_tokenizer
from cardiolect.model.entry import run_stage
from cardiolect.utils.errors import UserError
from cardiolect.utils.stopping import Stopped
from tests.helpers.runs import command, pretrain_lines, run
from tests.model.training.test_resume import start_by_hand

LINES = {
    "TRAIN_FOLDS": "1-8",
    "VALID_FOLDS": 9,
    "MAX_TRAIN": 12,
    "MAX_VALID": 3,
    "WORKERS": 0,
    "HIDDEN": 16,
    "ENCODER_DEPTH": 1,
    "DECODER_DEPTH": 1,
    "CROP_SECONDS": 1,
    "BATCH_SIZE": 4,
    "STEPS": 9,
    "EVAL_STEPS": 3,
    "WANDER_CHANCE": 0.5,
    "ELECTRODE_JITTER": 0.3,
    "DEVICE": "cpu",
}
KINDS = {
    "fsq": {"COARSE_FRAMES": 2},
    "vq": {"QUANTIZER": "vq", "CODEBOOK_SIZE": 8, "COARSE_FRAMES": 0},
    "measurements": {"MEASUREMENTS": "qrs_duration", "SCHEDULE": "linear", "SAVE_STEPS": 2},
}


@pytest.fixture
def settings(corpus, tmp_path):
    """Makes settings of a run; keywords are lines of its env file."""

    def make(name: str = "out", **lines) -> TokenizerSettings:
        env = tmp_path / f"{name}.env"
        lines = {"DATA_ROOT": corpus, "OUTPUT_DIR": tmp_path / name, "CACHE_DIR": corpus.parent / "cache"} | lines
        if "MEASUREMENTS" in lines:
            lines["MEASUREMENTS_DATA"] = corpus / "measurements.csv"
        env.write_text("".join(f"{key}={value}\n" for key, value in (LINES | lines).items()))
        return TokenizerSettings.load(env)

    return make


@pytest.fixture
def at_step(monkeypatch):
    """Lets something happen while the batch of a step is drawn."""
    draw, events = CropSampler.draw, {}

    def draw_and(self, step):
        if step in events:
            events.pop(step)()
        return draw(self, step)

    monkeypatch.setattr(CropSampler, "draw", draw_and)
    return events


def kill() -> None:
    raise KeyboardInterrupt


def figures_of(folder: Path) -> dict:
    return {k: v for k, v in json.loads((folder / "metrics.json").read_text()).items() if k != "seconds"}


def assert_equal(folder: Path, other: Path) -> None:
    weights, others = (load_file(each / "model.safetensors") for each in (folder, other))
    assert weights.keys() == others.keys() and all(torch.equal(weights[name], others[name]) for name in weights)
    assert figures_of(folder) == figures_of(other) and not (folder / "resume").exists()
    assert (folder / "seen_recordings.json").read_bytes() == (other / "seen_recordings.json").read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_signalled_and_killed_ends_with_the_weights_of_the_unbroken_one(settings, at_step, kind, capsys):
    unbroken = settings("unbroken", **KINDS[kind])
    train_tokenizer(unbroken)
    broken = settings(**KINDS[kind])
    at_step[5] = lambda: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Stopped, match="stopped by SIGTERM after saving step 5; RESUME=auto goes on after it"):
        train_tokenizer(broken)
    assert not (broken.output_dir / "model.safetensors").exists()
    assert [path.name for path in (broken.output_dir / "resume").glob("step*")] == ["step-5.pt"]
    at_step[9] = kill
    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(broken)
    train_tokenizer(broken)
    assert_equal(broken.output_dir, unbroken.output_dir)
    assert f"going on after {broken.output_dir}/resume/step-" in capsys.readouterr().out


def test_early_stopping_goes_on_counting(settings, at_step, monkeypatch):
    """PATIENCE counts validations of both parts of the run, and the best may be of the first."""
    found = iter([5.0, 6.0, 7.0, 5.0, 6.0, 7.0])
    figures = {"codes_used": 1, "codebook_size": 2, "entropy_bits": 0.5, "normalised_entropy": 0.5}
    monkeypatch.setattr("cardiolect.ecg_tokenizer.training.train.validate", lambda *_: {"prdn": next(found), **figures})
    lines = {"PATIENCE": 2, "EVAL_STEPS": 1}
    assert train_tokenizer(settings("unbroken", **lines))["step"] == 1
    at_step[2] = kill
    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(settings(**lines))
    train_tokenizer(settings(**lines))
    assert_equal(settings(**lines).output_dir, settings("unbroken", **lines).output_dir)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"LEARNING_RATE": 1e-3}, "LEARNING_RATE was 0.002, now 0.001"),
        ({"HIDDEN": 24, "SEED": 7}, "SEED was 42, now 7; HIDDEN was 16, now 24"),
        ({"MAX_TRAIN": 11}, "MAX_TRAIN was 12, now 11; train recordings was 12 ("),
        ({"MEASUREMENTS": "qrs_duration"}, "MEASUREMENTS was empty, now qrs_duration"),
    ],
)
def test_another_run_in_the_folder_stops_with_every_key_that_differs(settings, at_step, finished, lines, words):
    if not finished:
        at_step[4] = kill
    try:
        train_tokenizer(settings())
    except KeyboardInterrupt:
        assert not finished
    before = {path: path.stat().st_mtime_ns for path in settings().output_dir.rglob("*")}
    with pytest.raises(UserError) as stopped:
        train_tokenizer(settings(**lines))
    assert words in str(stopped.value) and "RESUME=false starts over" in str(stopped.value)
    what = "a finished ECG tokenizer" if finished else "resume/step-3.pt, a saved step"
    assert what in str(stopped.value) and "\n" not in str(stopped.value)
    assert {path: path.stat().st_mtime_ns for path in settings().output_dir.rglob("*")} == before


def test_other_recordings_in_the_same_folders_stop_the_run(settings, at_step, corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "corpus")
    own = {"DATA_ROOT": tmp_path / "corpus", "CACHE_DIR": tmp_path / "cache", "MAX_BAD_RECORDS": 0.5}
    at_step[4] = kill
    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(settings(**own))
    read = json.loads(next((tmp_path / "cache").rglob("index.json")).read_text())["record_ids"]
    (file,) = (tmp_path / "corpus").rglob(f"{int(read[0]):05d}_hr.dat")
    file.write_bytes(b"")
    with pytest.raises(UserError, match=r"recordings was (12|3) .* now (11|2)"):
        train_tokenizer(settings(**own))


def test_recordings_whose_gain_was_corrected_stop_the_run(settings, at_step, corpus, tmp_path):
    """The same recordings, of the same lengths and leads, with other voltages."""
    shutil.copytree(corpus, tmp_path / "corpus")
    own = {"DATA_ROOT": tmp_path / "corpus", "CACHE_DIR": tmp_path / "cache"}
    at_step[4] = kill
    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(settings(**own))
    read = json.loads(next((tmp_path / "cache").rglob("index.json")).read_text())["record_ids"]
    (header,) = (tmp_path / "corpus").rglob(f"{int(read[0]):05d}_hr.hea")
    header.write_text(header.read_text().replace("1000.0(0)/mV", "500.0(0)/mV").replace("1000/mV", "500/mV"))
    with pytest.raises(UserError, match=r"recordings was .* now"):
        train_tokenizer(settings(**own))


def test_a_finished_tokenizer_is_not_trained_again_unless_asked(settings, capsys):
    first = train_tokenizer(settings())
    folder = settings().output_dir
    weights = (folder / "model.safetensors").stat()
    assert train_tokenizer(settings(WORKERS=1, SAVE_STEPS=2))["prdn"] == first["prdn"]
    assert (folder / "model.safetensors").stat() == weights
    assert "holds the finished ECG tokenizer of this run; nothing is trained (RESUME=false starts over)" in (
        capsys.readouterr().out
    )
    train_tokenizer(settings(RESUME="false", SEED=7))
    assert "RESUME=false: starting over; the ECG tokenizer in" in capsys.readouterr().out
    assert json.loads((folder / "settings.json").read_text())["seed"] == 7


def test_a_tokenizer_of_unknown_training_is_not_overwritten(settings):
    train_tokenizer(settings())
    for name in ("metrics.json", "settings.json"):
        (settings().output_dir / name).unlink()
    with pytest.raises(UserError, match="holds an ECG tokenizer, but no settings"):
        train_tokenizer(settings())


def test_the_tokenizer_of_an_earlier_run_stays_until_the_new_one_is_there(settings, at_step):
    train_tokenizer(settings())
    folder = settings().output_dir
    before = {name: (folder / name).read_bytes() for name in ("model.safetensors", "config.json", "settings.json")}
    at_step[8] = kill
    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(settings(RESUME="false", SEED=7))
    assert {name: (folder / name).read_bytes() for name in before} == before
    train_tokenizer(settings(SEED=7))
    assert (folder / "model.safetensors").read_bytes() != before["model.safetensors"]


def test_a_damaged_step_is_one_line(settings, at_step):
    at_step[4] = kill
    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(settings())
    (step,) = settings().output_dir.glob("resume/step-*.pt")
    step.write_bytes(step.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"step-3\.pt cannot be read"):
        train_tokenizer(settings())


def test_stages_do_not_take_each_others_steps(settings, at_step, tmp_path, corpus, tokenizer_folder):
    at_step[4] = kill
    with pytest.raises(KeyboardInterrupt):
        train_tokenizer(settings())
    env = tmp_path / "pretrain.env"
    lines = pretrain_lines(corpus, tokenizer_folder) | {"OUTPUT_DIR": tmp_path / "out"}
    env.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with pytest.raises(UserError, match="a model that this stage has not written"):
        run_stage("pretrain", env)
    (tmp_path / "llm/resume").mkdir(parents=True)
    (tmp_path / "llm/resume/begun_with.json").write_text('{"stage": "finetune"}')
    settings("llm")
    with pytest.raises(UserError, match="a language model"):
        run_stage("tokenizer", tmp_path / "llm.env")


def test_a_signal_to_one_of_two_ranks_saves_and_ends_both(tmp_path, corpus):
    lines = {**LINES, "DATA_ROOT": corpus, "STEPS": 60, "EVAL_STEPS": 20, "NUM_PROCESSES": 2}
    unbroken = run("tokenizer", tmp_path, "unbroken", **lines)
    words, output = command("tokenizer", tmp_path, "broken", **lines)
    processes = start_by_hand(words, 2)
    deadline = time.time() + 300
    while not list(output.glob("resume/step-*.pt")) and time.time() < deadline:
        time.sleep(0.01)
    os.kill(processes[-1].pid, signal.SIGUSR1)
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [75, 75], errors
    assert "stopped by SIGUSR1 after saving step" in errors[0] and not (output / "metrics.json").exists()
    run("tokenizer", tmp_path, "broken", **lines)
    assert_equal(output, unbroken)

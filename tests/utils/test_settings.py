"""Env files: typed, checked before any work, overridden by the process environment."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cardiolect.ecg_tokenizer.representations import representation_of, resolve
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.model import entry
from cardiolect.model.cli.settings_page import settings_page
from cardiolect.model.evaluation.reasoning.settings import REASONING, ReasoningSettings
from cardiolect.model.evaluation.settings import EvalSettings, SummarySettings
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings
from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import EnvSettings, env_files, read_key
from tests.helpers import ROOT


def env_file(folder: Path, **values) -> Path:
    path = folder / "some.env"
    values = {"DATA_ROOT": folder, "OUTPUT_DIR": folder / "out", **values}
    path.write_text("# a comment\n" + "".join(f"{k}={v}\n" for k, v in values.items() if v is not None))
    return path


def test_values_are_typed_and_lists_split(tmp_path):
    settings = TokenizerSettings.load(env_file(tmp_path, FSQ_LEVELS="6,6,6,6", STRIDE_MS=64, QUANTIZER="vq"))
    assert settings.fsq_levels == [6, 6, 6, 6] and settings.stride == 16 and settings.quantizer == "vq"


def test_process_environment_overrides_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCH_SIZE", "2")
    assert TokenizerSettings.load(env_file(tmp_path, BATCH_SIZE=7)).batch_size == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"BACTH_SIZE": 3}, "unknown key BACTH_SIZE; did you mean BATCH_SIZE"),
        ({"BATCH_SIZE": "many"}, "BATCH_SIZE: .*integer.*'many'"),
        ({"BATCH_SIZE": 0}, "BATCH_SIZE: .*greater than or equal to 1"),
        ({"QUANTIZER": "pq"}, "QUANTIZER: .*'fsq', 'vq' or 'rvq'"),
        ({"WARMUP_STEPS": 9, "STEPS": 9}, "WARMUP_STEPS: a warm-up of 9 steps takes all 9 of the run"),
        ({"STRIDE_MS": 33}, r"STRIDE_MS: 33 ms is 8\.25 samples"),
        ({"FSQ_LEVELS": "8,2"}, "FSQ_LEVELS"),
        ({"QUANTIZER": "rvq", "NUM_CODEBOOKS": 9, "CODEBOOK_SIZE": 8192}, "74353 codes in all codebooks"),
        ({"QUANTIZER": "vq", "CODEBOOK_SIZE": 65536}, "66161 codes in all codebooks, coarse ones included"),
        ({"COARSE_FRAMES": 200}, "CROP_SECONDS: a crop must hold at least 400 frames"),
        ({"MEASUREMENTS": "ecg_id", "MEASUREMENTS_DATA": "m.csv"}, "ecg_id identifies a recording"),
        ({"MEASUREMENTS": "qt"}, "MEASUREMENTS_DATA and MEASUREMENTS: set both"),
        ({"MEASUREMENTS": "qt", "MEASUREMENTS_DATA": "none.csv"}, r"MEASUREMENTS_DATA: none\.csv does not exist"),
        ({"DATA_ROOT": "/no/such/folder"}, "DATA_ROOT: /no/such/folder does not exist"),
        ({"DATA_ROOT": None}, "DATA_ROOT is not set"),
        ({"CACHE_DIR": f"{__file__}/cache"}, "CACHE_DIR: .*test_settings.py is a file"),
        ({"TRAIN_FOLDS": "1-12"}, "TRAIN_FOLDS: .*1-12"),
        ({"TRAIN_DATA": "none.json"}, r"TRAIN_DATA: none\.json does not exist"),
    ],
)
def test_a_bad_line_is_one_clear_line(tmp_path, values, message):
    path = env_file(tmp_path, **values)
    with pytest.raises(UserError, match=message) as error:
        TokenizerSettings.load(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"LLM_PATH": "tiny"}, "LLM_PATH=tiny needs TINY_CORPUS"),
        ({"LLM_PATH": "tiny", "TINY_CORPUS": "{dir}"}, "needs TUNING=full"),
        ({"LLM_PATH": "/no/llm"}, "LLM_PATH: /no/llm does not exist"),
        ({"LLM_PATH": "{dir}", "TRAIN_TEXT_ROWS": "true"}, "TRAIN_TEXT_ROWS=true needs TUNING=full"),
        ({"LLM_PATH": "{dir}", "TUNING": "full", "CHECKPOINT_FORMAT": "adapter"}, "needs TUNING=lora"),
        ({"LLM_PATH": "{dir}", "OPTIMIZER": "muon"}, "OPTIMIZER=muon needs TUNING=full"),
        ({"LLM_PATH": "{dir}", "DEEPSPEED_CONFIG": "no.json"}, r"DEEPSPEED_CONFIG: no\.json"),
    ],
)
def test_impossible_combinations_are_refused(tmp_path, values, message):
    values = {k: v.format(dir=tmp_path) for k, v in values.items()}
    with pytest.raises(UserError, match=message):
        PretrainSettings.load(env_file(tmp_path, TOKENIZER_PATH=tmp_path, **values))


@pytest.mark.parametrize("script", ["pretrain.sh", "finetune.sh", "eval.sh", "ecg_tokenizer/run_tokenizer.sh"])
def test_every_script_ends_with_code_2_and_one_line(tmp_path, script):
    path = env_file(tmp_path, NONSENSE=1)
    run = subprocess.run(["bash", script, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ") and "NONSENSE" in run.stderr and run.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["pretrain.sh", "finetune.sh", "eval.sh", "ecg_tokenizer/run_tokenizer.sh"])
def test_every_script_says_which_settings_it_takes_by_itself(script, tmp_path):
    (python := tmp_path / "python").write_text('#!/bin/sh\n[ "$1" = -c ] || exit 7\n')  # has all, and goes no further
    python.chmod(0o755)
    environment = os.environ | {"PYTHON": str(python)}
    run = subprocess.run(["bash", script], cwd=ROOT, capture_output=True, text=True, env=environment)
    said = re.fullmatch(rf"settings: (\S+); bash {script} FILE takes others\n", run.stderr)
    assert run.returncode == 7
    assert said and f'$root/{said[1]}}}")"' in (ROOT / script).read_text()


def test_all_wrong_keys_are_named_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"unknown key STEPSS; did you mean STEPS\?.*; also unknown: FOO, BAR$"):
        TokenizerSettings.load(env_file(tmp_path, STEPSS=1, FOO=1, BAR=2))
    with pytest.raises(UserError, match=r"SEED: .*'x'; also wrong: (STEPS, )?BATCH_SIZE(, STEPS)?$"):
        TokenizerSettings.load(env_file(tmp_path, SEED="x", BATCH_SIZE=0, STEPS="y"))


def test_bad_input_found_by_several_ranks_is_still_code_2(tmp_path):
    (tmp_path / "ptbxl_database.csv").write_text("ecg_id\n1\n")
    path = env_file(tmp_path, LLM_PATH=tmp_path, TOKENIZER_PATH=tmp_path, NUM_PROCESSES=2)
    run = subprocess.run(
        [sys.executable, "run_main.py", "pretrain", str(path)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2 and run.stderr.count("error: ") == 1 and "no column" in run.stderr


def test_the_settings_page_is_up_to_date():
    assert (ROOT / "docs/SETTINGS.md").read_text() == settings_page()


RUNNABLE = [
    *sorted(path for path in (ROOT / "env").rglob("*.env") if path.parent.name != "base"),
    ROOT / "ecg_tokenizer/config.env",
]


def settings_class(path: Path) -> type[EnvSettings]:
    """The settings of the stage that an env file of ours is for."""
    name = path.name
    return (
        SummarySettings
        if name == "summary.env"
        else resolve(representation_of(path).settings)
        if "run_tokenizer.sh" in path.read_text().splitlines()[0]
        else PretrainSettings
        if name.startswith("pretrain")
        else FinetuneSettings
        if name.startswith(("ft_", "finetune"))
        else ReasoningSettings
        if read_key(path, "TASKTYPE") == REASONING
        else EvalSettings
    )


@pytest.mark.parametrize("path", RUNNABLE, ids=str)
def test_every_env_file_names_known_keys_and_starts_with_its_command(path):
    from dotenv import dotenv_values

    for file in env_files(path):
        assert set(dotenv_values(file)) <= {*settings_class(path).keys(), "BASE"}
    command = path.read_text().splitlines()[0]
    assert command.startswith(("# bash ", "# cardiolect "))
    assert command.endswith(f" {path.relative_to(ROOT)}") or path.name == "config.env"


@pytest.mark.parametrize("path", RUNNABLE, ids=str)
def test_every_env_file_sets_only_what_is_used(path, capsys):
    settings_class(path).read(path).say_unused()
    assert [line for line in capsys.readouterr().out.splitlines() if not line.startswith("PRECISION=auto is ")] == []


LORA = {"LORA_RANK": 8, "LORA_ALPHA": 8, "LORA_VARIANT": "dora", "LORA_DROPOUT": 0, "LORA_TARGETS": "q_proj"}
TINY = {"TINY_LAYERS": 2, "TINY_HIDDEN": 64, "TINY_HEADS": 2, "TINY_TIED": "false", "TINY_VOCABULARY": 400}


@pytest.mark.parametrize(
    ("cls", "values", "line"),
    [
        (FinetuneSettings, {"CHECKPOINT": ".", "TOKEN_ROW_SPREAD": 1}, "TOKEN_ROW_SPREAD not used: CHECKPOINT"),
        (
            FinetuneSettings,
            {"CHECKPOINT": ".", **TINY},
            "TINY_HEADS, TINY_TIED not used: CHECKPOINT",
        ),
        (FinetuneSettings, {"CHECKPOINT": ".", "LLM_PATH": "tiny"}, "LLM_PATH not used: CHECKPOINT holds"),
        (PretrainSettings, {"LLM_PATH": "llm", **TINY}, "TINY_TIED not used: LLM_PATH is not tiny"),
        (PretrainSettings, {"LLM_PATH": "tiny", "TOKEN_ROW_SPREAD": 1}, "TOKEN_ROW_SPREAD not used: in LLM_PATH=tiny"),
        (PretrainSettings, {"TUNING": "full", **LORA}, "LORA_DROPOUT, LORA_TARGETS not used: TUNING=full"),
        (PretrainSettings, {"TUNING": "full", "TRAIN_NORMS": "false"}, "TRAIN_NORMS not used: TUNING=full"),
        (PretrainSettings, {"MUON_LEARNING_RATE": 0.1}, "MUON_LEARNING_RATE not used: OPTIMIZER=adamw"),
        (PretrainSettings, {"OPTIMIZER": "muon", "MAX_GRAD_NORM": 3}, "MAX_GRAD_NORM not used: OPTIMIZER=muon"),
        (PretrainSettings, {"MAX_STEPS": 7, "TRAIN_EPOCHS": 2}, "TRAIN_EPOCHS not used: MAX_STEPS ends the run"),
        (EvalSettings, {"ANSWER_LISTS": "a.csv"}, "ANSWER_LISTS not used: only ANSWER_MODE=choices"),
        (EvalSettings, {"BERTSCORE_LAYER": 9}, "BERTSCORE_LAYER not used: BERTSCORE_MODEL is not set"),
        (EvalSettings, {"KEEP_SEEN_PATIENTS": "true", "MAX_LEFT_OUT": 1}, "MAX_LEFT_OUT not used: KEEP_SEEN_PATIENTS"),
        (
            TokenizerSettings,
            {"CODEBOOK_SIZE": 9, "CODEBOOK_DIM": 3},
            "CODEBOOK_SIZE, CODEBOOK_DIM not used: QUANTIZER",
        ),
        (TokenizerSettings, {"NUM_CODEBOOKS": 3}, "NUM_CODEBOOKS not used: QUANTIZER=fsq"),
        (TokenizerSettings, {"QUANTIZER": "vq", "NUM_CODEBOOKS": 3}, "NUM_CODEBOOKS not used: QUANTIZER=vq"),
        (TokenizerSettings, {"QUANTIZER": "rvq", "FSQ_LEVELS": "8,8"}, "FSQ_LEVELS not used: QUANTIZER=rvq"),
        (TokenizerSettings, {"COARSE_FRAMES": 0, "COARSE_LEVELS": "5,5"}, "COARSE_LEVELS not used: COARSE_FRAMES=0"),
        (TokenizerSettings, {"MEASUREMENT_WEIGHT": 1}, "MEASUREMENT_WEIGHT not used: MEASUREMENTS is not set"),
    ],
)
def test_what_is_set_and_not_used_is_one_line(tmp_path, capsys, cls, values, line):
    required = {"TASKTYPE": "qa", "CHECKPOINT": "."} if cls is EvalSettings else {}
    required = {"TASKTYPE": "qa", "LLM_PATH": None} if cls is FinetuneSettings else required
    cls.read(env_file(tmp_path, **{**required, **values})).say_unused()
    out = capsys.readouterr().out
    assert line in out and out.count("\n") == 1


def test_what_is_used_needs_no_line(tmp_path, capsys):
    used = {"OPTIMIZER": "muon", "MUON_LEARNING_RATE": 0.1, "LLM_PATH": "tiny", **TINY, "TUNING": "full"}
    PretrainSettings.read(env_file(tmp_path, **used)).say_unused()
    PretrainSettings.read(env_file(tmp_path, LLM_PATH="llm", TOKEN_ROW_SPREAD=1, **LORA)).say_unused()
    TokenizerSettings.read(env_file(tmp_path, QUANTIZER="rvq", NUM_CODEBOOKS=3, CODEBOOK_SIZE=9)).say_unused()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("rank", [0, 1])
def test_a_run_says_once_what_it_does_not_use(tmp_path, capsys, monkeypatch, rank):
    """The main rank alone."""
    for name, value in {"CHECKPOINT": tmp_path, "TEST_DATA": tmp_path, "TASKTYPE": "qa", "RANK": rank}.items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "cardiolect.json").write_text("{}")
    monkeypatch.setattr(entry, "ensure_ranks", lambda count: None)
    monkeypatch.setattr("cardiolect.model.evaluation.evaluate.evaluate", lambda settings: None)
    entry.run_stage("eval", env_file(tmp_path, BERTSCORE_LAYER=9))
    assert capsys.readouterr().out.count("BERTSCORE_LAYER not used") == (rank == 0)


def test_an_output_folder_that_cannot_be_is_refused_before_any_work(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="OUTPUT_DIR"):
        TokenizerSettings.load(env_file(tmp_path, OUTPUT_DIR=tmp_path / "taken"))


def test_lines_that_would_be_passed_over_are_named(tmp_path):
    """python-dotenv skips what it cannot read: an evaluation of 60 samples became one of all."""
    path = tmp_path / "x.env"
    for line, message in (
        ("MAX_SAMPLES 5", "line 2 is not KEY=VALUE"),
        ("MAX_SAMPLES", "line 2 is not KEY=VALUE"),
        ("CHECKPOINT='abc", "line 2 is not KEY=VALUE with its quotes closed"),
        ("tasktype=qa", "line 2: tasktype is given already in line 1"),
    ):
        path.write_text(f"TASKTYPE=qa\n{line}\n")
        with pytest.raises(UserError, match=message):
            EvalSettings.load(path)


def test_a_line_of_a_base_counts_unless_the_file_sets_the_key(tmp_path, monkeypatch):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/data.env").write_text(f"DATA_ROOT={tmp_path}\nHIDDEN=32\nSTEPS=1\nBATCH_SIZE=3\n")
    (tmp_path / "shared/tokenizer.env").write_text("BASE=data.env\nhidden=64\nSTEPS=2\n")
    path = env_file(tmp_path, BASE="shared/tokenizer.env", DATA_ROOT=None, STEPS=7)
    path.write_text("\n".join(sorted(path.read_text().splitlines())))  # BASE first
    monkeypatch.setenv("BATCH_SIZE", "5")
    monkeypatch.setenv("BASE", "none.env")  # a line of the file alone
    settings = TokenizerSettings.load(path)
    assert (settings.hidden, settings.steps, settings.batch_size) == (64, 7, 5)
    assert settings.data_root == [tmp_path] and '"hidden": 64' in settings.to_json()


@pytest.mark.parametrize(
    ("base", "own", "message"),
    [
        ("DATA_ROOT=.\nBATCH_SIZE=many", "", r"^base\.env \(a base of run\.env\): BATCH_SIZE: .*'many'"),
        ("DATA_ROOT=.\nBATCH_SIZE=many", "BATCH_SIZE=0", r"^run\.env: BATCH_SIZE: .*greater than or equal to 1"),
        ("BACTH_SIZE=3", "", r"^base\.env \(a base of run\.env\): unknown key BACTH_SIZE; did you mean BATCH_SIZE"),
        ("TASKTYPE=qa", "", r"^base\.env \(a base of run\.env\): unknown key TASKTYPE"),
        ("STEPS 5", "", r"^base\.env: line 1 is not KEY=VALUE"),
        ("STEPS=5\nBASE=run.env", "", r"^base\.env: line 2: BASE must stand before every other key"),
        ("BASE=none.env", "", r"^base\.env: BASE=none\.env: no such env file"),
        ("BASE=run.env", "", r"^base\.env: BASE=run\.env leads back to run\.env"),
        ("BASE=base.env", "", r"^base\.env: BASE=base\.env leads back to base\.env"),
        ("BASE=", "", r"^base\.env: line 1: BASE names no file"),
        ("DATA_ROOT=/none", "", r"^base\.env \(a base of run\.env\): DATA_ROOT: /none does not exist"),
        ("DATA_ROOT=.", "", r"^run\.env: OUTPUT_DIR is not set"),
    ],
)
def test_a_bad_line_of_a_base_is_one_line_that_names_its_file(tmp_path, monkeypatch, base, own, message):
    monkeypatch.chdir(tmp_path)
    output = "" if "OUTPUT_DIR" in message else "OUTPUT_DIR=out\n"
    Path("base.env").write_text(base + "\n")
    Path("run.env").write_text(f"BASE=base.env\n{output}{own}\n")
    with pytest.raises(UserError, match=message) as error:
        TokenizerSettings.load("run.env")
    assert "\n" not in str(error.value)


def test_a_value_of_the_process_environment_is_said_to_be_its(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCH_SIZE", "many")
    with pytest.raises(UserError, match=r"^the process environment, which overrides .*\.env: BATCH_SIZE: .*'many'"):
        TokenizerSettings.load(env_file(tmp_path, BATCH_SIZE=7))


def test_one_key_is_read_before_its_class_is_known(tmp_path, monkeypatch):
    (tmp_path / "base.env").write_text("QUANTIZER=vq\nSTEPS=3\n")
    path = tmp_path / "run.env"
    path.write_text("BASE=base.env\nSTEPS=4\nQUANTIZER=\n")
    assert (read_key(path, "QUANTIZER"), read_key(path, "STEPS"), read_key(path, "HIDDEN")) == ("vq", "4", None)
    monkeypatch.setenv("STEPS", "5")
    assert read_key(path, "STEPS") == "5"


def test_every_base_is_used_and_says_that_it_is_one():
    used = {file.resolve() for path in RUNNABLE for file in env_files(path)}
    for path in (ROOT / "env/base").glob("*.env"):
        assert path in used and path.read_text().startswith("# A base: ")


def test_a_folder_in_place_of_an_env_file_is_said_to_be_one(tmp_path):
    (tmp_path / "env/deep").mkdir(parents=True)
    with pytest.raises(UserError, match=r"env: a folder; name an env file; it holds none$"):
        EvalSettings.load(tmp_path / "env")
    (tmp_path / "env/deep/b.env").write_text("")
    for read in (EvalSettings.load, EvalSettings.read, lambda path: read_key(path, "REPRESENTATION")):
        with pytest.raises(UserError, match=r"env: a folder; name an env file in it: \S*/env/deep/b\.env$"):
            read(tmp_path / "env")
    (tmp_path / "env/a.env").write_text("")
    with pytest.raises(UserError, match=r"name an env file in it: \S*/env/a\.env$"):
        EvalSettings.load(f"{tmp_path}/env/")
    path = tmp_path / "some.env"
    path.write_text("BASE=env\nOUTPUT_DIR=out\n")
    with pytest.raises(UserError, match=r"BASE=env: a folder \(.*\); name an env file in it: \S*a\.env$"):
        EvalSettings.load(path)

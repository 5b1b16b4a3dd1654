"""Settings of training that cannot be as they are: one line before any work."""

import pytest

from cardiolect.model.training import settings as module
from cardiolect.model.training.resume import differences
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.utils.errors import UserError
from cardiolect.utils.resume import comparable
from tests.helpers.runs import finetune_lines


@pytest.fixture
def load(tmp_path, corpus):
    """Settings from the lines of an env file. The checkpoint is any folder: only its path is looked at."""

    def load(**lines) -> FinetuneSettings:
        file = tmp_path / "run.env"
        lines = {**finetune_lines(corpus, tmp_path), "OUTPUT_DIR": tmp_path / "out", **lines}
        file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return FinetuneSettings.load(file)

    return load


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"WARMUP_RATIO": 0.1, "WARMUP_STEPS": 50}, "WARMUP_RATIO and WARMUP_STEPS are both set"),
        ({"WARMUP_RATIO": 0.1, "WARMUP_STEPS": 0}, "WARMUP_RATIO and WARMUP_STEPS are both set"),
        ({"WARMUP_RATIO": 1}, "WARMUP_RATIO: Input should be less than 1"),
        ({"MAX_STEPS": 50, "WARMUP_STEPS": 50}, "WARMUP_STEPS: a warm-up of 50 steps takes all 50 of the run"),
        ({"MAX_STEPS": 20, "WARMUP_STEPS": 50}, "WARMUP_STEPS: a warm-up of 50 steps takes all 20 of the run"),
        ({"MAX_STEPS": 3, "WARMUP_RATIO": 0.9}, "WARMUP_RATIO: a warm-up of 3 steps takes all 3 of the run"),
        ({"PATIENCE": -1}, "PATIENCE: Input should be greater than or equal to 0"),
        ({"TOKEN_ROW_LEARNING_RATE": "nan"}, "TOKEN_ROW_LEARNING_RATE: "),
        ({"LEARNING_RATE": "inf"}, "LEARNING_RATE: "),
        (
            {"TOKEN_ROW_LEARNING_RATE": 1e-3, "TRAIN_TEXT_ROWS": "true", "TUNING": "full"},
            "TOKEN_ROW_LEARNING_RATE: with TRAIN_TEXT_ROWS=true",
        ),
        ({"REPORT_TO": "tensorboard,mlflow"}, "REPORT_TO: mlflow is not known; choose from tensorboard, wandb, none"),
        ({"REPORT_TO": "none,tensorboard"}, "REPORT_TO: none rules out all other names"),
    ],
)
def test_what_contradicts_itself_is_refused(load, lines, message):
    with pytest.raises(UserError) as refused:
        load(**lines)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_tracker_that_is_not_installed_is_one_line(load, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="REPORT_TO: wandb is not installed; pip install wandb"):
        load(REPORT_TO="tensorboard,wandb")


def test_a_ratio_alone_or_one_that_is_off_is_taken(load):
    assert load(WARMUP_RATIO=0.1, WARMUP_STEPS="").warmup_ratio == 0.1
    assert load(WARMUP_RATIO=0, WARMUP_STEPS=7).warmup_steps == 7
    assert load(SAVE_STEPS="").save_steps == 0 and load(REPORT_TO="none").report_to == ["none"]


@pytest.mark.parametrize(
    ("lines", "steps", "warmup"),
    [
        ({}, 5000, 50),
        ({}, 500, 50),
        ({}, 499, 49),
        ({}, 50, 5),
        ({}, 9, 0),
        ({"WARMUP_STEPS": 50}, 60, 50),
        ({"WARMUP_STEPS": 0}, 60, 0),
        ({"WARMUP_RATIO": 0.1}, 33, 4),
    ],
)
def test_short_runs_warm_up_for_a_tenth_unless_the_settings_say_otherwise(load, lines, steps, warmup):
    assert load(**lines).warmup(steps) == warmup


def test_a_warm_up_of_all_epochs_is_refused_once_their_steps_are_known(load):
    settings = load(WARMUP_STEPS=70)
    assert settings.warmup(71) == 70
    with pytest.raises(UserError, match="WARMUP_STEPS: a warm-up of 70 steps takes all 70 of the run"):
        settings.warmup(70)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"MAX_STEPS": 500}, []),
        ({"WARMUP_RATIO": 0.1}, []),
        ({"MAX_STEPS": 100}, ["WARMUP_STEPS was 50, now empty"]),
        ({"MAX_STEPS": 100, "WARMUP_STEPS": 50}, []),
    ],
)
def test_earlier_runs_had_a_warm_up_of_50_steps(load, lines, words):
    settings = load(**lines)
    assert differences(settings, {}, {**comparable(settings), "warmup_steps": 50}, {}) == words
    assert differences(settings, {}, comparable(settings), {}) == []

"""Every stage is started, and interrupted, in the same way."""

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardiolect.ecg_tokenizer.patches.settings import PatchSettings
from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS
from cardiolect.model import all_settings, entry
from cardiolect.utils.errors import UserError

STAGES = {
    "tokenizer": "cardiolect.ecg_tokenizer.training.train.train_tokenizer",
    "pretrain": "cardiolect.model.training.stages.pretrain",
    "finetune": "cardiolect.model.training.stages.finetune",
    "eval": "cardiolect.model.evaluation.evaluate.evaluate",
}


@pytest.mark.parametrize(
    ("stage", "saved", "advice"),
    [
        ("tokenizer", None, ""),
        ("tokenizer", "step-40.pt", "; RESUME=auto goes on after step 40"),
        ("pretrain", "checkpoint-300", "; RESUME=auto goes on after step 300"),
        (
            "finetune",
            "settings.json",
            "; no step is saved, so the run will begin again (SIGTERM, unlike",
        ),
        ("eval", None, "; to continue, run the same command again"),
    ],
)
def test_ctrl_c_ends_a_stage_with_one_line_and_code_130(stage, saved, advice, tmp_path, monkeypatch, capsys):
    settings = SimpleNamespace(num_processes=1, device="cpu", output_dir=tmp_path, representation="codes")
    if saved:
        settings.resume = "auto"
        (tmp_path / "resume").mkdir()
        (tmp_path / "resume" / saved).touch()
    if stage == "tokenizer":
        codes = REPRESENTATIONS["codes"]
        monkeypatch.setattr(all_settings, "representation_of", lambda env_file: codes)
        monkeypatch.setattr(f"{codes.settings.replace(':', '.')}.load", lambda env_file, owner: settings)
    else:
        monkeypatch.setitem(all_settings.SETTINGS, stage, SimpleNamespace(load=lambda env_file, owner: settings))
    monkeypatch.setattr(entry, "ensure_ranks", lambda count: None)
    monkeypatch.setattr(entry, "_check_output", lambda *_: None)

    def interrupted(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(STAGES[stage], interrupted)
    with pytest.raises(SystemExit) as ended:
        entry.run_stage(stage, "some.env")
    assert ended.value.code == 130 and capsys.readouterr().err.startswith(f"\nstopped{advice}")


def test_a_signal_ends_training_with_its_line_and_code_75(monkeypatch, capsys):
    settings = SimpleNamespace(num_processes=1, device="cpu", output_dir=Path("no folder"))
    monkeypatch.setitem(all_settings.SETTINGS, "pretrain", SimpleNamespace(load=lambda env_file, owner: settings))
    monkeypatch.setattr(entry, "ensure_ranks", lambda count: None)
    monkeypatch.setattr(
        "cardiolect.model.training.stages.pretrain", lambda settings: signal.raise_signal(signal.SIGTERM)
    )
    with pytest.raises(SystemExit) as ended:
        entry.run_stage("pretrain", "some.env")
    assert ended.value.code == 75 and capsys.readouterr().err.startswith(
        "\nstopped by SIGTERM, not while training; run the same command again"
    )
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN, "the process is about to end"


def test_ranks_that_another_process_started_leave_the_line_to_it(monkeypatch, capsys):
    settings = SimpleNamespace(num_processes=2, device="cpu")
    monkeypatch.setitem(all_settings.SETTINGS, "eval", SimpleNamespace(load=lambda env_file, owner: settings))
    monkeypatch.setenv("WORLD_SIZE", "2")

    def interrupted(count):
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "ensure_ranks", interrupted)
    with pytest.raises(SystemExit) as ended:
        entry.run_stage("eval", "some.env")
    assert ended.value.code == 130 and capsys.readouterr().err == ""


@pytest.fixture
def rank_of_two(monkeypatch):
    """This process is the second of two ranks, started with NUM_PROCESSES=3 in the settings."""
    launched = {"RANK": 1, "WORLD_SIZE": 2, "LOCAL_RANK": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 1}
    for name, value in launched.items():
        monkeypatch.setenv(name, str(value))
    settings = SimpleNamespace(num_processes=3, model_fields_set={"num_processes"}, device="cpu", output_dir=None)
    monkeypatch.setitem(all_settings.SETTINGS, "eval", SimpleNamespace(load=lambda env_file, owner: settings))
    return settings


def test_the_settings_must_agree_with_the_launcher(rank_of_two):
    """Otherwise a step sees another number of sequences than the settings say."""
    with pytest.raises(UserError, match="NUM_PROCESSES=3, but the launcher started 2 ranks; set NUM_PROCESSES=2"):
        entry.run_stage("eval", "some.env")


def test_a_folder_of_each_machine_is_refused_as_output_dir(rank_of_two, monkeypatch):
    rank_of_two.num_processes = 2
    monkeypatch.setattr(entry, "join_ranks", lambda device: None)
    monkeypatch.setattr(entry, "gather", lambda value: [True, value])
    monkeypatch.setattr(entry, "sharing_ranks", lambda folder: [1])
    with pytest.raises(UserError, match="OUTPUT_DIR: None is not the same folder on all machines"):
        entry.run_stage("eval", "some.env")


def test_a_rank_that_has_lost_another_lets_that_one_report_first(rank_of_two, monkeypatch):
    def lost(device):
        raise RuntimeError("Connection closed by peer")

    waited = []
    rank_of_two.num_processes = 2
    monkeypatch.setattr(entry, "join_ranks", lost)
    monkeypatch.setattr(entry.time, "sleep", waited.append)
    with pytest.raises(RuntimeError, match="closed by peer"):
        entry.run_stage("eval", "some.env")
    assert waited == [entry.LOST_SECONDS]


@pytest.fixture
def run_into(tmp_path, monkeypatch):
    """Starts a stage whose OUTPUT_DIR is ``tmp_path/out``."""

    def start(stage, **values):
        settings = SimpleNamespace(device="cpu", output_dir=tmp_path / "out", **values)
        monkeypatch.setattr(
            all_settings, "resolve", lambda target: SimpleNamespace(load=lambda env_file, owner: settings)
        )
        monkeypatch.setattr(all_settings, "representation_of", lambda env_file: REPRESENTATIONS["codes"])
        monkeypatch.setitem(all_settings.SETTINGS, stage, SimpleNamespace(load=lambda env_file, owner: settings))
        entry.run_stage(stage, "some.env")

    (tmp_path / "out").mkdir()
    return start


@pytest.mark.parametrize("key", ["tokenizer_path", "llm_path", "checkpoint"])
def test_training_does_not_overwrite_what_it_begins_with(run_into, tmp_path, key):
    (tmp_path / "out/cardiolect.json").touch()
    with pytest.raises(UserError, match=f"out is {key.upper()} as well, and would be overwritten"):
        run_into("finetune", **{key: str(tmp_path / "other/../out")})


@pytest.mark.parametrize(
    ("stage", "there", "what"),
    [
        ("tokenizer", "cardiolect.json", "a language model"),
        ("tokenizer", "tokenizer_config.json", "a language model"),
        ("pretrain", "config.json", "a model that this stage has not written"),
        ("finetune", "config.json", "a model that this stage has not written"),
    ],
)
def test_training_does_not_overwrite_a_model_of_another_stage_or_program(run_into, tmp_path, stage, there, what):
    (tmp_path / "out" / there).touch()
    with pytest.raises(UserError, match=f"out holds {what}, which would be overwritten"):
        run_into(stage)


def test_a_rank_has_no_more_readers_than_cores(monkeypatch, capsys):
    settings = PatchSettings(data_root="x", output_dir="y", workers=20)
    monkeypatch.setattr(entry, "cores", lambda: 8)
    assert entry.within_cores(settings).workers == 8
    assert capsys.readouterr().out == "WORKERS=20, but this rank may use 8 CPU cores: WORKERS=8\n"
    assert entry.within_cores(settings.model_copy(update={"workers": 8})).workers == 8
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("stage", "key", "others"),
    [
        ("pretrain", "TASKTYPE", "finetune.sh and eval.sh"),
        ("eval", "llm_path", "pretrain.sh and finetune.sh"),
        ("finetune", "HIDDEN", "run_tokenizer.sh with REPRESENTATION=codes"),
        ("tokenizer", "FLOORS", "eval.sh"),
    ],
)
def test_a_setting_of_another_stage_is_said_to_be_one(stage, key, others, tmp_path):
    path = tmp_path / "run.env"
    path.write_text(f"{key}=x\n")
    with pytest.raises(UserError, match=rf"run\.env: unknown key {key} here; it is a setting of {others}$"):
        entry.run_stage(stage, path)

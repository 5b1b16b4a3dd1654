"""Every stage is started, and interrupted, in the same way."""

import signal
from types import SimpleNamespace

import pytest

from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS
from cardiolect.model import entry


@pytest.mark.parametrize(
    ("stage", "function", "advice"),
    [
        ("tokenizer", "cardiolect.ecg_tokenizer.training.train.train_tokenizer", ""),
        ("pretrain", "cardiolect.model.training.stages.pretrain", "; RESUME=auto goes on after the last saved step"),
        ("finetune", "cardiolect.model.training.stages.finetune", "; RESUME=auto goes on after the last saved step"),
        ("eval", "cardiolect.model.evaluation.evaluate.evaluate", "; to continue, run the same command again"),
    ],
)
def test_ctrl_c_ends_a_stage_with_one_line_and_code_130(stage, function, advice, monkeypatch, capsys):
    settings = SimpleNamespace(num_processes=1, device="cpu")
    if stage == "tokenizer":
        codes = REPRESENTATIONS["codes"]
        monkeypatch.setattr(entry, "representation_of", lambda env_file: codes)
        monkeypatch.setattr(f"{codes.settings.replace(':', '.')}.load", lambda env_file: settings)
    else:
        monkeypatch.setitem(entry.SETTINGS, stage, SimpleNamespace(load=lambda env_file: settings))
    monkeypatch.setattr(entry, "ensure_ranks", lambda count: None)

    def interrupted(settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(function, interrupted)
    with pytest.raises(SystemExit) as ended:
        entry.run_stage(stage, "some.env")
    assert ended.value.code == 130 and capsys.readouterr().err == f"\nstopped{advice}\n"


def test_a_signal_ends_training_with_its_line_and_code_75(monkeypatch, capsys):
    settings = SimpleNamespace(num_processes=1, device="cpu")
    monkeypatch.setitem(entry.SETTINGS, "pretrain", SimpleNamespace(load=lambda env_file: settings))
    monkeypatch.setattr(entry, "ensure_ranks", lambda count: None)
    monkeypatch.setattr(
        "cardiolect.model.training.stages.pretrain", lambda settings: signal.raise_signal(signal.SIGTERM)
    )
    with pytest.raises(SystemExit) as ended:
        entry.run_stage("pretrain", "some.env")
    assert ended.value.code == 75 and capsys.readouterr().err.startswith(
        "\nstopped by SIGTERM while nothing was trained"
    )
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_ranks_that_another_process_started_leave_the_line_to_it(monkeypatch, capsys):
    settings = SimpleNamespace(num_processes=2, device="cpu")
    monkeypatch.setitem(entry.SETTINGS, "eval", SimpleNamespace(load=lambda env_file: settings))
    monkeypatch.setenv("WORLD_SIZE", "2")

    def interrupted(count):
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "ensure_ranks", interrupted)
    with pytest.raises(SystemExit) as ended:
        entry.run_stage("eval", "some.env")
    assert ended.value.code == 130 and capsys.readouterr().err == ""

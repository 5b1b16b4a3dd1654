"""A signal to a training run: the step is saved at once, and the run goes on to the result of an unbroken one."""

import json
import multiprocessing
import os
import signal
import socket
from unittest import mock

import pytest
import torch

from cardiolect.model.training import stages
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.model.training.trainer import ECGTrainer, RunCallback
from cardiolect.model.training.workers import workers
from cardiolect.utils.errors import UserError
from cardiolect.utils.launch import leave_ranks
from cardiolect.utils.stopping import Stopped
from tests.helpers.runs import finetune_lines


@pytest.fixture(scope="module")
def only_rank():
    """Makes this process the only rank; DeepSpeed cannot join a second group of ranks in one process."""
    with socket.socket() as probe, mock.patch.dict(os.environ):  # to which Accelerate adds LOCAL_WORLD_SIZE
        probe.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": probe.getsockname()[1]}
        probe.close()
        os.environ.update(
            {name: str(value) for name, value in {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, **place}.items()}
        )
        yield
        leave_ranks()


@pytest.fixture
def tune(tmp_path, corpus, checkpoint_folder, only_rank):
    """Fine-tunes within this process; returns what cardiolect.json says, and the losses."""

    def run(name: str, **values) -> tuple[dict, list[float]]:
        lines = {**finetune_lines(corpus, checkpoint_folder), "LORA_RANK": 4, "WORKERS": 0, "MAX_VALID": 8}
        lines |= {"EVAL_STEPS": 2, "VERBOSE_STEPS": 1, "WARMUP_STEPS": 1, "LEARNING_RATE": 1e-3, "MAX_TRAIN": 20}
        lines |= {"OUTPUT_DIR": tmp_path / name, "CACHE_DIR": tmp_path / "cache", "ACCEPT_UNKNOWN_LEAKAGE": "true"}
        file = tmp_path / f"{name}.env"
        file.write_text("".join(f"{key}={value}\n" for key, value in {**lines, "MAX_STEPS": 4, **values}.items()))
        stages.finetune(FinetuneSettings.load(file))
        return tuple(json.loads((tmp_path / name / f).read_text()) for f in ("cardiolect.json", "loss_curve.json"))

    return run


def validated(monkeypatch) -> list[int]:
    """The steps whose validation computes a loss, from now on."""
    steps, own = [], ECGTrainer._weighted_loss

    def count(self, model, inputs):
        if not torch.is_grad_enabled():
            steps.append(self.state.global_step)
        return own(self, model, inputs)

    monkeypatch.setattr(ECGTrainer, "_weighted_loss", count)
    return steps


@pytest.mark.parametrize(("at", "values"), [(2, {}), (4, {}), (3, {"MAX_STEPS": 3})], ids=["due", "last", "last, odd"])
def test_nothing_is_validated_after_a_signal_and_the_run_that_goes_on_does_it(tune, monkeypatch, at, values):
    unbroken, losses = tune("unbroken", **values)
    steps, own = validated(monkeypatch), RunCallback.on_step_end

    def interrupted(self, args, state, control, **kwargs):
        if state.global_step == at:
            os.kill(os.getpid(), signal.SIGTERM)
        own(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(RunCallback, "on_step_end", interrupted)
        with pytest.raises(Stopped, match=f"stopped by SIGTERM after saving step {at}"):
            tune("stopped", **values)
    assert at not in steps
    again, losses_again = tune("stopped", **values)
    assert at in steps and losses_again == pytest.approx(losses, rel=1e-5)
    assert again["valid_loss"] == pytest.approx(unbroken["valid_loss"], rel=1e-5)
    assert again["best_step"] == unbroken["best_step"]


def test_workers_go_on_building_batches_after_a_signal_to_all_processes(tune, monkeypatch):
    """srun signals every process of a step; a worker that ended would take the run with it before the step is saved."""
    own = RunCallback.on_step_end

    def interrupted(self, args, state, control, **kwargs):
        if state.global_step == 1:
            workers = [child.pid for child in multiprocessing.active_children()]
            assert workers, "batches are built by workers"
            for process in workers:
                os.kill(process, signal.SIGTERM)
        if state.global_step == 8:  # of whose batches some were not built at step 1
            os.kill(os.getpid(), signal.SIGTERM)
        own(self, args, state, control, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(RunCallback, "on_step_end", interrupted)
        with pytest.raises(Stopped, match="stopped by SIGTERM after saving step 8"):
            tune("stopped", WORKERS=2, BATCH_SIZE=2, MAX_STEPS=10, EVAL_STEPS=20)


def test_an_error_in_training_ends_the_workers_too(tune, monkeypatch):
    """They ignore SIGTERM, with which Python ends children at its exit: the run hung instead of failing."""

    def fails(self, model, inputs):
        raise MemoryError("no memory for this batch")

    monkeypatch.setattr(ECGTrainer, "_weighted_loss", fails)
    with pytest.raises(MemoryError) as raised:
        tune("failed", WORKERS=2, BATCH_SIZE=2)
    # The traceback holds what would end them by itself if it were collected, as it does at the exit of a process.
    assert not multiprocessing.active_children() and raised.tb


def test_a_worker_that_is_killed_ends_the_run_in_one_line(tune, monkeypatch):
    own = RunCallback.on_step_end

    def killed(self, args, state, control, **kwargs):
        if state.global_step == 1:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        own(self, args, state, control, **kwargs)

    monkeypatch.setattr(RunCallback, "on_step_end", killed)
    with pytest.raises(UserError, match="was killed, perhaps for lack of memory; lower WORKERS"):
        tune("killed", WORKERS=2, BATCH_SIZE=2, MAX_STEPS=100, EVAL_STEPS=200)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("error", "killed"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), True),
        (RuntimeError("DataLoader worker (pid(s) 7, 8) exited unexpectedly"), True),
        (ConnectionResetError(104, "Connection reset by peer"), True),
        (EOFError(), True),
        (RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nOriginal Traceback"), False),
        (ConnectionResetError("Caught ConnectionResetError in DataLoader worker process 0."), False),
    ],
)
def test_the_loss_of_a_worker_is_told_from_an_error_that_a_worker_met(error, killed):
    with pytest.raises(UserError if killed else type(error)), workers():
        raise error


@pytest.mark.parametrize("save_steps", [0, 3], ids=["saved at validations", "saved at other steps"])
def test_a_validation_ends_at_a_signal(tune, monkeypatch, save_steps):
    steps, own = validated(monkeypatch), ECGTrainer.compute_loss_context_manager

    def interrupted(self, *arguments, **options):
        if not torch.is_grad_enabled():
            os.kill(os.getpid(), signal.SIGUSR1)
        return own(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ECGTrainer, "compute_loss_context_manager", interrupted)
        for _ in range(2):  # the validation that the second run owes ends as well
            with pytest.raises(Stopped, match="stopped by SIGUSR1 after saving step 2"):
                tune("stopped", BATCH_SIZE=2, SAVE_STEPS=save_steps)
            assert steps == [2]
            steps.clear()
    info, _ = tune("stopped", BATCH_SIZE=2, SAVE_STEPS=save_steps)
    assert info["best_step"] in (2, 4) and set(steps) == {2, 4}

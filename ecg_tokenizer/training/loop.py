"""The loop of stage 1, whatever is trained: steps, validations, the best weights, saved steps, signals."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from cardiolect.data_provider.audit.seen import Earlier, record_seen, save_seen
from cardiolect.data_provider.splits import (
    Split,
    SplitName,
    left_out,
    load_splits,
    seen_in_data,
    warn_of_seen,
    with_texts,
)
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.cached import open_signals
from cardiolect.ecg_tokenizer.training.early_stopping import EarlyStopping
from cardiolect.ecg_tokenizer.training.progress import Progress
from cardiolect.ecg_tokenizer.training.resume import BEGUN_WITH, METRICS, SETTINGS, choose_start, load_step, save_step
from cardiolect.ecg_tokenizer.training.settings import TrainingSettings
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError
from cardiolect.utils.resume import Start, begin, comparable, finish
from cardiolect.utils.stopping import Signals, Stopped


class Learner(ABC):
    """What a run of stage 1 trains.

    representation: the module that represents ECGs. metric: the figure of `validate` by which they are the best;
    title: its name in messages; lower_is_better.
    """

    representation: ECGRepresentation
    metric: str
    title: str
    lower_is_better: bool = True

    @abstractmethod
    def learn(self, step: int) -> dict[str, float | torch.Tensor]:
        """Take a training step; its number decides what is drawn. Returns figures for the log, first the loss."""

    @abstractmethod
    def validate(self) -> dict[str, Any]:
        """Figures on the validation recordings, equal on all ranks."""

    @abstractmethod
    def parts(self) -> dict[str, list]:
        """All that the next steps depend on, as lists of what has a ``state_dict``."""

    @abstractmethod
    def in_words(self, figures: Mapping[str, Any]) -> str:
        """Figures of a validation, for the log."""

    @property
    def kept(self) -> nn.Module:
        """What has ``save_pretrained``, and whose best weights are kept: the representation, and what goes with it."""
        return self.representation

    def figures(self) -> dict[str, Any]:
        """Further figures of the result."""
        return {}

    def modules(self) -> list[nn.Module]:
        """Those with parameters to train."""
        return [part for parts in self.parts().values() for part in parts if isinstance(part, nn.Module)]


def run_stage(
    settings: TrainingSettings,
    make_learner: Callable[[SignalCache, SignalCache, Mapping[str, Split]], Learner],
    earlier: Earlier | None = None,
) -> dict:
    """Stage 1: read the recordings once, `train`, and return the figures of the best weights.

    make_learner: from the signals of training and of validation, and the splits that they are from. earlier: what the
    run that it starts from has seen.
    """
    if settings.batch_size % launch.world_size():
        raise UserError(f"BATCH_SIZE must be a multiple of the {launch.world_size()} ranks, which take equal shares")
    splits = load_splits(settings, ("train", "valid"), settings.task)
    if settings.task:
        splits = {name: with_texts(split) for name, split in splits.items()}
    if launch.rank() == launch.sharing_ranks(settings.cache_dir)[0]:  # fills the cache for the others that have it
        open_signals(settings, splits)
    launch.barrier()
    signals = open_signals(settings, splits)
    output = settings.output_dir
    output.mkdir(parents=True, exist_ok=True)
    start = choose_start(settings, *signals, _hashes_of_texts(splits) if settings.task else {})
    if start.finished:
        return json.loads((output / METRICS).read_text())
    seen = None
    if launch.is_main() and start.step is None:
        recordings = [r for split in splits.values() for r in split.records]
        before = earlier or Earlier(set(), {})
        warn_of_seen(settings, before.marks)
        seen = save_seen(output, recordings, before.marks | seen_in_data(settings)) | before.record
    if launch.is_main():
        begin(settings, start)
    launch.barrier()
    learner = make_learner(*signals, splits)
    figures = {**train(settings, learner, start, seen, [len(each) for each in signals]), **left_out(splits)}
    if launch.is_main():
        (output / METRICS).write_text(
            json.dumps({**figures, BEGUN_WITH: dict(start.contents), "code": list(start.code)}, indent=2) + "\n"
        )
        finish(output)
        print(f"best at step {figures['step']}: {learner.in_words(figures)}; saved in {output}")
    return figures


def _hashes_of_texts(splits: Mapping[SplitName, Split]) -> dict[str, str]:
    """For RESUME: texts that are learned from must be the same."""
    return {f"{name} texts": split.examples.fingerprint().hex()[:16] for name, split in splits.items()}


def train(
    settings: TrainingSettings,
    learner: Learner,
    start: Start | None = None,
    seen: Mapping[str, Any] | None = None,
    recordings: tuple[int, int] | list[int] = (0, 0),
) -> dict:
    """Train, save the best weights in OUTPUT_DIR and return their figures.

    start: after which saved step, if any; None saves no steps. seen: the record that `save_seen` returned; a saved step
    has its own. recordings: numbers of training and validation recordings. Raises `Stopped` after a signal, once a step
    is saved.
    """
    output, started = settings.output_dir, time.time()
    stopping, step = EarlyStopping(settings.patience, learner.metric, learner.lower_is_better), 0
    if start and start.step:
        state = load_step(start.step)
        for name, parts in learner.parts().items():
            for part, of_part in zip(parts, state["training"][name], strict=True):
                part.load_state_dict(of_part)
        stopping.load_state_dict(state["stopping"])
        step, seen, started = state["step"], state["seen"], started - state["seconds"]
    if launch.is_main():
        print(f"training on {recordings[0]} recordings, validating on {recordings[1]}; writing to {output}")
    progress, remaining = Progress(output, settings.steps, step), range(step + 1, settings.steps + 1)
    with Signals() as signals:
        for step in () if stopping.exhausted else remaining:
            for module in learner.modules():
                module.train()
            progress.trained(step, learner.learn(step))
            if step % settings.eval_steps == 0 or step == settings.steps:
                for module in learner.modules():
                    module.eval()
                figures = learner.validate()
                progress.validated(step, figures, learner.in_words(figures))
                stopping.update(learner.kept, figures, step)
            received = signals.on_any_rank()
            if start and (received or step % (settings.save_steps or settings.eval_steps) == 0):
                training = {name: [part.state_dict() for part in parts] for name, parts in learner.parts().items()}
                state = {"training": training, "stopping": stopping.state_dict(), "seen": seen}
                save_step(output, step, {**state, "seconds": time.time() - started})
            if received:
                saved = f"saving step {step}; RESUME=auto goes on after it" if start else f"step {step}, saving nothing"
                raise Stopped(f"stopped by {received} after {saved}")
            if stopping.exhausted:
                break
    progress.close()
    if stopping.exhausted and launch.is_main():
        print(f"stopping at step {step}: no improvement of {learner.title} in {settings.patience} validations")
    learner.kept.load_state_dict(stopping.weights)
    if launch.is_main():
        learner.kept.eval().save_pretrained(output)
        (output / SETTINGS).write_text(json.dumps(comparable(settings), indent=2, sort_keys=True) + "\n")
        if seen:
            record_seen(output, seen)
    return {**stopping.best, **learner.figures(), "seconds": round(time.time() - started, 1)}

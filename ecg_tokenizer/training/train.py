"""Stage 1: train the tokenizer. Run it as ``bash ecg_tokenizer/run_tokenizer.sh [env file]``.

With several ranks, each computes its share of every batch and the gradients are averaged. With fsq the result equals
that of one rank, up to rounding; vq and rvq draw the vectors that start and restart their codes differently.
"""

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from cardiolect.data_provider.audit.seen import record_seen, save_seen
from cardiolect.data_provider.splits import left_out, load_splits, seen_in_data
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.data_provider.texts.measurements import load_all_measurements
from cardiolect.ecg_tokenizer.cached import open_signals
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.early_stopping import EarlyStopping, validate
from cardiolect.ecg_tokenizer.training.measurements import MeasurementHead, training_targets
from cardiolect.ecg_tokenizer.training.progress import Progress
from cardiolect.ecg_tokenizer.training.resume import BEGUN_WITH, METRICS, SETTINGS, choose_start, load_step, save_step
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.step import TrainingStep
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError
from cardiolect.utils.resume import Start, begin, comparable, finish
from cardiolect.utils.stopping import Signals, Stopped


def train_tokenizer(settings: TokenizerSettings) -> dict:
    """Run stage 1: read the recordings once, then `fit`. Returns the figures of the best tokenizer."""
    if settings.batch_size % launch.world_size():
        raise UserError(f"BATCH_SIZE must be a multiple of the {launch.world_size()} ranks, which take equal shares")
    table = None
    if settings.measurements_data:  # before recordings are read, so that a misspelled column is reported at once
        table = load_all_measurements(settings.measurements_data, settings.data_root, settings.measurements)
    splits = load_splits(settings, ("train", "valid"), task=None)
    if launch.rank() == launch.sharing_ranks(settings.cache_dir)[0]:  # fills the cache for the others that have it
        open_signals(settings, splits)
    launch.barrier()
    train, valid = open_signals(settings, splits)
    output = settings.output_dir
    output.mkdir(parents=True, exist_ok=True)
    start = choose_start(settings, train, valid)
    if start.finished:
        return json.loads((output / METRICS).read_text())
    seen = None
    if launch.is_main() and start.step is None:
        recordings = [r for split in splits.values() for r in split.records]
        seen = save_seen(output, recordings, seen_in_data(settings))
    if launch.is_main():
        begin(settings, start)
    launch.barrier()
    figures = {**fit(settings, train, valid, table, start, seen), **left_out(splits)}
    if not launch.is_main():
        return figures
    (output / METRICS).write_text(
        json.dumps({**figures, BEGUN_WITH: dict(start.contents), "code": list(start.code)}, indent=2) + "\n"
    )
    finish(output)
    print(
        f"best at step {figures['step']}: PRDN {figures['prdn']:.1f} %, {figures['codes_used']} of "
        f"{figures['codebook_size']} codes used, entropy {figures['entropy_bits']:.2f} bits; saved in {output}"
    )
    if settings.search_rounds:
        print(f"these are figures of the encoder alone; the fidelity panel adds SEARCH_ROUNDS={settings.search_rounds}")
    return figures


def fit(
    settings: TokenizerSettings,
    train: SignalCache,
    valid: SignalCache,
    table: dict[str, np.ndarray] | None = None,
    start: Start | None = None,
    seen: Mapping[str, Any] | None = None,
) -> dict:
    """Train a tokenizer, save the best by validation PRDN in OUTPUT_DIR and return its figures.

    table: measurements by record id, as `load_measurements` returns them. start: after which saved step, if any; None
    saves no steps. seen: the record that `save_seen` returned; a saved step has its own. Raises `Stopped` after a
    signal, once a step is saved.
    """
    output, started = settings.output_dir, time.time()
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)
    tokenizer = ECGTokenizer(settings.config()).to(device)
    head = targets = None
    if table is not None:
        targets = training_targets(settings, table, train)
        head = MeasurementHead(tokenizer.config.hidden, len(settings.measurements)).to(device)
    sampler, train_step = CropSampler(settings, train), TrainingStep(tokenizer, head, settings)
    stopping, step = EarlyStopping(settings.patience), 0
    if start and start.step:
        state = load_step(start.step)
        train_step.load_state_dict(state["training"])
        stopping.load_state_dict(state["stopping"])
        step, seen, started = state["step"], state["seen"], started - state["seconds"]
    if launch.is_main():
        print(f"training on {len(train)} recordings, validating on {len(valid)}; writing to {output}")
    progress, remaining = Progress(output, settings.steps, step), range(step + 1, settings.steps + 1)
    with Signals() as signals:
        for step in () if stopping.exhausted else remaining:
            signal, present, rows = sampler.draw(step)
            result = train_step(signal, present, None if targets is None else targets[rows])
            progress.trained(step, result, tokenizer)
            if step % settings.eval_steps == 0 or step == settings.steps:
                figures = validate(tokenizer.eval(), valid)
                progress.validated(step, figures)
                stopping.update(tokenizer, figures, step)
            received = signals.on_any_rank() if start else None
            if start and (received or step % (settings.save_steps or settings.eval_steps) == 0):
                state = {"training": train_step.state_dict(), "stopping": stopping.state_dict(), "seen": seen}
                save_step(output, step, {**state, "seconds": time.time() - started})
            if received:
                raise Stopped(f"stopped by {received} after saving step {step}; RESUME=auto goes on after it")
            if stopping.exhausted:
                break
    progress.close()
    if stopping.exhausted and launch.is_main():
        print(f"stopping at step {step}: no improvement of PRDN in {settings.patience} validations")
    tokenizer.load_state_dict(stopping.weights)
    if launch.is_main():
        tokenizer.save_pretrained(output)
        (output / SETTINGS).write_text(json.dumps(comparable(settings), indent=2, sort_keys=True) + "\n")
        if seen:
            record_seen(output, seen)
    seconds = round(time.time() - started, 1)
    return {**stopping.best, "tokens_per_second_of_ecg": tokenizer.token_rate, "seconds": seconds}

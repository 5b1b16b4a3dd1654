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

from cardiolect.data_provider.audit.seen import save_seen
from cardiolect.data_provider.splits import left_out, load_splits, seen_in_data
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.data_provider.texts.measurements import load_measurements
from cardiolect.ecg_tokenizer.cached import open_signals
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.crops import CropSampler
from cardiolect.ecg_tokenizer.training.early_stopping import EarlyStopping, validate
from cardiolect.ecg_tokenizer.training.measurements import MeasurementHead, training_targets
from cardiolect.ecg_tokenizer.training.progress import Progress
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.step import TrainingStep
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError


def train_tokenizer(settings: TokenizerSettings) -> dict:
    """Run stage 1: read the recordings once, then `fit`. Returns the figures of the best tokenizer."""
    started = time.time()
    if settings.batch_size % launch.world_size():
        raise UserError(f"BATCH_SIZE must be a multiple of the {launch.world_size()} ranks, which take equal shares")
    table = None
    if settings.measurements_data:  # before recordings are read, so that a misspelled column is reported at once
        table = load_measurements(settings.measurements_data, settings.measurements)
    splits = load_splits(settings, ("train", "valid"), task=None)
    seen = {}
    if launch.rank() == launch.sharing_ranks(settings.cache_dir)[0]:  # fills the cache for the others that have it
        open_signals(settings, splits)
    if launch.is_main():
        settings.output_dir.mkdir(parents=True, exist_ok=True)
        recordings = [r for split in splits.values() for r in split.records]
        seen = save_seen(settings.output_dir, recordings, seen_in_data(settings))
    launch.barrier()
    train, valid = open_signals(settings, splits)
    figures = {**fit(settings, train, valid, table, seen), **left_out(splits)}
    figures["seconds"] = round(time.time() - started, 1)
    if not launch.is_main():
        return figures
    (settings.output_dir / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(
        f"best at step {figures['step']}: PRDN {figures['prdn']:.1f} %, {figures['codes_used']} of "
        f"{figures['codebook_size']} codes used, entropy {figures['entropy_bits']:.2f} bits; "
        f"saved in {settings.output_dir}"
    )
    if settings.search_rounds:
        print(f"these are figures of the encoder alone; the fidelity panel adds SEARCH_ROUNDS={settings.search_rounds}")
    return figures


def fit(
    settings: TokenizerSettings,
    train: SignalCache,
    valid: SignalCache,
    table: dict[str, np.ndarray] | None = None,
    seen: Mapping[str, Any] | None = None,
) -> dict:
    """Train a tokenizer, save the best by validation PRDN in OUTPUT_DIR and return its figures.

    table: measurements by record id, as `load_measurements` returns them. seen: the record that `save_seen` returned.
    """
    output = settings.output_dir
    torch.manual_seed(settings.seed)
    device = choose_device(settings.device)
    tokenizer = ECGTokenizer(settings.config()).to(device)
    head = targets = None
    if table is not None:
        targets = training_targets(settings, table, train)
        head = MeasurementHead(tokenizer.config.hidden, len(settings.measurements)).to(device)
    sampler, train_step = CropSampler(settings, train), TrainingStep(tokenizer, head, settings)
    if launch.is_main():
        (output / "settings.json").write_text(settings.to_json())
        print(f"training on {len(train)} recordings, validating on {len(valid)}; writing to {output}")
    progress, stopping = Progress(output, settings.steps), EarlyStopping(output, settings.patience, seen)
    for step in progress.steps():
        signal, present, rows = sampler.draw()
        result = train_step(signal, present, None if targets is None else targets[rows])
        progress.trained(step, result, tokenizer, stopping.best)
        if step % settings.eval_steps and step < settings.steps:
            continue
        figures = validate(tokenizer.eval(), valid)
        progress.validated(step, figures)
        stopping.update(tokenizer, figures, step)
        if stopping.exhausted:
            if launch.is_main():
                print(f"stopping at step {step}: no improvement of PRDN in {settings.patience} validations")
            break
    progress.close()
    return {**stopping.best, "tokens_per_second_of_ecg": tokenizer.token_rate}

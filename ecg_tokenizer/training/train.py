"""Stage 1: train the tokenizer. Run it as ``bash ecg_tokenizer/run_tokenizer.sh [env file]``.

On several ranks each computes its share of every batch and gradients are averaged: with fsq the tokenizer is that of
one rank, to rounding; vq and rvq start and restart their codes from other draws.
"""

import json
import time

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from cardiolect.data_provider.audit.seen import save_seen
from cardiolect.data_provider.corpora.mixture import probabilities
from cardiolect.data_provider.splits import Split, corpus_weights, load_splits, seen_in_data
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.data_provider.texts.measurements import load_measurements
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.ecg_tokenizer.training.augmentation import augment, stretched_length
from cardiolect.ecg_tokenizer.training.measurements import MeasurementHead, standardised
from cardiolect.ecg_tokenizer.training.optimizers import descend, make_optimizers
from cardiolect.ecg_tokenizer.training.reconstruction import distortion, measurement_loss
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError


def _share() -> slice:
    """This rank's rows of a batch, of a validation set."""
    return slice(launch.rank(), None, launch.world_size())


def measurement_head(
    settings: TokenizerSettings, table: dict[str, np.ndarray] | None, train: SignalCache, width: int
) -> tuple[MeasurementHead | None, torch.Tensor | None]:
    """What reads measurements from codes in training, and its targets ``(len(train), measurements)``; or nothing."""
    if table is None:
        return None, None
    targets = standardised(table, train.record_ids, len(settings.measurements))
    if nothing := [n for n, column in zip(settings.measurements, targets.T, strict=True) if column.isnan().all()]:
        raise UserError(f"{settings.measurements_data}: no value of {', '.join(nothing)} for any training recording")
    return MeasurementHead(width, len(settings.measurements)), targets


@torch.inference_mode()
def validate(tokenizer: ECGTokenizer, cache: SignalCache) -> dict:
    """PRDN (percent, mean over whole recordings) and joint code use on a validation set."""
    stride, codes, prdns = tokenizer.config.stride, [], []
    for i in range(len(cache))[_share()]:
        signal = cache.signal(i)
        signal = signal[:, : signal.shape[1] // stride * stride]
        reconstruction, found, _ = tokenizer(torch.from_numpy(signal)[None].to(tokenizer.device))
        leads = cache.present[i]
        prdns.append(prdn(signal[leads], reconstruction[0].cpu().numpy()[leads]))
        codes.append(found[0].cpu().numpy())
    prdns, codes = ([x for part in launch.gather(found) for x in part] for found in (prdns, codes))
    return {"prdn": float(np.mean(prdns)), **tokenizer.code_use(codes)}


def train_tokenizer(settings: TokenizerSettings) -> dict:
    """Stage 1 by ``settings``: read recordings once, then `fit`; returns its figures."""
    started = time.time()
    if settings.batch_size % launch.world_size():
        raise UserError(f"BATCH_SIZE must be a multiple of the {launch.world_size()} ranks, which take equal shares")
    table = None
    if settings.measurements_data:  # before recordings are read: a misspelled column shows at once
        table = load_measurements(settings.measurements_data, settings.measurements)
    splits = load_splits(settings, ("train", "valid"), task=None)
    if launch.is_main():  # the others find it read
        _signals(settings, splits)
        settings.output_dir.mkdir(parents=True, exist_ok=True)
        recordings = [r for split in splits.values() for r in split.records]
        save_seen(settings.output_dir, recordings, seen_in_data(settings))
    launch.barrier()
    train, valid = _signals(settings, splits)
    figures = {**fit(settings, train, valid, table), "seconds": round(time.time() - started, 1)}
    if not launch.is_main():
        return figures
    (settings.output_dir / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(
        f"best at step {figures['step']}: PRDN {figures['prdn']:.1f} %, {figures['codes_used']} of "
        f"{figures['codebook_size']} codes used, entropy {figures['entropy_bits']:.2f} bits; "
        f"saved in {settings.output_dir}"
    )
    return figures


def _signals(settings: TokenizerSettings, splits: dict[str, Split]) -> list[SignalCache]:
    return [
        open_signal_cache(
            splits[name].records,
            settings.sampling_rate,
            settings.cache_dir,
            settings.workers,
            settings.max_bad_records,
            f"{name} recordings",
        )
        for name in ("train", "valid")
    ]


def fit(
    settings: TokenizerSettings, train: SignalCache, valid: SignalCache, table: dict[str, np.ndarray] | None = None
) -> dict:
    """Train a tokenizer; writes the best by validation PRDN to OUTPUT_DIR and returns its figures.

    table: measurements by recording, as `load_measurements` returns them.
    """
    device = choose_device(settings.device)
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    tokenizer = ECGTokenizer(settings.config()).to(device)
    head, targets = measurement_head(settings, table, train, tokenizer.config.hidden)
    if head is not None:
        head.to(device)
    optimizers = make_optimizers(tokenizer, head, settings)
    warm_up = max(0.05, min(2 / settings.steps, 0.75))  # OneCycleLR divides by one less than its steps
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, optimizer.defaults["lr"], total_steps=settings.steps, pct_start=warm_up, cycle_momentum=False
        )
        for optimizer in optimizers
    ]
    crop = round(settings.crop_seconds * settings.sampling_rate) // settings.stride * settings.stride
    drawn = probabilities(train.record_ids, corpus_weights(settings))
    output = settings.output_dir
    main = launch.is_main()
    writer = SummaryWriter(str(output / "tensorboard")) if main else None
    if main:
        (output / "settings.json").write_text(settings.to_json())
        print(f"training on {len(train)} recordings, validating on {len(valid)}; writing to {output}")
    best, since_best = {"prdn": float("inf")}, 0
    bar = tqdm(range(1, settings.steps + 1), desc="tokenizer", unit="step", mininterval=1, disable=not main)
    for step in bar:
        tokenizer.train()
        *crops, rows = train.crops(rng, settings.batch_size, stretched_length(crop, settings, rng), _share(), drawn)
        signal, present = (torch.from_numpy(a).float() for a in crops)
        signal, present = augment(signal, present, crop, settings, generator, _share())
        signal, present = signal.to(device), present.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            quantized = tokenizer.quantize(signal)
            reconstruction = tokenizer.reconstruct(quantized.features, quantized.slow)
            measured = head(quantized.features) if head is not None else None
        loss = quantized.loss + distortion(signal, reconstruction.float(), present, settings)
        if measured is not None:
            misread = measurement_loss(measured.float(), targets[rows].to(device))
            loss = loss + settings.measurement_weight * misread
        descend(loss, optimizers)
        for schedule in schedules:
            schedule.step()
        if main and step % 50 == 0:
            use = tokenizer.code_use([quantized.codes.cpu().numpy()])
            writer.add_scalar("train/loss", loss.item(), step)
            if head is not None:
                writer.add_scalar("train/measurement_loss", misread.item(), step)
            writer.add_scalar("train/batch_entropy_bits", use["entropy_bits"], step)
            validated = {"prdn": f"{best['prdn']:.1f}%", "codes": best["codes_used"]} if "codes_used" in best else {}
            bar.set_postfix(loss=f"{loss.item():.3f}", **validated)
        if step % settings.eval_steps == 0 or step == settings.steps:
            figures = validate(tokenizer.eval(), valid)
            for name in ("prdn", "codes_used", "entropy_bits", "normalised_entropy") if main else ():
                writer.add_scalar(f"valid/{name}", figures[name], step)
            if not np.isfinite(figures["prdn"]):
                raise UserError(
                    f"training diverged at step {step}: lower LEARNING_RATE; the best so far is in {output}"
                )
            if figures["prdn"] < best["prdn"]:
                best, since_best = {**figures, "step": step}, 0
                if main:
                    tokenizer.save_pretrained(output)
            else:
                since_best += 1
                if since_best >= settings.patience:
                    if main:
                        print(f"stopping at step {step}: no better PRDN for {settings.patience} validations")
                    break
    if main:
        writer.close()
    return {**best, "tokens_per_second_of_ecg": tokenizer.token_rate}

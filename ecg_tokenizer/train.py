"""Stage 1: train the tokenizer. Run it as ``bash ecg_tokenizer/run_tokenizer.sh [env file]``."""

import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from data_provider.corpus import load_splits
from data_provider.seen import save_seen
from data_provider.signal_cache import SignalCache, open_signal_cache
from ecg_tokenizer.config import TokenizerConfig
from ecg_tokenizer.fidelity import code_use, prdn
from ecg_tokenizer.settings import TokenizerSettings
from ecg_tokenizer.tokenizer import ECGTokenizer
from utils.errors import UserError, exit_on_user_error

# Added to a crop's variance (mV^2) in the loss: quiet crops count more than plain MSE lets them, noise alone does not.
VARIANCE_FLOOR = 0.005
SMALL_WAVE = 0.15  # mV, where `compand` turns from linear to logarithmic: a P wave


def reconstruction_loss(
    signal: torch.Tensor, reconstruction: torch.Tensor, present: torch.Tensor, derivative_weight: float
) -> torch.Tensor:
    """Squared error relative to each crop's variance, over present leads, plus the same on first differences.

    signal, reconstruction: ``(batch, 12, T)`` mV; present: ``(batch, 12)``, 1 where the lead was recorded.
    """
    mask = present[:, :, None]
    weight = mask.sum(dim=(1, 2)) * signal.shape[-1] + 1e-6
    centred = (signal - signal.mean(dim=2, keepdim=True)) * mask
    variance = centred.square().sum(dim=(1, 2)) / weight + VARIANCE_FLOOR
    error = (reconstruction - signal) * mask
    loss = (error.square().sum(dim=(1, 2)) / weight / variance).mean()
    if derivative_weight:
        slope = (signal.diff(dim=2) * mask).square().sum(dim=(1, 2)) / weight + VARIANCE_FLOOR / 10
        loss = loss + derivative_weight * (error.diff(dim=2).square().sum(dim=(1, 2)) / weight / slope).mean()
    return loss


def compand(signal: torch.Tensor) -> torch.Tensor:
    """Millivolts, linear for small waves and logarithmic for large ones: a P wave counts beside the R wave."""
    return torch.asinh(signal / SMALL_WAVE) * SMALL_WAVE


def texture_loss(
    signal: torch.Tensor, reconstruction: torch.Tensor, present: torch.Tensor, window: int
) -> torch.Tensor:
    """Mean absolute difference of log slope energy in half-overlapping windows of ``window`` samples.

    Squared error lets a decoder smooth noise away; this asks it to keep how much there is, and where.
    """
    floor = 0.005**2  # mV^2: what is quieter is flat

    def energy(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool1d(x.diff(dim=2).square(), window, window // 2)

    difference = ((energy(reconstruction) + floor).log() - (energy(signal) + floor).log()).abs() * present[:, :, None]
    return difference.mean()


def distortion(
    signal: torch.Tensor, reconstruction: torch.Tensor, present: torch.Tensor, settings: TokenizerSettings
) -> torch.Tensor:
    """What training minimises beside the quantizer's own loss; the settings weigh its parts."""
    small, slopes = settings.small_wave_weight, settings.derivative_weight
    loss = torch.zeros((), device=signal.device)
    if small < 1:
        loss = loss + (1 - small) * reconstruction_loss(signal, reconstruction, present, slopes)
    if small > 0:
        loss = loss + small * reconstruction_loss(compand(signal), compand(reconstruction), present, slopes)
    if settings.texture_weight:
        loss = loss + settings.texture_weight * texture_loss(signal, reconstruction, present, 2 * settings.stride)
    return loss


def make_optimizers(tokenizer: ECGTokenizer, settings: TokenizerSettings) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices of the blocks (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/)."""
    matrices = [p for name, p in tokenizer.named_parameters() if ".blocks." in name and p.ndim == 2]
    taken = {id(p) for p in matrices}
    others = [p for p in tokenizer.parameters() if id(p) not in taken]
    return [
        torch.optim.AdamW(others, settings.learning_rate, betas=(0.9, 0.99)),
        torch.optim.Muon(matrices, settings.muon_learning_rate, weight_decay=0.0),
    ]


def augment(
    signal: torch.Tensor, present: torch.Tensor, settings: TokenizerSettings, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale whole crops (all leads alike: Einthoven holds) and silence single leads; returns signal and lead mask."""
    batch = signal.shape[0]
    gain = 1 + settings.gain_jitter * (2 * torch.rand(batch, 1, 1, generator=generator) - 1)
    kept = (torch.rand(present.shape, generator=generator) >= settings.lead_dropout).float() * present
    return signal * gain * kept[:, :, None], kept


@torch.inference_mode()
def validate(tokenizer: ECGTokenizer, cache: SignalCache) -> dict[str, float]:
    """PRDN (percent, mean over whole recordings) and joint code use on a validation set."""
    stride, codes, prdns = tokenizer.config.stride, [], []
    for i in range(len(cache)):
        signal = cache.signal(i)
        signal = signal[:, : signal.shape[1] // stride * stride]
        reconstruction, found, _ = tokenizer(torch.from_numpy(signal)[None].to(tokenizer.device))
        leads = cache.present[i]
        prdns.append(prdn(signal[leads], reconstruction[0].cpu().numpy()[leads]))
        codes.append(found[0].cpu().numpy())
    return {"prdn": float(np.mean(prdns)), **code_use(np.concatenate(codes), tokenizer.codebook_size)}


def train_tokenizer(settings: TokenizerSettings) -> dict:
    """Train by ``settings``; writes the best tokenizer by validation PRDN to OUTPUT_DIR and returns its figures."""
    started = time.time()
    splits = load_splits(settings, ("train", "valid"), task=None)
    train, valid = (
        open_signal_cache(
            splits[name].records, settings.sampling_rate, settings.cache_dir, settings.workers,
            settings.max_bad_records, f"{name} recordings",
        )
        for name in ("train", "valid")
    )  # fmt: skip
    device = torch.device("cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu")
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    tokenizer = ECGTokenizer(
        TokenizerConfig(
            quantizer=settings.quantizer,
            fsq_levels=tuple(settings.fsq_levels),
            codebook_size=settings.codebook_size,
            codebook_dim=settings.codebook_dim,
            sampling_rate=settings.sampling_rate,
            stride=settings.stride,
            hidden=settings.hidden,
            encoder_depth=settings.encoder_depth,
            decoder_depth=settings.decoder_depth,
        )
    ).to(device)
    optimizers = make_optimizers(tokenizer, settings)
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(
            optimizer, optimizer.defaults["lr"], total_steps=settings.steps, pct_start=0.05, cycle_momentum=False
        )
        for optimizer in optimizers
    ]
    crop = round(settings.crop_seconds * settings.sampling_rate) // settings.stride * settings.stride
    output = settings.output_dir
    output.mkdir(parents=True, exist_ok=True)
    (output / "settings.json").write_text(settings.to_json())
    save_seen(output, [r for split in splits.values() for r in split.records])
    writer = SummaryWriter(str(output / "tensorboard"))
    print(f"training on {len(train)} recordings, validating on {len(valid)}; writing to {output}")
    best, since_best = {"prdn": float("inf")}, 0
    bar = tqdm(range(1, settings.steps + 1), desc="tokenizer", unit="step", mininterval=1)
    for step in bar:
        tokenizer.train()
        signal, present = (torch.from_numpy(a).float() for a in train.crops(rng, settings.batch_size, crop))
        signal, present = augment(signal, present, settings, generator)
        signal, present = signal.to(device), present.to(device)
        reconstruction, codes, quantizer_loss = tokenizer(signal)
        loss = quantizer_loss + distortion(signal, reconstruction, present, settings)
        tokenizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tokenizer.parameters(), 1.0)
        for part in (*optimizers, *schedules):
            part.step()
        if step % 50 == 0:
            use = code_use(codes.cpu().numpy(), tokenizer.codebook_size)
            writer.add_scalar("train/loss", loss.item(), step)
            writer.add_scalar("train/batch_entropy_bits", use["entropy_bits"], step)
            validated = {"prdn": f"{best['prdn']:.1f}%", "codes": best["codes_used"]} if "codes_used" in best else {}
            bar.set_postfix(loss=f"{loss.item():.3f}", **validated)
        if step % settings.eval_steps == 0 or step == settings.steps:
            figures = validate(tokenizer.eval(), valid)
            for name, value in figures.items():
                writer.add_scalar(f"valid/{name}", value, step)
            if not np.isfinite(figures["prdn"]):
                raise UserError(
                    f"training diverged at step {step}: lower LEARNING_RATE; the best so far is in {output}"
                )
            if figures["prdn"] < best["prdn"]:
                best, since_best = {**figures, "step": step}, 0
                tokenizer.save_pretrained(output)
            else:
                since_best += 1
                if since_best >= settings.patience:
                    print(f"stopping at step {step}: no better PRDN for {settings.patience} validations")
                    break
    writer.close()
    figures = {**best, "tokens_per_second_of_ecg": tokenizer.frame_rate, "seconds": round(time.time() - started, 1)}
    (output / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(
        f"best at step {best['step']}: PRDN {best['prdn']:.1f} %, {best['codes_used']} of {best['codebook_size']} "
        f"codes used, entropy {best['entropy_bits']:.2f} bits; saved in {output}"
    )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("env_file", help="settings of the tokenizer, see docs/SETTINGS.md")
    train_tokenizer(TokenizerSettings.load(parser.parse_args().env_file))


if __name__ == "__main__":
    exit_on_user_error(main)

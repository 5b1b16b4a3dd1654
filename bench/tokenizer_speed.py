"""Our tokenizer against HeartLLM's: speed of encoding and training, and distortion after equal training time.

    python -m bench.tokenizer_speed [--tokenizer DIR] [--seconds 120] [--threads 2]

Input: simulated ECGs of 10 s, 12 leads at 500 Hz. HeartLLM's time includes its z-score, ours the resampling to 250 Hz
and the removal of offsets.
Distortion is measured in millivolts at 250 Hz for both; HeartLLM's output is scaled back with the true mean and
standard deviation of every lead.
"""

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from bench.baselines.heartllm_tokenizer import HeartLLMTokenizer, z_score
from bench.harness import benchmark_parser, report, seconds_per_call
from cardiolect.data_provider.record import resample
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.render import simulate
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.codes.usage import code_use
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.ecg_tokenizer.training.optimizers import descend, make_optimizers
from cardiolect.ecg_tokenizer.training.reconstruction import distortion
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.command_line import run_command
from cardiolect.utils.device import keep_freed_memory

TRAIN_ECGS, TEST_ECGS, FS = 400, 40, 500
OURS = {
    "width 128": {"hidden": 128},
    "light, width 128": {"hidden": 128, "backbone": "light", "encoder_depth": 2, "decoder_depth": 3},
    "width 64": {"hidden": 64},
    "width 32": {"hidden": 32},
}
BATCH = 8  # for timed training steps; equal-time training uses 16, and 2 for the baseline, which takes few steps


def ecgs(count: int, first: int) -> np.ndarray:
    """One ECG each of ``count`` patients, mV ``(count, 12, 5000)`` at 500 Hz."""
    return np.stack([simulate(1, i, draw_patient(1, i, 1))[1] for i in range(first, first + count)])


def load_settings(folder: Path, architecture: dict) -> TokenizerSettings:
    """Codes of the default kind with the quickstart's training, so that the time of all its losses is included."""
    env = Path(__file__).resolve().parents[1] / "env/quickstart/tokenizer.env"
    codes = dict(stride_ms=40, coarse_frames=4, fsq_levels=[8, 5, 5, 5])
    standard = dict(backbone="standard", encoder_depth=4, decoder_depth=4)
    return TokenizerSettings.load(
        env,
        output_dir=folder,
        data_root=folder,
        measurements_data=[],
        measurements=[],
        **(codes | standard | architecture),
    )


def our_step(tokenizer: ECGTokenizer, settings: TokenizerSettings):
    """A training step on ``(batch, 12, T)`` mV at 250 Hz."""
    optimizers = make_optimizers(tokenizer, None, settings)

    def step(signal: torch.Tensor) -> None:
        tokenizer.train()
        present = torch.ones(signal.shape[:2])
        reconstruction, _, quantizer_loss = tokenizer(signal)
        descend(quantizer_loss + distortion(signal, reconstruction, present, settings), optimizers)

    return step


def their_step(tokenizer: HeartLLMTokenizer):
    """A training step on ``(batch, 12, T)`` z-scored signals at 500 Hz; AdamW 2e-3, squared error, as published."""
    optimizer = torch.optim.AdamW(tokenizer.parameters(), lr=2e-3)

    def step(signal: torch.Tensor) -> None:
        loss = F.mse_loss(tokenizer(signal), signal)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def train_for(step, signals: np.ndarray, seconds: float, batch: int, name: str) -> int:
    """Train on random recordings until the time is up; return the number of recordings used."""
    rng, seen, start = np.random.default_rng(0), 0, time.perf_counter()
    with tqdm(total=round(seconds), desc=f"training {name}", unit="s") as bar:
        while time.perf_counter() - start < seconds:
            step(torch.from_numpy(signals[rng.integers(0, len(signals), batch)]))
            seen += batch
            bar.update(min(round(time.perf_counter() - start), bar.total) - bar.n)
    return seen


def gmac(call) -> float:
    """Billions of multiply-accumulate operations in matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2e9


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--tokenizer", type=Path, help="also time the encoding of this trained tokenizer")
    parser.add_argument(
        "--seconds", type=float, default=120, help="training time per tokenizer for the distortion; 0 skips it"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # like every stage; otherwise times depend on what was freed before
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    raw = ecgs(TRAIN_ECGS + TEST_ECGS if arguments.seconds else 16, 0)
    resampled = np.stack([resample(signal, FS, 250) for signal in raw])
    z_scored = z_score(torch.from_numpy(raw)).numpy()
    settings = {name: load_settings(arguments.out, architecture) for name, architecture in OURS.items()}
    stride = settings["width 128"].stride
    frames = resampled[..., : resampled.shape[-1] // stride * stride]  # training uses whole frames
    theirs, ours = HeartLLMTokenizer(), {name: ECGTokenizer(settings[name].config()) for name in OURS}

    def encode_theirs() -> None:
        with torch.inference_mode():
            theirs.encode(z_score(torch.from_numpy(raw[:16])))

    def encode_ours(tokenizer: ECGTokenizer) -> None:
        tokenizer.eval().prepare(list(raw[:16]), FS)

    step_theirs = their_step(theirs)
    their_ecg, our_ecg = torch.from_numpy(z_scored[:1]), torch.from_numpy(frames[:1])
    rows = [
        {
            "tokenizer": "HeartLLM",
            "parameters": sum(p.numel() for p in theirs.parameters()),
            "encoder GMAC": gmac(lambda: theirs.encode(their_ecg)),
            "encode ECGs/s": 16 / seconds_per_call(encode_theirs),
            "train ECGs/s": BATCH / seconds_per_call(lambda: step_theirs(torch.from_numpy(z_scored[:BATCH]))),
        }
    ]
    for name, tokenizer in ours.items():
        step = our_step(tokenizer, settings[name])
        rows.append(
            {
                "tokenizer": f"Cardiolect, 40 ms and coarse codes, {name}",
                "parameters": sum(p.numel() for p in tokenizer.parameters()),
                "encoder GMAC": gmac(partial(tokenizer.quantize, our_ecg)),
                "encode ECGs/s": 16 / seconds_per_call(partial(encode_ours, tokenizer)),
                "train ECGs/s": BATCH / seconds_per_call(partial(step, torch.from_numpy(frames[:BATCH]))),
            }
        )
    if arguments.tokenizer:
        loaded = ECGTokenizer.from_pretrained(arguments.tokenizer)
        whole = our_ecg[..., : our_ecg.shape[-1] // loaded.config.stride * loaded.config.stride]
        rows.append(
            {
                "tokenizer": str(arguments.tokenizer),
                "parameters": sum(p.numel() for p in loaded.parameters()),
                "encoder GMAC": gmac(lambda: loaded.quantize(whole)),
                "encode ECGs/s": 16 / seconds_per_call(partial(encode_ours, loaded)),
                "train ECGs/s": None,
            }
        )
    for row in rows:
        row["encode ratio"] = row["encode ECGs/s"] / rows[0]["encode ECGs/s"]
        row["train ratio"] = row["train ECGs/s"] and row["train ECGs/s"] / rows[0]["train ECGs/s"]
        row.update({"ECGs trained on": None, "PRDN %": None, "codes used": None})
    if arguments.seconds:
        test = resampled[TRAIN_ECGS:]  # both are measured on the same signals at 250 Hz
        torch.manual_seed(0)
        theirs = HeartLLMTokenizer()
        rows[0]["ECGs trained on"] = train_for(
            their_step(theirs), z_scored[:TRAIN_ECGS], arguments.seconds, 2, rows[0]["tokenizer"]
        )
        with torch.inference_mode():
            whole = torch.from_numpy(raw[TRAIN_ECGS:])
            mean, deviation = whole.mean(dim=-1, keepdim=True), whole.std(dim=-1, keepdim=True)
            decoded = [resample(d, FS, 250) for d in (theirs(z_score(whole)) * deviation + mean).numpy()]
            codes = theirs.encode(z_score(whole)).numpy()
        rows[0]["PRDN %"] = float(np.mean([prdn(a, b) for a, b in zip(test, decoded, strict=True)]))
        rows[0]["codes used"] = code_use(codes, [6**4])["codes_used"]
        for row, name in zip(rows[1:], OURS, strict=False):
            torch.manual_seed(0)
            tokenizer = ECGTokenizer(settings[name].config())
            step = our_step(tokenizer, settings[name])
            row["ECGs trained on"] = train_for(step, frames[:TRAIN_ECGS], arguments.seconds, 16, row["tokenizer"])
            codes = tokenizer.eval().encode_batch(list(test))
            decoded = [tokenizer.decode(c)[:, : resampled.shape[-1]] for c in codes]
            row["PRDN %"] = float(np.mean([prdn(a, b) for a, b in zip(test, decoded, strict=True)]))
            row["codes used"] = tokenizer.code_use(codes)["codes_used"]
    notes = f"10 s, 12 leads; distortion on {TEST_ECGS} unseen patients after {arguments.seconds:g} s of training each"
    report("tokenizer_speed", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

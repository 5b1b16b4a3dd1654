"""Tokenizer against HeartLLM's architecture: encoding, a training step, and distortion after equal training time.

    python -m bench.encoding [--tokenizer DIR] [--seconds 120] [--threads 2]

Input is simulated, 10 s of 12 leads at 500 Hz. HeartLLM's time holds its z-score, ours the resampling to 250 Hz. The
distortion of both is taken in millivolts at 250 Hz; HeartLLM's gets the true mean and deviation of every lead back.
"""

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from bench.heartllm_tokenizer import HeartLLMTokenizer, z_score
from bench.report import command_line, seconds_per_call, show
from cardiolect.data_provider.record import resample
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.render import simulate
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.codes.usage import code_use
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.ecg_tokenizer.training.optimizers import descend, make_optimizers
from cardiolect.ecg_tokenizer.training.reconstruction import distortion
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.errors import exit_on_user_error
from cardiolect.utils.memory import keep_freed_memory

TRAIN_ECGS, TEST_ECGS, FS = 400, 40, 500
WIDTHS = (128, 64, 32)  # of our tokenizer: what is gained in speed, and its price
BATCH = 8  # of timed training steps; equal-time training takes 2 for the baseline, which else sees few steps, and 16


def ecgs(count: int, first: int) -> np.ndarray:
    """``(count, 12, 5000)`` mV of as many patients, at 500 Hz."""
    return np.stack([simulate(1, i, draw_patient(1, i, 1))[1] for i in range(first, first + count)])


def settings(folder: Path, hidden: int) -> TokenizerSettings:
    """The default architecture, trained as the quickstart's, whose texture and companded losses cost time too."""
    env = Path(__file__).resolve().parents[1] / "env/quickstart/tokenizer.env"
    return TokenizerSettings.load(
        env,
        output_dir=folder,
        data_root=folder,
        measurements_data=None,
        measurements=[],
        stride_ms=40,
        coarse_frames=4,
        fsq_levels=[8, 5, 5, 5],
        hidden=hidden,
    )


def our_step(tokenizer: ECGTokenizer, chosen: TokenizerSettings):
    """A training step on ``(batch, 12, T)`` mV at 250 Hz."""
    optimizers = make_optimizers(tokenizer, None, chosen)

    def step(signal: torch.Tensor) -> None:
        tokenizer.train()
        present = torch.ones(signal.shape[:2])
        reconstruction, _, quantizer_loss = tokenizer(signal)
        descend(quantizer_loss + distortion(signal, reconstruction, present, chosen), optimizers)

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
    """Steps on random recordings until the time is up; returns how many recordings were seen."""
    rng, seen, start = np.random.default_rng(0), 0, time.perf_counter()
    with tqdm(total=round(seconds), desc=f"training {name}", unit="s") as bar:
        while time.perf_counter() - start < seconds:
            step(torch.from_numpy(signals[rng.integers(0, len(signals), batch)]))
            seen += batch
            bar.update(min(round(time.perf_counter() - start), bar.total) - bar.n)
    return seen


def gmac(call) -> float:
    """Billions of multiply-accumulates of matrix products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 2e9


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--tokenizer", type=Path, help="time this trained tokenizer's encoding too")
    parser.add_argument("--seconds", type=float, default=120, help="training time of each for the distortion; 0: none")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as every stage does; without it times hang on what was freed before
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    raw = ecgs(TRAIN_ECGS + TEST_ECGS if arguments.seconds else 16, 0)
    half = np.stack([resample(signal, FS, 250) for signal in raw])
    scored = z_score(torch.from_numpy(raw)).numpy()
    chosen = {width: settings(arguments.out, width) for width in WIDTHS}
    stride = chosen[WIDTHS[0]].stride
    frames = half[..., : half.shape[-1] // stride * stride]  # training takes whole frames
    theirs, ours = HeartLLMTokenizer(), {width: ECGTokenizer(chosen[width].config()) for width in WIDTHS}

    def encode_theirs() -> None:
        with torch.inference_mode():
            theirs.encode(z_score(torch.from_numpy(raw[:16])))

    def encode_ours(tokenizer: ECGTokenizer) -> None:
        tokenizer.eval().encode_batch([resample(signal, FS, tokenizer.config.sampling_rate) for signal in raw[:16]])

    step_theirs = their_step(theirs)
    one, one_half = torch.from_numpy(scored[:1]), torch.from_numpy(frames[:1])
    rows = [
        {
            "tokenizer": "HeartLLM",
            "parameters": sum(p.numel() for p in theirs.parameters()),
            "encoder GMAC": gmac(lambda: theirs.encode(one)),
            "encode ECGs/s": 16 / seconds_per_call(encode_theirs),
            "train ECGs/s": BATCH / seconds_per_call(lambda: step_theirs(torch.from_numpy(scored[:BATCH]))),
        }
    ]
    for width, mine in ours.items():
        step = our_step(mine, chosen[width])
        rows.append(
            {
                "tokenizer": f"Cardiolect, {chosen[width].stride_ms:g} ms and coarse codes, width {width}",
                "parameters": sum(p.numel() for p in mine.parameters()),
                "encoder GMAC": gmac(partial(mine.quantize, one_half)),
                "encode ECGs/s": 16 / seconds_per_call(partial(encode_ours, mine)),
                "train ECGs/s": BATCH / seconds_per_call(partial(step, torch.from_numpy(frames[:BATCH]))),
            }
        )
    if arguments.tokenizer:
        loaded = ECGTokenizer.from_pretrained(arguments.tokenizer)
        whole = one_half[..., : one_half.shape[-1] // loaded.config.stride * loaded.config.stride]
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
        test = half[TRAIN_ECGS:]  # both are judged on the same signals at 250 Hz
        torch.manual_seed(0)
        theirs = HeartLLMTokenizer()
        rows[0]["ECGs trained on"] = train_for(
            their_step(theirs), scored[:TRAIN_ECGS], arguments.seconds, 2, rows[0]["tokenizer"]
        )
        with torch.inference_mode():
            whole = torch.from_numpy(raw[TRAIN_ECGS:])
            mean, deviation = whole.mean(dim=-1, keepdim=True), whole.std(dim=-1, keepdim=True)
            drawn = [resample(d, FS, 250) for d in (theirs(z_score(whole)) * deviation + mean).numpy()]
            codes = theirs.encode(z_score(whole)).numpy()
        rows[0]["PRDN %"] = float(np.mean([prdn(a, b) for a, b in zip(test, drawn, strict=True)]))
        rows[0]["codes used"] = code_use(codes, [6**4])["codes_used"]
        for row, width in zip(rows[1:], WIDTHS, strict=False):
            torch.manual_seed(0)
            mine = ECGTokenizer(chosen[width].config())
            step = our_step(mine, chosen[width])
            row["ECGs trained on"] = train_for(step, frames[:TRAIN_ECGS], arguments.seconds, 16, row["tokenizer"])
            found = mine.eval().encode_batch(list(test))
            drawn = [mine.decode(c)[:, : half.shape[-1]] for c in found]
            row["PRDN %"] = float(np.mean([prdn(a, b) for a, b in zip(test, drawn, strict=True)]))
            row["codes used"] = mine.code_use(found)["codes_used"]
    notes = f"10 s, 12 leads; distortion on {TEST_ECGS} unseen patients after {arguments.seconds:g} s of training each"
    show("encoding", rows, arguments.out, notes)


if __name__ == "__main__":
    exit_on_user_error(main)

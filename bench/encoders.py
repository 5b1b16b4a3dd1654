"""How fast encoders are: ECGs per second of every encoder, as published and small, against codes in the same run.

    python -m bench.encoders [--tokenizer DIR] [--encoders s4,resnet18] [--threads 2]

Weights are random, which takes as long as trained ones. Input: simulated ECGs of 10 s with 12 leads at 500 Hz. What is
timed is `prepare`, as when a corpus is encoded, without reading files. Codes are those of a tokenizer with the default
settings. Times of a busy machine are comparable within a run only.
"""

import os
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from transformers import ViTConfig

from bench.harness import benchmark_parser, report, seconds_per_call
from bench.tokenizer_speed import FS, ecgs
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig, EncoderName
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.utils.command_line import run_command
from cardiolect.utils.device import keep_freed_memory
from cardiolect.utils.errors import UserError

ECGS = 16
SMALL = {  # the sizes that this project trains
    "s4": {"width": 64, "depth": 2},
    "resnet18": {"width": 16},
    "convnext-atto": {"width": 16},
    "st-mem": {"width": 64, "depth": 4},
    "mtae": {"width": 64, "depth": 4},
    "mlae": {"width": 64, "depth": 4, "patch": 2500},
}
LARGE = ("convnext-large", "convnext-huge")  # gigabytes of weights: only if they are named


def encoder_of(name: str, **sizes: int) -> ECGEncoder:
    """An encoder with random weights; that of pictures is a ViT-B/16, which is what transformers' ViTConfig is."""
    whole = {"patch": 2500} if name == "mlae" else {"vision": ViTConfig().to_json_string(use_diff=False)}
    torch.manual_seed(0)
    return ECGEncoder(EncoderConfig(name, **(whole | sizes))).eval().requires_grad_(False)


def measure(name: str, representation: ECGRepresentation, signals: list[np.ndarray], seconds: float) -> dict:
    item = representation.prepare(signals[:1], FS)[0]
    per_call = seconds_per_call(partial(representation.prepare, signals, FS), at_least=seconds, calls=2)
    return {
        "representation": name,
        "parameters": sum(value.numel() for value in representation.parameters()),
        "rows": representation.num_tokens(item),
        "ECGs/s": len(signals) / per_call,
    }


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--tokenizer", type=Path, help="codes to compare with; without: random ones of the usual size")
    parser.add_argument("--encoders", default="", help="names, separated by commas; without: all but the two largest")
    parser.add_argument("--seconds", type=float, default=4, help="at least so long for each")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    known = get_args(EncoderName)
    names = arguments.encoders.split(",") if arguments.encoders else [name for name in known if name not in LARGE]
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"--encoders {unknown[0]}: unknown; choose from {', '.join(known)}")
    signals = list(ecgs(ECGS, 0))
    codes = (
        ECGTokenizer.from_pretrained(arguments.tokenizer) if arguments.tokenizer else ECGTokenizer(TokenizerConfig())
    )
    rows = [measure("codes", codes.eval(), signals, arguments.seconds)]
    for name in names:
        rows.append(measure(name, encoder_of(name), signals, arguments.seconds))
        if name in SMALL:
            rows.append(measure(f"{name}, small", encoder_of(name, **SMALL[name]), signals, arguments.seconds))
    for row in rows:
        row["ratio to codes"] = row["ECGs/s"] / rows[0]["ECGs/s"]
    load = os.getloadavg()[0]
    notes = f"10 s, 12 leads, {ECGS} ECGs a call, random weights of encoders; load of the machine in the end {load:.1f}"
    report("encoders", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

"""Time over ranks, codes per ECG and size of the alphabet; and what that means for a corpus of 800,000 recordings.

    python -m bench.scaling [--data data/quickstart/corpus] [--ranks 1,2] [--threads 1] [--node-ranks 64]

Over ranks the pipeline's own commands run twice, with few and with many recordings or steps: the difference of their
times holds no start-up. The global batch stays the same. Codes and alphabet are timed on the quickstart's Llama.
"""

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from bench.models import random_checkpoint
from bench.report import command_line, seconds_per_call, show
from ecg_tokenizer import ECGTokenizer
from ecg_tokenizer.config import TokenizerConfig
from model.attention import NAME
from model.packing import lay_out, pack
from model.rendering import render_ecg
from model.training import weighted_loss
from utils.errors import UserError, exit_on_user_error

BATCH, RECORDS, CORPUS = 16, 800_000, "MIMIC-IV-ECG"
# What is repeated, how often in the short and in the long run, and ECGs in each repetition.
TASKS = {
    "encode recordings into the code cache": ("MAX_TRAIN", 200, 1400, 1),
    "train the tokenizer": ("STEPS", 20, 120, BATCH),
    "pretrain the language model": ("MAX_STEPS", 10, 60, BATCH),
}


def run(task: str, data: Path, folder: Path, ranks: int, threads: int, repetitions: int) -> float:
    """Seconds of one command of the pipeline; caches are empty where encoding is what is timed."""
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        lines = {
            "DATA_ROOT": data, "TRAIN_FOLDS": "1-8", "VALID_FOLDS": 9, "MAX_VALID": 4, "WORKERS": 0,
            "OUTPUT_DIR": f"{fresh}/out", "EVAL_STEPS": 100_000, "NUM_PROCESSES": ranks, "MAX_TRAIN": 400,
            "CACHE_DIR": f"{fresh}/cache" if task.startswith("encode") else folder / "cache",
        }  # fmt: skip
        if task == "train the tokenizer":
            command = ["-m", "ecg_tokenizer.train"]
            lines |= {"HIDDEN": 128, "BATCH_SIZE": BATCH, "SMALL_WAVE_WEIGHT": 0.5, "TEXTURE_WEIGHT": 0.3}
        else:
            command = ["run_main.py", "pretrain"]
            lines |= {
                "TOKENIZER_PATH": folder / "tokenizer", "LLM_PATH": "tiny", "TUNING": "full", "MAX_STEPS": 1,
                "TINY_CORPUS": data / "reports/train.json", "TINY_HIDDEN": 128, "TINY_HEADS": 4,
                "BATCH_SIZE": BATCH // ranks,
            }  # fmt: skip
        lines[TASKS[task][0]] = repetitions
        env_file = Path(fresh) / "run.env"
        env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command, str(env_file)], capture_output=True, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        if done.returncode:
            raise UserError(f"{task} on {ranks} ranks failed: {done.stderr.strip().splitlines()[-1]}")
        return time.perf_counter() - start


def over_ranks(data: Path, folder: Path, counts: list[int], threads: int) -> list[dict]:
    """ECGs per second of every task on every number of ranks."""
    ECGTokenizer(TokenizerConfig(hidden=128)).save_pretrained(folder / "tokenizer")
    rows = []
    for task, (_, few, many, ecgs) in TASKS.items():
        for ranks in counts:
            print(f"{task}, {ranks} rank{'s' if ranks > 1 else ''}")
            run(task, data, folder, ranks, threads, few)  # fills caches, warms the disk
            short, long = (run(task, data, folder, ranks, threads, n) for n in (few, many))
            rate = (many - few) * ecgs / (long - short)
            first = next((row for row in rows if row["what"] == task), None)
            ratio = rate / first["ECGs/s"] if first else 1.0
            efficiency = ratio * first["ranks"] / ranks if first else 1.0
            rows.append({"what": task, "ranks": ranks, "ECGs/s": rate, "ratio": ratio, "efficiency": efficiency})
    return rows


def estimate(rows: list[dict], node_ranks: int) -> list[dict]:
    """Hours for one pass over the corpus: if ranks added nothing to the time, and at the measured loss per doubling."""
    table = []
    for task in TASKS:
        measured = [row for row in rows if row["what"] == task]
        alone, last = measured[0], measured[-1]
        doublings = math.log2(last["ranks"] / alone["ranks"])
        kept = min(1.0, last["efficiency"] ** (1 / doublings)) if doublings else 1.0
        for nodes in (1, 8):
            ranks = nodes * node_ranks
            hours = RECORDS / (alone["ECGs/s"] / alone["ranks"] * ranks) / 3600
            table.append({
                "one pass": task, "nodes": nodes, "ranks": ranks, "hours, no loss": hours,
                "hours, measured loss": hours / kept ** math.log2(ranks / alone["ranks"]),
            })  # fmt: skip
    return table


def over_tokens(threads: int) -> list[dict]:
    """A pretraining step (loss and gradients) by codes per ECG and size of the alphabet."""
    torch.set_num_threads(threads)
    rng, rows = np.random.default_rng(0), []
    for levels, frames in [((8, 5, 5, 5), n) for n in (157, 313, 626, 1252)] + [
        (levels, 313) for levels in ((8, 8, 8, 8), (16, 16, 8, 8), (16, 16, 16, 16))
    ]:
        checkpoint = random_checkpoint("tiny", levels)
        model, vocabulary = checkpoint.model.train().requires_grad_(True), checkpoint.vocabulary
        model.set_attn_implementation(NAME)
        ids = [render_ecg(vocabulary, rng.integers(0, vocabulary.num_codes, frames)) for _ in range(8)]
        batch = lay_out([pack(row, [], [0.0] + [1.0] * (len(row) - 1)) for row in ids])

        def step() -> None:
            loss, weight = weighted_loss(model, model.get_output_embeddings(), batch)  # noqa: B023
            (loss / weight).backward()
            model.zero_grad(set_to_none=True)  # noqa: B023

        seconds = seconds_per_call(step)
        tokens = batch["input_ids"].numel()
        rows.append({
            "codes in the alphabet": vocabulary.num_codes, "codes per ECG": frames, "ms per ECG": 1000 * seconds / 8,
            "tokens/s": tokens / seconds, "ms per token, ratio": seconds / tokens,
        })  # fmt: skip
    for row in rows[::-1]:
        row["ms per token, ratio"] /= rows[1]["ms per token, ratio"]
    return rows


def main() -> None:
    parser = command_line(__doc__)
    parser.set_defaults(threads=1)
    parser.add_argument("--data", type=Path, default=Path("data/quickstart/corpus"), help="a simulated corpus")
    parser.add_argument("--ranks", default="1,2", help="numbers of ranks, separated by commas, the smallest first")
    parser.add_argument("--node-ranks", type=int, default=64, help="ranks of a node in the estimate")
    arguments = parser.parse_args()
    if not (arguments.data / "reports/train.json").is_file():
        raise UserError(f"--data {arguments.data}: no simulated corpus; python -m data_provider.simulator makes one")
    counts = [int(n) for n in arguments.ranks.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        rows = over_ranks(arguments.data, Path(folder), counts, arguments.threads)
    notes = f"{arguments.threads} threads per rank, global batches of {BATCH}, readers in the ranks"
    show("scaling_ranks", rows, arguments.out, notes)
    notes = f"one pass over the {RECORDS:,} recordings of {CORPUS}; ranks as fast as those measured here"
    show("scaling_estimate", estimate(rows, arguments.node_ranks), arguments.out, notes)
    notes = "8 ECGs, loss and gradients, Llama of 4 layers x 128"
    show("scaling_tokens", over_tokens(arguments.threads), arguments.out, notes)


if __name__ == "__main__":
    exit_on_user_error(main)

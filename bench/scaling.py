"""Speed against number of ranks, codes per ECG and codebook size, with an estimate for 800,000 recordings.

    python -m bench.scaling [--data data/quickstart/corpus] [--ranks 1,2] [--threads 1] [--node-ranks 64]

For ranks, the pipeline's own commands run twice, with few and with many recordings or steps, so that the difference of
the times excludes start-up. The batch per rank is the same for any number of ranks. Codes per ECG and codebook size are
timed with the quickstart's Llama.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from bench.harness import benchmark_parser, report, seconds_per_call
from bench.random_models import random_checkpoint
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.prompt.rendering import render_ecgs
from cardiolect.model.training.attention import NAME
from cardiolect.model.training.objectives import weighted_loss
from cardiolect.model.training.packing import lay_out, pack
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

BATCH, RECORDS, CORPUS = 16, 800_000, "MIMIC-IV-ECG"
# Setting that is varied, its values in the short and the long run, and ECGs of 10 s per unit of it and rank.
TASKS = {
    "encode recordings into the code cache": ("MAX_TRAIN", 200, 1400, None),
    "train the tokenizer": ("STEPS", 20, 120, BATCH * 0.4),  # on crops of 4 s
    "pretrain the language model": ("MAX_STEPS", 10, 60, BATCH),
}


def run(task: str, data: Path, folder: Path, ranks: int, threads: int, repetitions: int) -> float:
    """Seconds of one command of the pipeline; to time encoding, the cache is empty."""
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        lines = {
            "DATA_ROOT": data,
            "TRAIN_FOLDS": "1-8",
            "VALID_FOLDS": 9,
            "MAX_VALID": 4,
            "WORKERS": 0,
            "OUTPUT_DIR": f"{fresh}/out",
            "EVAL_STEPS": 100_000,
            "NUM_PROCESSES": ranks,
            "MAX_TRAIN": 400,
            "CACHE_DIR": f"{fresh}/cache" if task.startswith("encode") else folder / "cache",
        }
        if task == "train the tokenizer":
            command = ["run_main.py", "tokenizer"]
            lines |= {"HIDDEN": 128, "BATCH_SIZE": BATCH * ranks, "SMALL_WAVE_WEIGHT": 0.5, "TEXTURE_WEIGHT": 0.3}
        else:
            command = ["run_main.py", "pretrain"]
            lines |= {
                "TOKENIZER_PATH": folder / "tokenizer",
                "LLM_PATH": "tiny",
                "TUNING": "full",
                "MAX_STEPS": 1,
                "TINY_CORPUS": data / "reports/train.json",
                "TINY_HIDDEN": 128,
                "TINY_HEADS": 4,
                "BATCH_SIZE": BATCH,
            }
        lines[TASKS[task][0]] = repetitions
        env_file = Path(fresh) / "run.env"
        env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command, str(env_file)],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        if done.returncode:
            raise UserError(f"{task} on {ranks} ranks failed: {done.stderr.strip()[-300:]}")
        return time.perf_counter() - start


def over_ranks(data: Path, folder: Path, counts: list[int], threads: int) -> list[dict]:
    """ECGs per second of every task on every number of ranks."""
    ECGTokenizer(TokenizerConfig(hidden=128)).save_pretrained(folder / "tokenizer")
    rows = []
    for task, (_, few, many, ecgs) in TASKS.items():
        for ranks in counts:
            print(f"{task}, {ranks} rank{'s' if ranks > 1 else ''}")
            run(task, data, folder, ranks, threads, few)  # warm-up: fills the caches
            short, long = (run(task, data, folder, ranks, threads, n) for n in (few, many))
            if long <= short:
                raise UserError(f"{task}: {many} took no longer than {few}; is the machine busy with other work?")
            rate = (many - few) * (1 if ecgs is None else ecgs * ranks) / (long - short)
            first = next((row for row in rows if row["what"] == task), None)
            ratio = rate / first["ECGs/s"] if first else 1.0
            efficiency = ratio * first["ranks"] / ranks if first else 1.0
            rows.append({"what": task, "ranks": ranks, "ECGs/s": rate, "ratio": ratio, "efficiency": efficiency})
    return rows


def estimate(rows: list[dict], node_ranks: int) -> list[dict]:
    """Hours for one pass over the corpus: with the efficiency measured on these ranks, and without any loss.

    The batch per rank stays the same. Further losses on more ranks or several machines are not measured.
    """
    table = []
    for task in TASKS:
        measured = [row for row in rows if row["what"] == task]
        for nodes in (1, 8):
            ranks = nodes * node_ranks
            hours = RECORDS / (measured[0]["ECGs/s"] / measured[0]["ranks"] * ranks) / 3600
            table.append(
                {
                    "one pass": task,
                    "nodes": nodes,
                    "ranks": ranks,
                    "hours": hours / measured[-1]["efficiency"],
                    "hours, no loss": hours,
                }
            )
    return table


def over_tokens(threads: int) -> list[dict]:
    """Time of a pretraining step (loss and gradients) against codes per ECG and codebook size."""
    torch.set_num_threads(threads)
    rng, rows = np.random.default_rng(0), []
    for levels, frames in [((8, 5, 5, 5), n) for n in (157, 313, 626, 1252)] + [
        (levels, 313) for levels in ((8, 8, 8, 8), (16, 16, 8, 8), (16, 16, 16, 16))
    ]:
        checkpoint = random_checkpoint("tiny", levels)
        model, vocabulary = checkpoint.model.train().requires_grad_(True), checkpoint.vocabulary
        model.set_attn_implementation(NAME)
        ids = [render_ecgs(vocabulary, [rng.integers(0, vocabulary.num_codes, frames)], [""])[0] for _ in range(8)]
        batch = lay_out([pack(row, [], [0.0] + [1.0] * (len(row) - 1)) for row in ids])

        def step() -> None:
            loss, weight = weighted_loss(model, model.get_output_embeddings(), batch)  # noqa: B023
            (loss / weight).backward()
            model.zero_grad(set_to_none=True)  # noqa: B023

        seconds = seconds_per_call(step)
        tokens = batch["input_ids"].numel()
        rows.append(
            {
                "codes in the alphabet": vocabulary.num_codes,
                "codes per ECG": frames,
                "ms per ECG": 1000 * seconds / 8,
                "tokens/s": tokens / seconds,
                "ms per token, ratio": seconds / tokens,
            }
        )
    unit = rows[1]["ms per token, ratio"]  # 313 codes of a codebook of 1000
    for row in rows:
        row["ms per token, ratio"] /= unit
    return rows


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.set_defaults(threads=1)
    parser.add_argument("--data", type=Path, default=Path("data/quickstart/corpus"), help="a simulated corpus")
    parser.add_argument("--ranks", default="1,2", help="numbers of ranks, separated by commas")
    parser.add_argument("--node-ranks", type=int, default=64, help="ranks per node in the estimate")
    arguments = parser.parse_args()
    if not (arguments.data / "reports/train.json").is_file():
        raise UserError(f"--data {arguments.data}: not a simulated corpus; make one with cardiolect simulate")
    numbers = arguments.ranks.split(",")
    if not all(n.strip().isdigit() and int(n) > 0 for n in numbers) or arguments.node_ranks < 1:
        raise UserError("--ranks takes positive numbers such as 1,2, and --node-ranks one positive number")
    counts = sorted({int(n) for n in numbers})
    most = TASKS["encode recordings into the code cache"][2]
    if (found := len(load_database(arguments.data, "--data"))) < 2 * most:
        raise UserError(f"--data {arguments.data}: {found} recordings; at least {2 * most} are needed")
    with tempfile.TemporaryDirectory() as folder:
        rows = over_ranks(arguments.data, Path(folder), counts, arguments.threads)
    notes = f"{arguments.threads} threads and a batch of {BATCH} per rank; no reading processes"
    report("scaling_ranks", rows, arguments.out, notes)
    notes = f"one pass over the {RECORDS:,} recordings of {CORPUS}; assumes ranks as fast as those measured here"
    report("scaling_estimate", estimate(rows, arguments.node_ranks), arguments.out, notes)
    notes = "8 ECGs, loss and gradients, Llama of 4 layers x 128"
    report("scaling_tokens", over_tokens(arguments.threads), arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

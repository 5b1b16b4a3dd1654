"""How long short commands take in a fresh process, from start to end; `cardiolect ask` also by part.

    python -m bench.first_answer [--checkpoint DIR] [--record FILE] [--runs 5] [--threads 2]

Without them, the built-in checkpoint is asked about its example.

Baseline: the same after importing what they do not need but imported once, and for `ask` with collections of garbage
throughout. The last row is the least that any model of transformers needs.
Seconds of the CPU, but for one row; those of the clock depend on what else the machine does.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

from bench.harness import benchmark_parser, report
from cardiolect.model.llm.builtin import BUILTIN, EXAMPLE
from cardiolect.utils.command_line import integer, run_command
from cardiolect.utils.errors import UserError

QUESTION = "Is there atrial fibrillation?"
PARTS = ("imports", "reading and loading", "answer", "end of the process")
OTHERS = {  # the module and its arguments, and what was imported for it once; {} is what a run is about
    "cardiolect tokens": (
        ("cardiolect", "tokens", "{record}", "--checkpoint", "{checkpoint}"),
        "cardiolect.model.llm.checkpoint, vector_quantize_pytorch",
    ),
    "a missing checkpoint": (
        ("cardiolect", "ask", "{record}", QUESTION, "--checkpoint", "{missing}"),
        "torch, peft, neurokit2",
    ),
    "a mistake in an env file": (
        ("run_main", "finetune", "{env_file}"),
        "torch, scipy.signal, pandas, vector_quantize_pytorch",
    ),
}
RUN = "import runpy, sys; sys.argv[:1] = []; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
LEAST = "import gc; gc.disable(); from transformers import AutoTokenizer, LlamaForCausalLM; gc.freeze()"


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, default=BUILTIN)
    parser.add_argument("--record", default=EXAMPLE)
    parser.add_argument("--runs", type=integer(1), default=5, help="processes of each kind")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    question = ["ask", args.record, QUESTION, "--checkpoint", str(args.checkpoint), "--device", "cpu"]
    found: dict[str, list[dict[str, float]]] = {"before": [], "now": []}
    least, answers = [], set()
    for _ in range(args.runs):
        for side, runs in found.items():
            printed, cpu, clock = run("-m", "bench.baselines.one_answer", side, *question)
            *answer, ends = printed.splitlines()
            answers.add("\n".join(answer))
            ends = [0.0, *json.loads(ends), cpu]
            runs.append({part: b - a for part, (a, b) in zip(PARTS, pairwise(ends), strict=True)})
            runs[-1] |= {"all": cpu, "all, by the clock": clock}
        least.append(run("-c", LEAST)[1])
    if len(answers) > 1:
        raise UserError(f"the answers differ: {' | '.join(sorted(answers))}")
    rows = []
    for part in found["now"][0]:
        before, now = (statistics.median(run[part] for run in runs) for runs in found.values())
        rows.append({"part": part, "before (s)": before, "now (s)": now, "ratio": before / now})
    for command, (before, now) in others(args).items():
        rows.append({"part": command, "before (s)": before, "now (s)": now, "ratio": before / now})
    rows.append({"part": "transformers alone", "before (s)": None, "now (s)": statistics.median(least), "ratio": None})
    report("first_answer", rows, args.out, f"medians of {args.runs} processes; the answer of all: {answers.pop()}")


def others(args: Namespace) -> dict[str, tuple[float, float]]:
    """Command of `OTHERS` -> medians of the CPU seconds before and now."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        env_file = Path(folder, "mistake.env")
        env_file.write_text("MAX_STPES=100\n")
        about = {
            "record": args.record,
            "checkpoint": args.checkpoint,
            "missing": Path(folder, "none"),
            "env_file": env_file,
        }
        for command, (words, imported) in OTHERS.items():
            seconds = {f"import {imported}; {RUN}": [], RUN: []}
            for _ in range(args.runs):
                for code, runs in seconds.items():
                    runs.append(run("-c", code, *(word.format(**about) for word in words))[1])
            found[command] = tuple(map(statistics.median, seconds.values()))
    return found


def run(*arguments: str) -> tuple[str, float, float]:
    """What a Python process prints, and its seconds of the CPU and of the clock. Exit code 2 is that of a mistake."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 2):
        raise UserError(f"no answer: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, cpu, time.perf_counter() - start


if __name__ == "__main__":
    run_command(main)

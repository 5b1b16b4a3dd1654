"""Shared by all benchmarks: options, timing, and a report as a table and as JSON with details of the machine."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from cardiolect.utils.command_line import Parser


def benchmark_parser(description: str) -> Parser:
    """A parser with the options that all benchmarks share."""
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder to write the JSON to")
    return parser


def seconds_per_call(call: Callable[[], object], at_least: float = 2.0, calls: int = 3) -> float:
    """Median seconds per call after one warm-up call, over at least ``calls`` calls and ``at_least`` seconds."""
    call()
    times: list[float] = []
    while len(times) < calls or sum(times) < at_least:
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def machine() -> dict:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": device,
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
    }


def report(name: str, rows: list[dict], out: Path, notes: str = "") -> None:
    """Print ``rows`` (equal keys) as a table and write them to ``out/NAME.json``."""
    columns = list(rows[0])
    cells = [[_text(row[column]) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[k]) for line in cells)) for k, column in enumerate(columns)]
    for line in [columns, *cells]:
        first, *others = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *others]))
    if notes:
        print(notes)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": rows, "notes": notes}, indent=2) + "\n")
    print(f"written to {path}")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "-" if value is None else str(value)

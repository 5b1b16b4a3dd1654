"""Filling the code cache, step by step against the way it was filled before; then epochs over cached codes.

    python -m bench.code_cache --data data/quickstart/corpus --tokenizer checkpoints/quickstart/tokenizer

Each row of the first table adds a step to those above it; the codes of all rows must be equal. Processor time counts
all processes, also while threads wait for one another. The second table also counts the waveform files that are opened
after the first epoch, which must be none.
"""

import builtins
import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from scipy.signal import resample_poly

from bench.harness import benchmark_parser, report
from cardiolect.data_provider import record
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import assembly, scale, wfdb_reader
from cardiolect.data_provider.storage.item_cache import ItemCache, fill_cache
from cardiolect.ecg_tokenizer.cached import prepare_alone
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError


def scale_of_every_lead(channels: object, signal: np.ndarray) -> list[str]:
    """`scale.unusual_scale`, after the percentiles that it no longer needs."""
    for lead in signal:
        np.percentile(lead[np.isfinite(lead)] if np.isfinite(lead).any() else 0.0, (1, 99))
    return scale.unusual_scale(channels, signal)


# Step -> what stands for it in the rows without it: module, name, the earlier way.
WHERE_READ = "encoding where it is read"
STEPS = {
    "16-bit files read directly": [(wfdb_reader, "_plain", lambda *_: None)],
    "plain leads checked at once": [
        (assembly, "plainly_usable", lambda values, fs: np.zeros(len(values), dtype=bool)),
        (assembly, "unusual_scale", scale_of_every_lead),
    ],
    "filter and medians": [
        (record, "_filtered", partial(resample_poly, axis=1)),
        (record, "_medians", lambda signal: np.median(signal.astype(float), axis=1)),
    ],
    WHERE_READ: [],
}


def fill(tokenizer: ECGTokenizer, refs: Sequence[RecordRef], workers: int, steps: Sequence[str]) -> dict:
    """A row of the table, and the codes."""
    rate, bad, where_read = tokenizer.sampling_rate, {}, WHERE_READ in steps
    prepare = partial(prepare_alone, tokenizer) if where_read else partial(tokenizer.prepare, fs=rate)
    with contextlib.ExitStack() as earlier, tempfile.TemporaryDirectory() as folder:
        for name in STEPS.keys() - steps:
            for module, function, way in STEPS[name]:
                earlier.enter_context(mock.patch.object(module, function, way))
        cache, started, before = ItemCache(Path(folder)), time.perf_counter(), os.times()
        fill_cache(cache, refs, prepare, rate, workers, bad, where_read=where_read)
        seconds, used = time.perf_counter() - started, sum(os.times()[:4]) - sum(before[:4])
        codes = {ref.record_id: cache.item(ref).tobytes() for ref in refs if ref.record_id not in bad}
    speed = {"ECGs/s": len(refs) / seconds, "CPU ms": 1000 * used / len(refs)}
    return {"step": steps[-1] if steps else "as before", **speed, "codes": codes}


def filling(tokenizer: ECGTokenizer, refs: Sequence[RecordRef], workers: int) -> list[dict]:
    """Rows of the table. Raises `UserError` if a step changes a code."""
    rows = [fill(tokenizer, refs, workers, list(STEPS)[:count]) for count in range(len(STEPS) + 1)]
    codes = [row.pop("codes") for row in rows]
    if changed := [row["step"] for row, found in zip(rows, codes, strict=True) if found != codes[0]]:
        raise UserError(f"other codes with: {', '.join(changed)}")
    before = rows[0]
    return [
        {**row, "ratio": row["ECGs/s"] / before["ECGs/s"], "CPU ratio": before["CPU ms"] / row["CPU ms"]}
        for row in rows
    ]


def epochs(tokenizer: ECGTokenizer, refs: Sequence[RecordRef], workers: int) -> tuple[list[dict], str]:
    """Rows on the first epoch and a later one, and notes."""
    opened, bad, real_open = [], {}, builtins.open

    def counting_open(file: object, *rest: object, **named: object) -> object:
        opened.append(str(file))
        return real_open(file, *rest, **named)

    with tempfile.TemporaryDirectory() as folder:
        cache, prepare = ItemCache(Path(folder)), partial(prepare_alone, tokenizer)
        filled = fill_cache(cache, refs, prepare, tokenizer.sampling_rate, workers, bad, where_read=True)
        read = [ref for ref in refs if ref.record_id not in bad]
        with mock.patch.object(builtins, "open", counting_open):
            start = time.perf_counter()
            size = sum(cache.item(ref).nbytes + 0 * int(cache.item(ref).sum()) for ref in read)
            later = time.perf_counter() - start
    waveforms = sum(name.endswith((".dat", ".mat", ".hea")) for name in opened)
    rows = [
        {"epoch": name, "ECGs/s": len(read) / seconds, "ratio": filled.seconds / seconds}
        for name, seconds in (("first: read, encode and store", filled.seconds), ("every later epoch", later))
    ]
    notes = f"{len(read)} recordings of {size / len(read):.0f} bytes; waveform files opened later: {waveforms}"
    return rows, notes


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("data/quickstart/corpus"), help="folder of PTB-XL or a simulated corpus"
    )
    parser.add_argument("--tokenizer", type=Path, default=Path("checkpoints/quickstart/tokenizer"))
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = ECGTokenizer.from_pretrained(arguments.tokenizer)
    refs = list(load_database(arguments.data, "--data").values())[: arguments.records]
    rows = filling(tokenizer, refs, arguments.workers)
    report("code_cache_filling", rows, arguments.out, f"{len(refs)} recordings; codes equal in all rows")
    rows, notes = epochs(tokenizer, refs, arguments.workers)
    report("code_cache", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

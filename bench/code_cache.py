"""Epochs over cached codes, against reading and encoding the recordings in every epoch.

    python -m bench.code_cache --data data/quickstart/corpus --tokenizer checkpoints/quickstart/tokenizer

Also counts the waveform files that are opened after the first epoch, which must be none.
"""

import builtins
import tempfile
import time
from pathlib import Path

import torch

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.storage.item_cache import ItemCache
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.utils.command_line import run_command


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

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        read, codes = [], []
        for ref, signal, *_ in stream_signals(refs, tokenizer.config.sampling_rate, arguments.workers, "encoding"):
            read.append(ref)
            codes.append(tokenizer.encode_batch([signal])[0])
        uncached = time.perf_counter() - start
        cache = ItemCache(Path(folder))
        cache.add(read, codes)
        first = time.perf_counter() - start

        opened: list[str] = []
        real_open = builtins.open
        builtins.open = lambda file, *rest, **named: (opened.append(str(file)), real_open(file, *rest, **named))[1]
        try:
            start = time.perf_counter()
            for ref in read:
                cache.item(ref).sum()
            later = time.perf_counter() - start
        finally:
            builtins.open = real_open
    waveforms = sum(name.endswith((".dat", ".mat", ".hea")) for name in opened)
    rows = [
        {"epoch": name, "ECGs/s": len(read) / seconds, "ratio": uncached / seconds}
        for name, seconds in (
            ("read and encode", uncached),
            ("first: read, encode and store", first),
            ("every later epoch", later),
        )
    ]
    size = sum(len(c) for c in codes) * 2 / len(read)
    notes = (
        f"{len(read)} recordings; {size:.0f} bytes of cache each; waveform files opened in later epochs: {waveforms}"
    )
    report("code_cache", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

"""Codes from the cache against reading and encoding the recordings again, as HeartLLM does in every step and epoch.

    python -m bench.code_cache --data data/quickstart/corpus --tokenizer checkpoints/quickstart/tokenizer

Also counts, in the second epoch, how many waveform files are opened: none.
"""

import argparse
import builtins
import tempfile
import time
from pathlib import Path

import torch

from bench.report import show
from data_provider.code_cache import CodeCache
from data_provider.ptbxl import load_database
from data_provider.stream import stream_signals
from ecg_tokenizer.tokenizer import ECGTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/quickstart/corpus"), help="folder of PTB-XL")
    parser.add_argument("--tokenizer", type=Path, default=Path("checkpoints/quickstart/tokenizer"))
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/bench"))
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    tokenizer = ECGTokenizer.from_pretrained(arguments.tokenizer)
    refs = list(load_database(arguments.data).values())[: arguments.records]

    def encode_all() -> list:
        stream = stream_signals(refs, tokenizer.config.sampling_rate, arguments.workers, "encoding")
        return [tokenizer.encode_batch([signal])[0] for _, signal, _ in stream]

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        codes = encode_all()
        again = time.perf_counter() - start
        cache = CodeCache(Path(folder))
        cache.add(refs, codes)
        start = time.perf_counter()
        for ref in refs:
            cache.codes(ref).sum()
        first = time.perf_counter() - start

        opened: list[str] = []
        real_open = builtins.open
        builtins.open = lambda file, *rest, **named: (opened.append(str(file)), real_open(file, *rest, **named))[1]
        try:
            start = time.perf_counter()
            for ref in refs:
                cache.codes(ref).sum()
            later = time.perf_counter() - start
        finally:
            builtins.open = real_open
    waveforms = sum(name.endswith((".dat", ".mat", ".hea")) for name in opened)
    rows = [
        {"an epoch over the codes": name, "ECGs/s": len(refs) / seconds, "ratio": again / seconds}
        for name, seconds in (("read and encode again", again), ("cache, first epoch", first), ("cache, later", later))
    ]
    size = sum(len(c) for c in codes) * 2 / len(refs)
    notes = (
        f"{len(refs)} recordings; {size:.0f} bytes of cache each; waveform files opened in a later epoch: {waveforms}"
    )
    show("code_cache", rows, arguments.out, notes)


if __name__ == "__main__":
    main()

"""Epochs over cached codes against reading and encoding the recordings in every epoch.

    python -m bench.code_cache --data data/quickstart/corpus --tokenizer checkpoints/quickstart/tokenizer

Also counts, in the second epoch, how many waveform files are opened: none.
"""

import builtins
import tempfile
import time
from pathlib import Path

import torch

from bench.report import command_line, show
from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.storage.item_cache import ItemCache
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.utils.errors import exit_on_user_error


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/quickstart/corpus"), help="folder of PTB-XL")
    parser.add_argument("--tokenizer", type=Path, default=Path("checkpoints/quickstart/tokenizer"))
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = ECGTokenizer.from_pretrained(arguments.tokenizer)
    refs = list(load_database(arguments.data).values())[: arguments.records]

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        read, codes = [], []
        for ref, signal, _ in stream_signals(refs, tokenizer.config.sampling_rate, arguments.workers, "encoding"):
            read.append(ref)
            codes.append(tokenizer.encode_batch([signal])[0])
        again = time.perf_counter() - start
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
        {"an epoch over the codes": name, "ECGs/s": len(read) / seconds, "ratio": again / seconds}
        for name, seconds in (
            ("read and encode", again),
            ("first: the same, and stored", first),
            ("every later one", later),
        )
    ]
    size = sum(len(c) for c in codes) * 2 / len(read)
    notes = (
        f"{len(read)} recordings; {size:.0f} bytes of cache each; waveform files opened in a later epoch: {waveforms}"
    )
    show("code_cache", rows, arguments.out, notes)


if __name__ == "__main__":
    exit_on_user_error(main)

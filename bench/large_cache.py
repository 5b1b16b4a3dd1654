"""Prepare, code cache and audit on a large corpus, with kills in between; and what 800,000 recordings would need.

    python -m bench.large_cache --folder FOLDER [--records 20000] [--tokenizer checkpoints/quickstart/tokenizer]

FOLDER receives the simulated corpus (120 kB per recording) and all output; an existing corpus is reused. Five of its
signal files are truncated. The cache is filled twice: without interruption, and killed (SIGKILL) at 30 and 65 percent.
Without --tokenizer, a small tokenizer with random weights is used.
Fails if a recording is lost, stored twice or has other codes, or if more recordings are encoded again than were being
encoded when the process was killed.
"""

import contextlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.corpora.databases import is_manifest
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import load_records
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.storage.item_cache import ENCODE_BATCH, FLUSH_RECORDS, ItemCache
from cardiolect.data_provider.storage.shards import JOINED_RECORDS, key_of, open_shards, write_shard
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.cached import prepare_corpus
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.utils import launch
from cardiolect.utils.command_line import run_command
from cardiolect.utils.device import keep_freed_memory
from cardiolect.utils.errors import UserError

KILL_AT = (0.3, 0.65)  # shares of the corpus
DAMAGED = 5  # truncated recordings
LARGE = 800_000  # recordings of the extrapolation
SAMPLE = 1000  # recordings for timing reading and encoding separately


def simulate(folder: Path, records: int) -> None:
    """Simulate the corpus unless it exists, and truncate always the same files."""
    if not (folder / DATABASE_NAME).is_file():
        run("cardiolect.data_provider.simulator", "--out", folder, "--records", records, "--seed", 11, "--workers", 1)
    signals = sorted(folder.glob("records500/*/*.dat"))
    if len(signals) != records:
        raise UserError(f"{folder}: {len(signals)} recordings, not {records}; change --records or --folder")
    for path in signals[:: len(signals) // DAMAGED][:DAMAGED]:
        os.truncate(path, 60_000)  # of 120,000 bytes


def run(module: str, *arguments: object, kill_when: Callable[[], bool] | None = None) -> tuple[float, float]:
    """Run a command and return its seconds and peak MB; with ``kill_when``, kill it as soon as that is true."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", module, *map(str, arguments)])
    while kill_when is not None:
        if process.poll() is not None:
            raise UserError(f"{module} ended before it could be killed; use more --records")
        if kill_when():
            process.kill()
            process.wait()
            return 0.0, 0.0
        time.sleep(0.001)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise UserError(f"{module} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def fill(manifest: str, tokenizer: str, workers: str, folder: str) -> None:
    """Fill the code cache as training does; encoded.log gets one byte per encoded recording. Runs as a process."""
    launch.ensure_ranks(1)
    keep_freed_memory()

    cache = Path(folder)
    ecg_tokenizer = ECGTokenizer.from_pretrained(tokenizer)
    prepare = ecg_tokenizer.prepare

    def counting_prepare(signals: list[np.ndarray], fs: float) -> list[np.ndarray]:
        with open(cache / "encoded.log", "ab") as file:
            file.write(b"." * len(signals))
        return prepare(signals, fs)

    ecg_tokenizer.prepare = counting_prepare
    settings = DataSettings(data_root=manifest, output_dir=cache, cache_dir=cache, workers=int(workers), device="cpu")
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as output:
        prepare_corpus(ecg_tokenizer, references(Path(manifest)), settings)
    print(output.getvalue(), end="", flush=True)
    (cache / "figures.json").write_text(
        json.dumps(
            {
                "seconds": time.perf_counter() - start,
                "output": output.getvalue(),
                "main": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
            }
        )
    )


def references(manifest: Path) -> list[RecordRef]:
    return [ref for ref, _ in load_records(manifest).values()]


def fill_with_kills(job: Callable[[], subprocess.Popen], log: Path, cache: Path, total: int) -> list[int]:
    """Fill a cache, killed at every share of KILL_AT; return how many encoded recordings each kill lost."""
    lost, stored_before = [], 0
    for share in KILL_AT:
        process, encoded_before = job(), encoded(log)
        while encoded(log) < share * total:
            if process.poll() is not None:
                raise UserError("the cache was filled before it could be killed; use more --records")
            time.sleep(0.01)
        process.kill()
        process.wait()
        time.sleep(2)  # its reading processes end within one second
        stored = count(cache)
        lost.append(encoded(log) - encoded_before - (stored - stored_before))
        stored_before = stored
        print(f"killed after {encoded(log)} of {total}: {stored} stored, {lost[-1]} lost")
    if job().wait():
        raise UserError("filling the cache failed")
    return lost


def encoded(log: Path) -> int:
    return log.stat().st_size if log.is_file() else 0


def count(cache: Path) -> int:
    codes = ItemCache(cache)
    codes.close()
    return len(codes)


def verify(straight: Path, killed: Path, refs: list[RecordRef], calls: int) -> str:
    """Compare the killed cache with the other and return a summary line. Raises `UserError` if they differ."""
    one, other = ItemCache(straight), ItemCache(killed)
    bad_records = [json.loads(line) for line in (killed / "bad_records.jsonl").read_text().splitlines()]
    bad_ids = {line["record"] for line in bad_records}
    readable = [ref for ref in refs if ref.record_id not in bad_ids]
    keys = np.concatenate([shard.keys for shard in open_shards(killed).values()])
    again, limit = calls - len(readable), len(KILL_AT) * (FLUSH_RECORDS + 2 * ENCODE_BATCH)
    failures = {
        "recordings lost": sum(ref not in other for ref in readable),
        "stored twice": len(keys) - len(np.unique(keys)),
        "with other codes": sum(not np.array_equal(one.item(ref), other.item(ref)) for ref in readable),
        "damaged and not listed": DAMAGED - len(bad_ids),
        "encoded again without need": max(0, again - limit),
    }
    if any(failures.values()):
        raise UserError(", ".join(f"{n} {what}" for what, n in failures.items() if n))
    for line in bad_records:
        print(f"bad record {line['record']}: {line['reason']}")
    return (
        f"{len(readable)} codes equal, each stored once, in {len(open_shards(killed))} shard(s); {len(bad_ids)} bad "
        f"recordings listed; {again} encoded again"
    )


def separate_speeds(refs: list[RecordRef], tokenizer: Path, workers: int) -> tuple[float, float]:
    """ECGs per second of reading without encoding, and of encoding without reading."""
    ecg_tokenizer, refs = ECGTokenizer.from_pretrained(tokenizer), refs[:SAMPLE]
    start = time.perf_counter()
    signals = [
        read.signal for read in stream_signals(refs, ecg_tokenizer.config.sampling_rate, workers, "reading", reasons={})
    ]
    reading = len(signals) / (time.perf_counter() - start)
    start, rows = time.perf_counter(), iter(signals)
    while batch := list(islice(rows, ENCODE_BATCH)):
        ecg_tokenizer.encode_batch(batch)
    return reading, len(signals) / (time.perf_counter() - start)


def index(folder: Path) -> dict:
    """Time and memory for opening a cache of LARGE recordings and looking them up. Runs as a process of its own."""
    rng, shape = np.random.default_rng(0), "{:04d}/p1{:07d}/s4{:07d}/4{:07d}"
    refs = [
        RecordRef(str(i), Path(f"/data/mimic-iv-ecg/files/p1{shape.format(i // 800, i // 5, i, i)}"))
        for i in range(LARGE)
    ]
    for ref in refs:
        hash(ref)  # caches their paths as text, as any use does
    keys = rng.integers(0, 2**64, LARGE, np.uint64)
    for i in range(0, LARGE, JOINED_RECORDS):
        part = keys[i : i + JOINED_RECORDS]
        write_shard(folder, part, [1] * len(part), np.zeros(len(part), np.uint16))
    known = dict(zip(refs, keys.tolist(), strict=True))
    memory_before, start = memory(), time.perf_counter()
    cache = ItemCache(folder)
    assert len(cache) == LARGE
    open_seconds, index_mb = time.perf_counter() - start, memory() - memory_before
    memory_before, start = memory(), time.perf_counter()
    cache._keys = dict(known)
    keys_mb, start = memory() - memory_before + sum(map(sys.getsizeof, known.values())) / 2**20, time.perf_counter()
    assert all(ref in cache for ref in refs)
    return {
        "shards": len(list(folder.glob("*.json"))),
        "open_s": open_seconds,
        "index_mb": index_mb,
        "keys_mb": keys_mb,
        "lookup_s": time.perf_counter() - start,
    }


def memory() -> float:
    """Resident MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.set_defaults(threads=1)
    parser.add_argument("--folder", type=Path, required=True, help="folder for the corpus, the caches and the audit")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--tokenizer", type=Path, help="tokenizer folder (default: a small one with random weights)")
    parser.add_argument("--workers", type=int, default=1, help="reading processes (default: 1)")
    arguments = parser.parse_args()
    launch.ensure_ranks(1)
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    folder, workers = arguments.folder, arguments.workers
    corpus, manifest, audit = folder / "corpus", folder / "manifest", folder / "audit"
    tokenizer = arguments.tokenizer or folder / "tokenizer"
    if arguments.tokenizer is None:
        torch.manual_seed(0)
        ECGTokenizer(TokenizerConfig(hidden=32)).save_pretrained(tokenizer)
    fingerprint = ECGTokenizer.from_pretrained(tokenizer).fingerprint()
    simulate(corpus, arguments.records)
    for old in (manifest, audit, *(folder / name for name in ("straight", "killed", "index"))):
        shutil.rmtree(old, ignore_errors=True)

    prepare = ("cardiolect.data_provider.corpora.prepare", "ptb-xl", "--source", corpus, "--out", manifest)
    run(*prepare, kill_when=lambda: manifest.is_dir() and any(manifest.iterdir()))
    if is_manifest(manifest):
        raise UserError("prepare left a manifest although it was killed")
    rows = [row("prepare", arguments.records, *run(*prepare))]
    refs = references(manifest)

    def job(name: str) -> subprocess.Popen:
        (folder / name).mkdir(exist_ok=True)
        code = "import sys; from bench.large_cache import fill; fill(*sys.argv[1:])"
        values = (manifest, tokenizer, workers, folder / name)
        return subprocess.Popen([sys.executable, "-c", code, *map(str, values)])

    if job("straight").wait():
        raise UserError("filling the cache failed")
    straight = json.loads((folder / "straight/figures.json").read_text())
    rows.append(row("fill the cache", len(refs), straight["seconds"], straight["main"], straight["worker"]))
    log, cache = folder / "killed/encoded.log", folder / "killed/codes" / fingerprint
    lost = fill_with_kills(lambda: job("killed"), log, cache, len(refs))
    print(verify(folder / "straight/codes" / fingerprint, cache, refs, encoded(log)))
    job("killed").wait()
    opened = json.loads((folder / "killed/figures.json").read_text())
    rows.append(row("open the full cache", len(refs), opened["seconds"], opened["main"]))

    command = ("cardiolect.data_provider.audit", manifest, "--out", audit, "--workers", workers)
    start = time.perf_counter()
    run(*command, kill_when=lambda: time.perf_counter() - start > 10)
    if (audit / "audit.html").is_file():
        raise UserError("audit left a page although it was killed")
    rows.append(row("audit", len(refs), *run(*command)))
    reading, encoding = separate_speeds(refs, tokenizer, workers)
    for task, rate in ((f"read only, {workers} worker(s)", reading), ("encode only", encoding)):
        rows.append({**row(task, SAMPLE, SAMPLE / rate), "ECGs/s": rate})

    start = time.perf_counter()
    for ref in refs:
        key_of(ref)
    key_seconds = (time.perf_counter() - start) / len(refs)
    size = sum(path.stat().st_size for path in cache.glob("*.[nj][ps][yo]*"))
    (folder / "index").mkdir()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        large = pool.apply(index, (folder / "index",))
    notes = (
        f"{straight['output'].splitlines()[0]}\nthe kills lost {' and '.join(map(str, lost))} encoded recordings\n"
        f"{size / len(refs):.0f} bytes on disk per recording; for {LARGE:,}: {size / len(refs) * LARGE / 1e6:.0f} MB "
        f"in {large['shards']} shards, opened in {large['open_s']:.1f} s; index {large['index_mb']:.0f} MB (for "
        f"{len(refs):,}: {large['index_mb'] * len(refs) / LARGE:.1f}), keys {large['keys_mb']:.0f} MB; keys "
        f"computed in {key_seconds * LARGE:.0f} s, recordings looked up in {large['lookup_s']:.1f} s"
    )
    report("large_cache", rows, arguments.out, notes)


def row(what: str, records: int, seconds: float, main_mb: float | None = None, worker_mb: float | None = None) -> dict:
    return {
        "what": what,
        "records": records,
        "seconds": seconds,
        "ECGs/s": records / seconds,
        "peak MB": main_mb,
        "peak MB per reader": worker_mb,
    }


if __name__ == "__main__":
    run_command(main)

"""A large corpus through prepare, code cache and audit, killed on the way; and what 800,000 recordings would take.

    python -m bench.large_cache --folder FOLDER [--records 20000] [--tokenizer checkpoints/quickstart/tokenizer]

FOLDER takes the simulated corpus (120 kB a recording) and everything else; a corpus that is there is used again. Five
of its signal files are cut short. The cache is filled twice: at one go, and killed (SIGKILL) at 30 and at 65 percent.
Without --tokenizer, a small one with random weights encodes.
Fails where a recording was lost, stored twice or has other codes, or where more than what was in flight was encoded
again.
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

from bench.report import command_line, show
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import is_manifest, load_records
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.storage.item_cache import ENCODE_BATCH, FLUSH_RECORDS, ItemCache
from cardiolect.data_provider.storage.shards import JOINED_RECORDS, key_of, open_shards, write_shard
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.cached import prepare_corpus
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError, exit_on_user_error
from cardiolect.utils.memory import keep_freed_memory

KILLED_AT, DAMAGED, LARGE = (0.3, 0.65), 5, 800_000
SAMPLE = 1000  # recordings on which reading and encoding are timed alone


def simulate(folder: Path, records: int) -> None:
    """The corpus, unless it is there; then the damage, always to the same files."""
    if not (folder / DATABASE_NAME).is_file():
        run("cardiolect.data_provider.simulator", "--out", folder, "--records", records, "--seed", 11, "--workers", 1)
    signals = sorted(folder.glob("records500/*/*.dat"))
    if len(signals) != records:
        raise UserError(f"{folder}: {len(signals)} recordings, not {records}; give --records or another --folder")
    for path in signals[:: len(signals) // DAMAGED][:DAMAGED]:
        os.truncate(path, 60_000)  # of 120,000 bytes


def run(module: str, *arguments: object, kill_when: Callable[[], bool] | None = None) -> tuple[float, float]:
    """Seconds and peak MB of a command; with ``kill_when``, killed as soon as that holds."""
    begun = time.perf_counter()
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
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def fill(manifest: str, tokenizer: str, workers: str, folder: str) -> None:
    """What training does before its first step, every encoded recording counted in encoded.log; runs as a process."""
    launch.ensure_ranks(1)
    keep_freed_memory()

    cache = Path(folder)
    ecg_tokenizer = ECGTokenizer.from_pretrained(tokenizer)
    prepare = ecg_tokenizer.prepare

    def counted(signals: list[np.ndarray], fs: float) -> list[np.ndarray]:
        with open(cache / "encoded.log", "ab") as file:
            file.write(b"." * len(signals))
        return prepare(signals, fs)

    ecg_tokenizer.prepare = counted
    settings = DataSettings(data_root=manifest, output_dir=cache, cache_dir=cache, workers=int(workers), device="cpu")
    begun = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        prepare_corpus(ecg_tokenizer, references(Path(manifest)), settings)
    print(said.getvalue(), end="", flush=True)
    (cache / "figures.json").write_text(
        json.dumps(
            {
                "seconds": time.perf_counter() - begun,
                "said": said.getvalue(),
                "main": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
            }
        )
    )


def references(manifest: Path) -> list[RecordRef]:
    return [ref for ref, _ in load_records(manifest).values()]


def fill_killed(job: Callable[[], subprocess.Popen], log: Path, cache: Path, total: int) -> list[int]:
    """Fill a cache with a kill at every share of KILLED_AT; how many encoded recordings each of them lost."""
    lost, held = [], 0
    for share in KILLED_AT:
        process, before = job(), encoded(log)
        while encoded(log) < share * total:
            if process.poll() is not None:
                raise UserError("the cache was filled before it could be killed; use more --records")
            time.sleep(0.01)
        process.kill()
        process.wait()
        time.sleep(2)  # its readers notice within one
        now = count(cache)
        lost.append(encoded(log) - before - (now - held))
        held = now
        print(f"killed after {encoded(log)} of {total}: {now} are stored, {lost[-1]} lost")
    if job().wait():
        raise UserError("filling the cache failed")
    return lost


def encoded(log: Path) -> int:
    return log.stat().st_size if log.is_file() else 0


def count(cache: Path) -> int:
    opened = ItemCache(cache)
    opened.close()
    return len(opened)


def verify(straight: Path, killed: Path, refs: list[RecordRef], calls: int) -> str:
    """Raises `UserError` unless the killed cache is as good as the other; a line that says what was compared."""
    one, other = ItemCache(straight), ItemCache(killed)
    listed = [json.loads(line) for line in (killed / "bad_records.jsonl").read_text().splitlines()]
    bad = {line["record"] for line in listed}
    readable = [ref for ref in refs if ref.record_id not in bad]
    keys = np.concatenate([shard.keys for shard in open_shards(killed).values()])
    again, most = calls - len(readable), len(KILLED_AT) * (FLUSH_RECORDS + 2 * ENCODE_BATCH)
    wrong = {
        "recordings lost": sum(ref not in other for ref in readable),
        "stored twice": len(keys) - len(np.unique(keys)),
        "with other codes": sum(not np.array_equal(one.item(ref), other.item(ref)) for ref in readable),
        "damaged and not listed": DAMAGED - len(bad),
        "encoded again beyond what was in flight": max(0, again - most),
    }
    if any(wrong.values()):
        raise UserError(", ".join(f"{n} {what}" for what, n in wrong.items() if n))
    for line in listed:
        print(f"bad record {line['record']}: {line['reason']}")
    return (
        f"{len(readable)} codes equal, each stored once, in {len(open_shards(killed))} shard(s); {len(bad)} bad "
        f"recordings listed; {again} encoded again"
    )


def alone(refs: list[RecordRef], tokenizer: Path, workers: int) -> tuple[float, float]:
    """ECGs per second of reading without an encoder, and of encoding without reading."""
    ecg_tokenizer, refs = ECGTokenizer.from_pretrained(tokenizer), refs[:SAMPLE]
    begun = time.perf_counter()
    signals = [
        s for _, s, _ in stream_signals(refs, ecg_tokenizer.config.sampling_rate, workers, "reading", reasons={})
    ]
    reading = len(signals) / (time.perf_counter() - begun)
    begun, rows = time.perf_counter(), iter(signals)
    while batch := list(islice(rows, ENCODE_BATCH)):
        ecg_tokenizer.encode_batch(batch)
    return reading, len(signals) / (time.perf_counter() - begun)


def index(folder: Path) -> dict:
    """Opening a cache of LARGE recordings, and looking them up; runs as a process for the sake of its memory."""
    rng, shape = np.random.default_rng(0), "{:04d}/p1{:07d}/s4{:07d}/4{:07d}"
    refs = [
        RecordRef(str(i), Path(f"/data/mimic-iv-ecg/files/p1{shape.format(i // 800, i // 5, i, i)}"))
        for i in range(LARGE)
    ]
    for ref in refs:
        hash(ref)  # their paths as text, which any use makes
    keys = rng.integers(0, 2**64, LARGE, np.uint64)
    for i in range(0, LARGE, JOINED_RECORDS):
        part = keys[i : i + JOINED_RECORDS]
        write_shard(folder, part, [1] * len(part), np.zeros(len(part), np.uint16))
    known = dict(zip(refs, keys.tolist(), strict=True))
    before, begun = memory(), time.perf_counter()
    cache = ItemCache(folder)
    assert len(cache) == LARGE
    opened, index_mb = time.perf_counter() - begun, memory() - before
    before, begun = memory(), time.perf_counter()
    cache._keys = dict(known)
    keys_mb, begun = memory() - before + sum(map(sys.getsizeof, known.values())) / 2**20, time.perf_counter()
    assert all(ref in cache for ref in refs)
    return {
        "shards": len(list(folder.glob("*.json"))),
        "open_s": opened,
        "index_mb": index_mb,
        "keys_mb": keys_mb,
        "lookup_s": time.perf_counter() - begun,
    }


def memory() -> float:
    """Resident MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    parser = command_line(__doc__)
    parser.set_defaults(threads=1)
    parser.add_argument("--folder", type=Path, required=True, help="for the corpus, the caches and the audit")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--tokenizer", type=Path, help="default: small, with random weights")
    parser.add_argument("--workers", type=int, default=1, help="reading processes")
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
        raise UserError("a killed prepare left a manifest")
    rows = [row("prepare", arguments.records, *run(*prepare))]
    refs = references(manifest)

    def job(name: str) -> subprocess.Popen:
        (folder / name).mkdir(exist_ok=True)
        code = "import sys; from bench.large_cache import fill; fill(*sys.argv[1:])"
        todo = (manifest, tokenizer, workers, folder / name)
        return subprocess.Popen([sys.executable, "-c", code, *map(str, todo)])

    if job("straight").wait():
        raise UserError("filling the cache failed")
    straight = json.loads((folder / "straight/figures.json").read_text())
    rows.append(row("fill the cache", len(refs), straight["seconds"], straight["main"], straight["worker"]))
    log, cache = folder / "killed/encoded.log", folder / "killed/codes" / fingerprint
    lost = fill_killed(lambda: job("killed"), log, cache, len(refs))
    print(verify(folder / "straight/codes" / fingerprint, cache, refs, encoded(log)))
    job("killed").wait()
    opened = json.loads((folder / "killed/figures.json").read_text())
    rows.append(row("open the full cache", len(refs), opened["seconds"], opened["main"]))

    command = ("cardiolect.data_provider.audit", manifest, "--out", audit, "--workers", workers)
    begun = time.perf_counter()
    run(*command, kill_when=lambda: time.perf_counter() - begun > 10)
    if audit.is_dir():
        raise UserError("a killed audit left a page")
    rows.append(row("audit", len(refs), *run(*command)))
    reading, encoding = alone(refs, tokenizer, workers)
    for what, rate in ((f"read alone, {workers} worker(s)", reading), ("encode alone", encoding)):
        rows.append({**row(what, SAMPLE, SAMPLE / rate), "ECGs/s": rate})

    begun = time.perf_counter()
    for ref in refs:
        key_of(ref)
    key_seconds = (time.perf_counter() - begun) / len(refs)
    size = sum(path.stat().st_size for path in cache.glob("*.[nj][ps][yo]*"))
    (folder / "index").mkdir()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        large = pool.apply(index, (folder / "index",))
    notes = (
        f"{straight['said'].splitlines()[0]}\nkills lost {' and '.join(map(str, lost))} encoded recordings\n"
        f"{size / len(refs):.0f} bytes on disk a recording; of {LARGE:,}: {size / len(refs) * LARGE / 1e6:.0f} MB in "
        f"{large['shards']} shards, opened in {large['open_s']:.1f} s; index {large['index_mb']:.0f} MB (of "
        f"{len(refs):,}: {large['index_mb'] * len(refs) / LARGE:.1f}), keys {large['keys_mb']:.0f} MB; files looked at "
        f"in {key_seconds * LARGE:.0f} s, recordings looked up in {large['lookup_s']:.1f} s"
    )
    show("large_cache", rows, arguments.out, notes)


def row(what: str, records: int, seconds: float, main_mb: float | None = None, worker_mb: float | None = None) -> dict:
    return {
        "what": what,
        "records": records,
        "seconds": seconds,
        "ECGs/s": records / seconds,
        "peak MB": main_mb,
        "of a reader": worker_mb,
    }


if __name__ == "__main__":
    exit_on_user_error(main)

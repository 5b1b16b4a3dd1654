"""Rate and distortion of BPE tokenizers: ECG-Byte's levels as published, millivolts, wavelet blocks.

    python -m bench.bpe --data ../shared/data/ptb-xl [--test-folds 9-10] [--only wavelet] [--out results/bench]

Every tokenizer is trained on folds 1-7 and measured on --test-folds against the ECG at 250 Hz, whatever its own
sampling rate. PRDN is the mean over recordings, with all leads together; tokens and kilobits are medians. ECG-Byte's
instance scaling is measured twice: decoded with the true range of each ECG, as its authors do, and from tokens only.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.data_provider.splits import load_splits
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.ecg_tokenizer.bpe.settings import BPESettings
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.training import fit
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

REFERENCE_RATE = 250  # Hz, of the ECG that reconstructions are compared with
BUDGET = 512  # tokens, for the coverage
PUBLISHED = dict(bpe_symbols="ecg-byte", sampling_rate=250, bpe_turn_seconds=0, bpe_encoding="longest-match")
MILLIVOLTS = dict(bpe_symbols="millivolts", bpe_merges=5000)
KINDS = {
    **{
        f"ecg-byte instance {merges}": dict(**PUBLISHED, bpe_scaling="instance", bpe_merges=merges)
        for merges in (3500, 5000, 6000, 10000)
    },
    "ecg-byte instance 10000, published offset": dict(
        **PUBLISHED, bpe_scaling="instance", bpe_merges=10000, bpe_published_offset=True
    ),
    "ecg-byte instance 10000, merge order": dict(
        PUBLISHED, bpe_scaling="instance", bpe_merges=10000, bpe_encoding="merge-order"
    ),
    "ecg-byte instance 10000, across leads": dict(
        **PUBLISHED, bpe_scaling="instance", bpe_merges=10000, bpe_cross_leads=True
    ),
    "ecg-byte percentile 3500": dict(**PUBLISHED, bpe_scaling="percentile"),
    "ecg-byte percentile 10000": dict(**PUBLISHED, bpe_scaling="percentile", bpe_merges=10000),
    "millivolts 0.1": dict(**MILLIVOLTS, bpe_step_mv=0.1),
    "millivolts 0.2": dict(**MILLIVOLTS, bpe_step_mv=0.2),
    "millivolts 0.1, knee 0.3": dict(**MILLIVOLTS, bpe_step_mv=0.1, bpe_knee_mv=0.3),
    "wavelet 0.2": dict(bpe_step_mv=0.2),
    "wavelet 0.25": dict(bpe_step_mv=0.25),
    "wavelet 0.35": dict(bpe_step_mv=0.35),
    "wavelet 0.35, merge order": dict(bpe_step_mv=0.35, bpe_encoding="merge-order"),
    "wavelet 0.35, 1500 merges": dict(bpe_step_mv=0.35, bpe_merges=1500),
    "wavelet 0.45": dict(bpe_step_mv=0.45),
    "wavelet 0.55": dict(bpe_step_mv=0.55),
}


def measure(tokenizer: BPETokenizer, cache: SignalCache, reference: SignalCache) -> dict:
    """Rate, distortion over all leads and per lead, speed, and coverage of a token budget, over whole recordings."""
    prdns: dict[str, list[float]] = {"all": [], "tokens only": [], **{lead: [] for lead in LEADS}}
    tokens, covered, seconds = [], [], 0.0
    for i in range(len(cache)):
        signal, original, present = cache.signal(i), reference.signal(i), reference.present[i]
        start = time.perf_counter()
        item = tokenizer.prepare([signal], tokenizer.sampling_rate)[0]
        seconds += time.perf_counter() - start
        length, value_range = original.shape[1], tokenizer.value_range(signal)
        with_range, tokens_only = (
            resample(tokenizer.decode(item, given), tokenizer.sampling_rate, REFERENCE_RATE)[:, :length]
            for given in (value_range, None)
        )
        prdns["all"].append(prdn(original[present], with_range[present]))
        prdns["tokens only"].append(prdn(original[present], tokens_only[present]))
        for row in np.flatnonzero(present):
            prdns[LEADS[row]].append(prdn(original[[row]], with_range[[row]]))
        tokens.append(len(item))
        covered.append(tokenizer.coverage(item, BUDGET))
    median_tokens = float(np.median(tokens))
    return {
        "tokens": median_tokens,
        "p5-p95": "{:.0f}-{:.0f}".format(*np.quantile(tokens, (0.05, 0.95))),
        "vocabulary": tokenizer.vocabulary_size,
        "kbit": median_tokens * float(np.log2(tokenizer.vocabulary_size)) / 1000,
        "PRDN %": float(np.mean(prdns["all"])),
        "PRDN %, tokens only": float(np.mean(prdns["tokens only"])),
        **{lead: float(np.mean(prdns[lead])) for lead in LEADS},
        f"leads in {BUDGET}": float(np.median([c.leads for c in covered])),
        "for s": float(np.median([c.seconds for c in covered])),
        "ECGs/s": round(len(cache) / seconds),
    }


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL or of a simulated corpus")
    parser.add_argument(
        "--test-folds", default="8", help="folds to measure on (default: 8); use 9-10 only for final results"
    )
    parser.add_argument("--only", default="", help="only tokenizers whose name contains this, such as wavelet")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kinds = {name: kind for name, kind in KINDS.items() if arguments.only in name}
    if not kinds:
        raise UserError(f"--only {arguments.only}: no tokenizer has this in its name; there are {', '.join(KINDS)}")
    work = arguments.out / "bpe"
    work.mkdir(parents=True, exist_ok=True)
    rows, caches = [], {}
    for name, kind in kinds.items():
        env = work / "settings.env"
        env.write_text(f"DATA_ROOT={arguments.data}\nOUTPUT_DIR={work}\nTRAIN_FOLDS=1-7\n")
        settings = BPESettings.load(env, test_folds=arguments.test_folds, **kind)
        for rate in {settings.sampling_rate, REFERENCE_RATE} - caches.keys():
            splits = load_splits(settings, ("train", "test"), task=None)
            caches[rate] = [
                open_signal_cache(split.records, rate, settings.cache_dir, settings.workers, 0.01, f"{key} recordings")
                for key, split in splits.items()
            ]
        train, test = caches[settings.sampling_rate]
        start = time.perf_counter()
        tokenizer = fit(settings, train)
        seconds = time.perf_counter() - start
        rows.append({"tokenizer": name, **measure(tokenizer, test, caches[REFERENCE_RATE][1]), "training s": seconds})
        (work / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")  # kept if the run is interrupted
    notes = f"{len(train)} recordings for training, {len(test)} of folds {arguments.test_folds} measured"
    report("bpe", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

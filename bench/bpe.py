"""Rate and distortion of ECGs as merged symbols: ECG-Byte's levels as published, millivolts, wavelet blocks.

    python -m bench.bpe --data ../shared/data/ptb-xl [--test-folds 9-10] [--only wavelet] [--out results/bench]

Every tokenizer is trained on folds 1-7 and measured on --test-folds, against the ECG at 250 Hz whatever its own rate
is. PRDN is the mean over recordings, all leads together; tokens and kilobits are medians. ECG-Byte's instance scaling
is measured twice: told the range of each ECG, as its authors do, and in the millivolts that its tokens tell.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch

from bench.report import command_line, show
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.data_provider.splits import load_splits
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.ecg_tokenizer.bpe.settings import BPESettings
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.training import fit
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.utils.errors import UserError, exit_on_user_error

REFERENCE_RATE = 250  # Hz of the ECG that all are measured against
BUDGET = 512  # tokens
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
    """Rate, distortion in all and per lead, speed and what a budget of tokens covers, over whole recordings."""
    prdns: dict[str, list[float]] = {"all": [], "told": [], **{lead: [] for lead in LEADS}}
    tokens, covered, seconds = [], [], 0.0
    for i in range(len(cache)):
        signal, original, present = cache.signal(i), reference.signal(i), reference.present[i]
        begun = time.perf_counter()
        item = tokenizer.prepare([signal], tokenizer.sampling_rate)[0]
        seconds += time.perf_counter() - begun
        length, value_range = original.shape[1], tokenizer.value_range(signal)
        shape, told = (
            resample(tokenizer.decode(item, given), tokenizer.sampling_rate, REFERENCE_RATE)[:, :length]
            for given in (value_range, None)
        )
        prdns["all"].append(prdn(original[present], shape[present]))
        prdns["told"].append(prdn(original[present], told[present]))
        for row in np.flatnonzero(present):
            prdns[LEADS[row]].append(prdn(original[[row]], shape[[row]]))
        tokens.append(len(item))
        covered.append(tokenizer.coverage(item, BUDGET))
    typical = float(np.median(tokens))
    return {
        "tokens": typical,
        "p5-p95": "{:.0f}-{:.0f}".format(*np.quantile(tokens, (0.05, 0.95))),
        "vocabulary": tokenizer.vocabulary_size,
        "kbit": typical * float(np.log2(tokenizer.vocabulary_size)) / 1000,
        "PRDN %": float(np.mean(prdns["all"])),
        "in its mV": float(np.mean(prdns["told"])),
        **{lead: float(np.mean(prdns[lead])) for lead in LEADS},
        f"leads in {BUDGET}": float(np.median([c.leads for c in covered])),
        "for s": float(np.median([c.seconds for c in covered])),
        "ECGs/s": round(len(cache) / seconds),
    }


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL, or of a simulated corpus")
    parser.add_argument("--test-folds", default="8", help="folds to measure on; 9-10 once, in the end")
    parser.add_argument("--only", default="", help="only tokenizers whose name has this in it, such as wavelet")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    chosen = {name: kind for name, kind in KINDS.items() if arguments.only in name}
    if not chosen:
        raise UserError(f"--only {arguments.only}: not in the name of any tokenizer: {', '.join(KINDS)}")
    work = arguments.out / "bpe"
    work.mkdir(parents=True, exist_ok=True)
    rows, caches = [], {}
    for name, kind in chosen.items():
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
        begun = time.perf_counter()
        tokenizer = fit(settings, train)
        seconds = time.perf_counter() - begun
        rows.append({"tokenizer": name, **measure(tokenizer, test, caches[REFERENCE_RATE][1]), "training s": seconds})
        (work / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")  # a stopped run keeps what it has
    notes = f"{len(train)} recordings to train, {len(test)} of folds {arguments.test_folds} measured"
    show("bpe", rows, arguments.out, notes)


if __name__ == "__main__":
    exit_on_user_error(main)

"""Settings of BPE tokenizers: ECG-Byte's levels as published, millivolts, wavelet blocks.

    python -m bench.bpe --data data/ptb-xl [--test-folds 9-10] [--only wavelet] [--out results/bench]

Every tokenizer is trained on folds 1-7, measured on --test-folds as ``cardiolect fidelity`` measures (against the ECG
at 250 Hz) and timed. The tokenizers stay in OUT/bpe: ``cardiolect fidelity --tokenizer`` compares them with others and
shows single leads and what a reader measures.
"""

import json
import time
from pathlib import Path

import torch

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.audit.seen import save_seen
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.splits import load_splits
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.ecg_tokenizer.bpe.settings import BPESettings
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.bpe.training import fit
from cardiolect.ecg_tokenizer.fidelity.panel import REFERENCE_RATE, distortion
from cardiolect.ecg_tokenizer.fidelity.rate import rate
from cardiolect.ecg_tokenizer.fidelity.reconstruction import reconstruct
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

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


def measure(tokenizer: BPETokenizer, refs: list[RecordRef], workers: int) -> dict:
    """Rate, distortion with and without the range of each ECG, coverage of a token budget."""
    measured = list(reconstruct(tokenizer, refs, workers, "measuring", fs=REFERENCE_RATE))
    use = rate(tokenizer, measured, REFERENCE_RATE, BUDGET)
    told = distortion(measured)
    shape = told if measured[0].ranged is None else distortion([m.with_range() for m in measured])
    return {
        "tokens": use["tokens_per_10_s"],
        "p5-p95": "{:.0f}-{:.0f}".format(*use["tokens_per_10_s_p5_p95"]),
        "vocabulary": tokenizer.vocabulary_size,
        "kbit": use["kbit_per_10_s"],
        "PRDN %, tokens only": told["prdn"],
        "PRDN %, range given": shape["prdn"],
        "worst lead": "{} {:.0f} %".format(shape["worst_lead"], shape["leads"][shape["worst_lead"]]["prdn"]),
        f"leads in {BUDGET}": use["prompt"]["leads"],
        "for s": use["prompt"]["seconds"],
    }


def ecgs_per_second(tokenizer: BPETokenizer, cache: SignalCache) -> float:
    """Speed of encoding on one core, signals already at the tokenizer's rate."""
    signals = [cache.signal(i) for i in range(len(cache))]
    start = time.perf_counter()
    tokenizer.prepare(signals, tokenizer.sampling_rate)
    return len(signals) / (time.perf_counter() - start)


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
    rows, caches = [], {}
    for name, kind in kinds.items():
        folder = work / name.replace(",", "").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        env = folder / "settings.env"
        env.write_text(f"DATA_ROOT={arguments.data}\nOUTPUT_DIR={folder}\nTRAIN_FOLDS=1-7\n")
        settings = BPESettings.load(env, test_folds=arguments.test_folds, **kind)
        splits = load_splits(settings, ("train", "test"), task=None)
        if settings.sampling_rate not in caches:
            caches[settings.sampling_rate] = [
                open_signal_cache(
                    split.records, settings.sampling_rate, settings.cache_dir, settings.workers, 0.01, f"{key} ECGs"
                )
                for key, split in splits.items()
            ]
        train, test = caches[settings.sampling_rate]
        start = time.perf_counter()
        tokenizer = fit(settings, train)
        seconds = time.perf_counter() - start
        tokenizer.save_pretrained(folder)
        save_seen(folder, splits["train"].records)
        figures = measure(tokenizer, splits["test"].records, settings.workers)
        speed = {"ECGs/s": round(ecgs_per_second(tokenizer, test)), "training s": seconds}
        rows.append({"tokenizer": name, **figures, **speed})
        (work / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")  # kept if the run is interrupted
    notes = f"{len(train)} recordings for training, {len(test)} of folds {arguments.test_folds} measured"
    report("bpe", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

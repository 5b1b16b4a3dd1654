"""Rate and distortion of tokenizers over stride, quantizer and codebook, and of millivolts against z-scored leads.

    python -m bench.rate_distortion --data data/ptb-xl [--steps 400] [--out results/bench]

Every tokenizer is trained in the same way on folds 1-7, selected on fold 8 and measured on folds 9-10, in millivolts.
The augmentations of env/real/tokenizer.env are off, since they need leads and millivolts, which a z-score does not
preserve. Z-scored reconstructions are scaled back with the true mean and standard deviation of every lead, although the
codes themselves do not hold the voltage.
"""

import json
from pathlib import Path

import numpy as np
import torch

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.splits import load_splits
from cardiolect.data_provider.storage.signal_cache import SignalCache, open_signal_cache
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn, snr
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.ecg_tokenizer.training.train import fit
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError

ENV = Path(__file__).resolve().parents[1] / "env/real/tokenizer.env"
STRIDES = "16,32,40,64"
QUANTIZERS = [
    {"quantizer": "fsq", "fsq_levels": [5, 5, 5, 5]},
    {"quantizer": "fsq", "fsq_levels": [8, 5, 5, 5]},
    {"quantizer": "fsq", "fsq_levels": [8, 5, 5, 5], "coarse_frames": 4},
    {"quantizer": "fsq", "fsq_levels": [7, 5, 5, 5, 3]},
    {"quantizer": "vq", "codebook_size": 1024},
    {"quantizer": "rvq", "num_codebooks": 2, "codebook_size": 256},
    {"quantizer": "rvq", "num_codebooks": 4, "codebook_size": 256},
]


def name_of(stride: str, kind: dict, z_scored: bool) -> str:
    """The name of a tokenizer and its folder, such as ``32ms-fsq-8x5x5x5``."""
    sizes = ["x".join(map(str, v)) if isinstance(v, list) else str(v) for k, v in kind.items() if k != "coarse_frames"]
    coarse = [f"coarse-{kind['coarse_frames']}"] if "coarse_frames" in kind else []
    return "-".join([f"{stride}ms", *sizes, *coarse, *(["z-score"] if z_scored else [])])


class ZScored(SignalCache):
    """The same recordings with mean 0 and standard deviation 1 in every lead, as HeartLLM trains on them."""

    def __init__(self, cache: SignalCache):
        self.__dict__.update(cache.__dict__)
        data = np.empty(self._data.shape, dtype=np.float16)
        self.moments = []
        for i in range(len(self)):
            rows = slice(self.starts[i], self.starts[i + 1])
            signal = self._data[rows].astype(np.float32)
            mean, deviation = signal.mean(axis=0), signal.std(axis=0)
            data[rows] = (signal - mean) / np.maximum(deviation, 1e-6)
            self.moments.append((mean[:, None], deviation[:, None]))
        self._data = data


def measure(tokenizer: ECGTokenizer, cache: SignalCache) -> dict:
    """PRDN and SNR in millivolts, rate and code use, over whole recordings."""
    codes, distortions = [], []
    for i in range(len(cache)):
        signal, leads = cache.signal(i), cache.present[i]
        codes.append(tokenizer.encode_batch([signal])[0])
        decoded = tokenizer.decode(codes[-1])[:, : signal.shape[1]]
        if isinstance(cache, ZScored):
            mean, deviation = cache.moments[i]
            signal, decoded = signal * deviation + mean, decoded * deviation + mean
        distortions.append((prdn(signal[leads], decoded[leads]), snr(signal[leads], decoded[leads])))
    use = tokenizer.code_use(codes)
    tokens = tokenizer.tokens_in(10)
    return {
        "tokens/10 s": tokens,
        "kbit/10 s": tokenizer.bits(np.empty(tokenizer.tokens_in(10))) / 1000,
        "PRDN %": float(np.mean([d[0] for d in distortions])),
        "SNR dB": float(np.mean([d[1] for d in distortions])),
        "codes used": f"{use['codes_used']}/{use['codebook_size']}",
        "normalised entropy": use["normalised_entropy"],
    }


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL or of a simulated corpus")
    parser.add_argument("--steps", type=int, default=400, help="training steps of every tokenizer")
    parser.add_argument("--strides", default=STRIDES, help="milliseconds per frame, separated by commas")
    parser.add_argument("--only", default="", help="only tokenizers whose name contains this, such as 40ms-fsq")
    parser.add_argument(
        "--max-train", type=int, default=0, help="maximum number of recordings to train on; 0 (the default) for all"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = arguments.out / "rate_distortion"
    base = dict(
        data_root=arguments.data,
        test_folds="9-10",
        steps=arguments.steps,
        eval_steps=arguments.steps,
        max_train=arguments.max_train,
        max_valid=50,
        electrode_jitter=0,
        wander_chance=0,
        time_stretch=0,
        coarse_frames=0,
    )
    settings = TokenizerSettings.load(ENV, output_dir=work, **base)
    splits = load_splits(settings, ("train", "valid", "test"), task=None)
    caches = {
        name: open_signal_cache(split.records, 250, settings.cache_dir, settings.workers, 0.01, f"{name} recordings")
        for name, split in splits.items()
    }
    rows = []
    strides = arguments.strides.split(",")
    variants = [(stride, kind, False) for stride in strides for kind in QUANTIZERS]
    variants += [(stride, QUANTIZERS[1], True) for stride in strides]
    variants = [variant for variant in variants if arguments.only in name_of(*variant)]
    if not variants:
        raise UserError(f"--only {arguments.only}: no tokenizer with these strides has this in its name")
    for number, (stride, kind, z_scored) in enumerate(variants, start=1):
        folder = work / name_of(stride, kind, z_scored)
        print(f"{number} of {len(variants)}: {folder.name}")
        folder.mkdir(parents=True, exist_ok=True)
        settings_of_variant = TokenizerSettings.load(ENV, output_dir=folder, stride_ms=stride, **{**base, **kind})
        used = {key: ZScored(cache) if z_scored else cache for key, cache in caches.items()}
        fit(settings_of_variant, used["train"], used["valid"])
        figures = measure(ECGTokenizer.from_pretrained(folder), used["test"])
        rows.append({"tokenizer": folder.name, "input": "z-score" if z_scored else "mV", **figures})
        (work / "rows.json").write_text(json.dumps(rows, indent=2) + "\n")  # kept if the run is interrupted
    rows.sort(key=lambda row: row["kbit/10 s"])
    notes = (
        f"{len(caches['train'])} recordings for training, {len(caches['test'])} measured; {arguments.steps} steps each"
    )
    report("rate_distortion", rows, arguments.out, notes)


if __name__ == "__main__":
    run_command(main)

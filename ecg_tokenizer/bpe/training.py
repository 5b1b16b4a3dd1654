"""Stage 1 with ``REPRESENTATION=bpe``: learn symbols, merges and geometry from training ECGs."""

import json
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cardiolect.data_provider.audit.seen import record_seen, save_seen
from cardiolect.data_provider.record import INDEPENDENT, LEADS
from cardiolect.data_provider.splits import left_out, load_splits, seen_in_data
from cardiolect.data_provider.storage.signal_cache import SignalCache
from cardiolect.ecg_tokenizer.bpe.levels import LevelSymbols, fixed_steps, percentile_range
from cardiolect.ecg_tokenizer.bpe.merges import Merges
from cardiolect.ecg_tokenizer.bpe.settings import MAX_TOKENS, BPESettings
from cardiolect.ecg_tokenizer.bpe.signal2vec import signal2vec
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer, Symbols
from cardiolect.ecg_tokenizer.bpe.wavelet import WaveletSymbols, lead_components
from cardiolect.ecg_tokenizer.cached import open_signals
from cardiolect.ecg_tokenizer.fidelity.distortion import prdn
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError
from cardiolect.utils.progress import progress

PERCENTILE_SAMPLES = 300_000  # as in ECG-Bench
# Coefficients of new patients may be larger than any in training: allow twice as many steps.
HEADROOM = 2


def train_bpe_representation(settings: BPESettings) -> dict:
    """Run stage 1: learn the tokenizer from the training split and save it in OUTPUT_DIR. Returns its figures.

    Deterministic; the main rank does all the work.
    """
    started = time.time()
    splits = load_splits(settings, ("train", "valid"), task=None)
    if not launch.is_main():
        launch.barrier()
        return json.loads((settings.output_dir / "metrics.json").read_text())
    train, valid = open_signals(settings, splits)
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    recordings = [r for split in splits.values() for r in split.records]
    seen = save_seen(settings.output_dir, recordings, seen_in_data(settings))
    (settings.output_dir / "settings.json").write_text(settings.to_json())
    tokenizer = fit(settings, train)
    tokenizer.save_pretrained(settings.output_dir)
    record_seen(settings.output_dir, seen)
    figures = {**validate(tokenizer, valid), **left_out(splits), "seconds": round(time.time() - started, 1)}
    (settings.output_dir / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n")
    launch.barrier()
    print(
        f"{tokenizer.vocabulary_size} tokens, {figures['tokens']:.0f} per ECG (median), {figures['kbit']:.2f} kbit, "
        f"PRDN {figures['prdn']:.1f} %; saved in {settings.output_dir}"
    )
    return figures


def fit(settings: BPESettings, train: SignalCache) -> BPETokenizer:
    """Learn a tokenizer from training ECGs at SAMPLING_RATE."""
    rng = np.random.default_rng(settings.seed)
    chosen = np.sort(rng.permutation(len(train))[: settings.bpe_merge_ecgs]).tolist()
    symbols = learn_symbols(settings, train, chosen, rng)
    tokens = symbols.alphabet + settings.bpe_merges + len(LEADS) * settings.bpe_lead_tokens
    if tokens > MAX_TOKENS:
        raise UserError(f"{tokens} tokens, at most {MAX_TOKENS} are possible: lower BPE_MERGES or raise BPE_STEP_MV")
    pieces = (piece for i in progress(chosen, desc="symbols", unit="ecg") for piece in symbols.pieces(train.signal(i)))
    print(f"learning {settings.bpe_merges} merges from {len(chosen)} ECGs")
    merges = Merges.learn(pieces, symbols.alphabet, settings.bpe_merges, settings.bpe_encoding)
    if len(merges) < symbols.alphabet + settings.bpe_merges:
        print(f"only {len(merges) - symbols.alphabet} merges: no pair of tokens is left that occurs twice")
    tokenizer = BPETokenizer(symbols, merges, settings.bpe_lead_tokens)
    examples = [tokenizer.tokens_of_pieces(train.signal(i)) for i in progress(chosen, desc="tokens", unit="ecg")]
    if settings.bpe_geometry == "signal2vec":
        tokenizer.features = skip_grams(settings, tokenizer, [tokenizer.join(pieces) for pieces in examples])
    else:
        tokenizer.features = waveforms(tokenizer, examples)
    return tokenizer


def learn_symbols(
    settings: BPESettings, train: SignalCache, chosen: Sequence[int], rng: np.random.Generator
) -> Symbols:
    """Symbols with parameters from the corpus: range of levels, or lead components and largest coefficient."""
    rate = settings.sampling_rate
    if settings.bpe_symbols == "wavelet":
        covariance = np.mean([np.cov(train.signal(i)[list(INDEPENDENT)]) for i in chosen], axis=0)
        shape = dict(step=settings.bpe_step_mv, dead_zone=settings.bpe_dead_zone, depth=settings.bpe_depth)
        symbols = WaveletSymbols(rate, **shape, largest=1, basis=lead_components(covariance))
        largest = max(int(np.abs(symbols.levels(train.signal(i))).max()) for i in chosen)
        return WaveletSymbols(rate, **shape, largest=HEADROOM * max(1, largest), basis=symbols.basis)
    order = dict(rows=settings.rows, chunk=settings.chunk, cross_leads=settings.bpe_cross_leads)
    if settings.bpe_symbols == "millivolts":
        levels, edge = fixed_steps(settings.bpe_step_mv, settings.bpe_largest_mv, settings.bpe_knee_mv)
        return LevelSymbols(rate, "millivolts", levels, -edge, edge, settings.bpe_knee_mv, **order)
    if settings.bpe_scaling == "percentile":
        per_ecg = -(-PERCENTILE_SAMPLES // len(chosen))
        low, high = percentile_range(np.concatenate([rng.choice(train.signal(i).ravel(), per_ecg) for i in chosen]))
    else:
        low = float(np.median([train.signal(i).min() for i in chosen]))
        high = float(np.median([train.signal(i).max() for i in chosen]))
    return LevelSymbols(
        rate,
        settings.bpe_scaling,
        settings.bpe_levels,
        low,
        high,
        published_offset=settings.bpe_published_offset,
        **order,
    )


def waveforms(tokenizer: BPETokenizer, examples: Sequence[Sequence[np.ndarray]]) -> Tensor:
    """`BPETokenizer.features` from the waveform of each token; lead tokens have their own dimensions."""
    found = tokenizer.symbols.features(tokenizer.merges.symbols, examples)
    found = torch.from_numpy(found)
    found = (found - found.mean(0)) / torch.cat([found[:, :-1].std().expand(found.shape[1] - 1), found[:, -1:].std(0)])
    leads = torch.eye(tokenizer.vocabulary_size - len(found)) * found.shape[1] ** 0.5
    return torch.block_diag(found, leads)


def skip_grams(settings: BPESettings, tokenizer: BPETokenizer, sequences: Sequence[np.ndarray]) -> Tensor:
    """`BPETokenizer.features` from signal2vec; a token too rare to learn gets the mean of the two that it joins."""
    vectors, learned = signal2vec(
        sequences,
        tokenizer.vocabulary_size,
        settings.signal2vec_dims,
        settings.signal2vec_window,
        settings.signal2vec_negatives,
        settings.signal2vec_epochs,
        settings.signal2vec_learning_rate,
        settings.seed,
    )
    for token, (left, right) in enumerate(tokenizer.merges.pairs, start=tokenizer.merges.alphabet):
        if not learned[token]:
            vectors[token] = (vectors[left] + vectors[right]) / 2
    return vectors


def validate(tokenizer: BPETokenizer, cache: SignalCache) -> dict:
    """PRDN in percent over all leads, mean over recordings; medians of tokens and kbit.

    prdn: in the millivolts decoded from the tokens. prdn_of_shape: "instance" scaling is given the range of each ECG.
    """
    prdns, shapes, tokens = [], [], []
    for i in range(len(cache)):
        signal = cache.signal(i)
        item = tokenizer.prepare([signal], tokenizer.sampling_rate)[0]
        leads, length = cache.present[i], signal.shape[1]
        for found, value_range in ((prdns, None), (shapes, tokenizer.value_range(signal))):
            found.append(prdn(signal[leads], tokenizer.decode(item, value_range)[leads, :length]))
        tokens.append(len(item))
    typical = float(np.median(tokens))
    return {
        "prdn": float(np.mean(prdns)),
        "prdn_of_shape": float(np.mean(shapes)),
        "tokens": typical,
        "tokens_mean": float(np.mean(tokens)),
        "kbit": typical * float(np.log2(tokenizer.vocabulary_size)) / 1000,
    }

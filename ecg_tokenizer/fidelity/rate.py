"""What an ECG costs: tokens and bits of the items themselves, how evenly tokens are used, what a short prompt shows."""

from collections.abc import Sequence

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.base import Coverage, ECGRepresentation
from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.codes.usage import code_use
from cardiolect.ecg_tokenizer.fidelity.reconstruction import Measured


def rate(tokenizer: ECGRepresentation, measured: Sequence[Measured], fs: float, prompt_tokens: int) -> dict:
    """Tokens and kbit per 10 s of ECG, use of the vocabulary, and what ``prompt_tokens`` tokens show.

    Tokens and kbit are counted in the item of each recording: median over recordings, and 5th and 95th percentile. fs:
    Hz of the measured signals. Codes have a fixed rate, which is given per second as well.
    """
    seconds = np.array([m.signal.shape[1] / fs for m in measured])
    tokens = np.array([tokenizer.num_tokens(m.codes) for m in measured]) * 10 / seconds
    kbit = np.array([tokenizer.bits(m.codes) for m in measured]) / 100 / seconds
    shown = [coverage(tokenizer, m.codes, prompt_tokens, s) for m, s in zip(measured, seconds, strict=True)]
    if isinstance(tokenizer, ECGTokenizer):
        use = tokenizer.code_use([m.codes for m in measured])
        figures = {
            "tokens_per_second": tokenizer.token_rate,
            "bits_per_second": tokenizer.bits_per_second,
            "entropy_bits_per_second": tokenizer.token_rate * use["entropy_bits"],
        }
    else:
        ids = np.concatenate([tokenizer.token_ids(m.codes) for m in measured])
        use, figures = code_use(ids, [tokenizer.vocabulary_size]), {}
    figures |= {
        "tokens_per_10_s": float(np.median(tokens)),
        "tokens_per_10_s_p5_p95": np.quantile(tokens, (0.05, 0.95)).tolist(),
        "kbit_per_10_s": float(np.median(kbit)),
        "kbit_per_10_s_p5_p95": np.quantile(kbit, (0.05, 0.95)).tolist(),
        "entropy_kbit_per_10_s": float(np.median(tokens)) * use["entropy_bits"] / 1000,
        "prompt": {
            "tokens": prompt_tokens,
            "leads": float(np.median([c.leads for c in shown])),
            "seconds": float(np.median([c.seconds for c in shown])),
            "whole_ecgs": float(np.mean([tokenizer.num_tokens(m.codes) <= prompt_tokens for m in measured])),
        },
    }
    return figures | use


def coverage(tokenizer: ECGRepresentation, item: np.ndarray, tokens: int, seconds: float) -> Coverage:
    """What the first ``tokens`` tokens of an ECG show of it: leads, and seconds of the shown lead that is cut first.

    seconds: length of the ECG; padding beyond its end does not count.
    """
    if isinstance(tokenizer, BPETokenizer):
        shown = tokenizer.coverage(item, tokens)
    else:  # every token shows all leads
        shown = Coverage(len(LEADS), float(tokenizer.times(item)[:tokens, 1].max()))
    return Coverage(shown.leads, min(shown.seconds, seconds))

"""Corpus BLEU from n-gram counts that add up over samples: NLTK's, as in ECG-Bench, and sacreBLEU."""

from collections.abc import Mapping, Sequence
from math import exp, log

from nltk.translate.bleu_score import modified_precision
from sacrebleu.metrics import BLEU

from cardiolect.utils.metrics.scores import Scores

_ORDERS = range(1, 5)
_EPSILON = 0.1  # smoothing method 1 of Chen & Cherry 2014, as NLTK sets it


def corpus_bleu4(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """``bleu4``: corpus BLEU-4 of whitespace tokens with smoothing method 1, the value of NLTK's ``corpus_bleu``.

    Source: Papineni et al., ACL 2002; Chen & Cherry, WMT 2014. NLTK's quirk is kept: a text of fewer than n words
    counts as one n-gram without a match, so empty outputs lower every precision, not just the brevity penalty.
    """
    rows = []
    for prediction, reference in zip(predictions, references, strict=True):
        predicted, gold = prediction.split(), reference.split()
        ratios = [modified_precision([gold], predicted, n) for n in _ORDERS]
        rows.append([len(predicted), len(gold), *(r.numerator for r in ratios), *(r.denominator for r in ratios)])
    return _of_counts("bleu4", rows, _nltk_bleu, {})


def sacrebleu(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """``sacrebleu``: sacreBLEU's default corpus BLEU as a fraction of 1; the notes have its signature.

    Source: Post, A Call for Clarity in Reporting BLEU Scores, WMT 2018. Tokenizer 13a separates punctuation from
    words ("block.Marked" is three tokens), case matters, and orders without a match are smoothed exponentially.
    """
    metric = BLEU()
    rows = []
    for prediction, reference in zip(predictions, references, strict=True):
        found = metric.corpus_score([prediction], [[reference]])
        rows.append([found.sys_len, found.ref_len, *found.counts, *found.totals])
    notes = {"sacrebleu": metric.get_signature().format()} if rows else {}  # unknown without a reference
    return _of_counts("sacrebleu", rows, _sacrebleu, notes)


def _of_counts(name: str, rows: list[list[int]], score, notes: Mapping[str, str]) -> Scores:
    keys = ["predicted", "gold", *(f"match{n}" for n in _ORDERS), *(f"total{n}" for n in _ORDERS)]
    columns = Scores.per_sample({f"{name}:{key}": [row[k] for row in rows] for k, key in enumerate(keys)}).columns

    def formula(means: Mapping[str, float], n: float) -> float:
        predicted, gold, *counts = (means[f"{name}:{key}"] * n for key in keys)
        return score(predicted, gold, counts[:4], counts[4:])

    return Scores(columns, {name: formula}, notes)


def _nltk_bleu(predicted: float, gold: float, matches: list[float], totals: list[float]) -> float:
    if matches[0] == 0:
        return 0.0
    brevity = 1.0 if predicted > gold else exp(1 - gold / predicted)
    return brevity * exp(sum(log((m or _EPSILON) / t) for m, t in zip(matches, totals, strict=True)) / len(matches))


def _sacrebleu(predicted: float, gold: float, matches: list[float], totals: list[float]) -> float:
    # Lengths must be whole numbers. They always are, except in resamples, where half a word does not matter.
    score = BLEU.compute_bleu(matches, totals, round(predicted), round(gold), smooth_method="exp")
    return score.score / 100

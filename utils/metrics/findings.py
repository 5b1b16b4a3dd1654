"""Precision, recall and F1 of the findings that reports name."""

from collections import Counter
from collections.abc import Collection, Sequence
from statistics import fmean
from typing import Any

from cardiolect.utils.errors import UserError


def finding_scores(predicted: Sequence[Collection[str]], truth: Sequence[Collection[str]]) -> dict[str, Any]:
    """Score sets of findings, one set per sample.

    Returns ``per_finding`` (``{finding: {"precision", "recall", "f1", "support"}}`` for every finding that is true in
    at least one sample; precision is 0 if it was never predicted), ``macro_f1``, their mean F1, and ``micro_f1`` over
    all decisions. A finding that is predicted but never true has no recall: it has no row and no part in ``macro_f1``,
    but its false positives count in ``micro_f1``. A score without any finding to count is left out.
    """
    if len(predicted) != len(truth):
        raise UserError(f"{len(predicted)} predicted sets of findings for {len(truth)} true ones")
    hits: Counter[str] = Counter()
    claims: Counter[str] = Counter()
    support: Counter[str] = Counter()
    for guess, gold in zip(map(set, predicted), map(set, truth), strict=True):
        hits.update(guess & gold)
        claims.update(guess)
        support.update(gold)

    rows = {name: _row(hits[name], claims[name], support[name]) for name in sorted(support)}
    result: dict[str, Any] = {"per_finding": rows}
    if rows:
        result["macro_f1"] = fmean(row["f1"] for row in rows.values())
    if support or claims:
        result["micro_f1"] = 2 * hits.total() / (claims.total() + support.total())
    return result


def _row(hits: int, claims: int, support: int) -> dict[str, float]:
    return {
        "precision": hits / claims if claims else 0.0,
        "recall": hits / support,
        "f1": 2 * hits / (claims + support),
        "support": support,
    }

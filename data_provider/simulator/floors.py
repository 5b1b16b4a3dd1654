"""What a reader scores without looking at any ECG."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any


def majority_floor(fit: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]], key: str = "template_id") -> float:
    """Exact match (0..1) on ``test`` of always giving the most common answer per ``key`` seen in ``fit``.

    key: "template_id" for the floor per template, "question" for the sharper one per question text.
    """
    counts: dict[Any, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for row in fit:
        counts[row[key]][tuple(sorted(row["answer"]))] += 1
    best = {k: c.most_common(1)[0][0] for k, c in counts.items()}
    return sum(best.get(r[key]) == tuple(sorted(r["answer"])) for r in test) / max(len(test), 1)

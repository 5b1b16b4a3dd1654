"""How far labels follow from texts: the agreement that a text's own repetitions reach."""

from collections import Counter, defaultdict
from collections.abc import Iterable

_SHARE = 0.4  # of the other reports with this text: about half the F1 reached, above which a code adds to it


def repetition_f1(rows: Iterable[tuple[str, set[str]]]) -> tuple[float, int]:
    """Micro F1 of predicting the labels of a report from those of all others with the same text, and their number.

    rows: ``(report, labels)``. Reports whose text occurs once are left out. What is missing from 1 is disagreement
    between annotators who read the same words, apart from the share that few repetitions cannot tell.
    """
    same: dict[str, list[set[str]]] = defaultdict(list)
    for report, labels in rows:
        same[" ".join(report.casefold().split())].append(labels)
    hits = claims = support = reports = 0
    for group in same.values():
        if len(group) < 2:
            continue
        counts = Counter(code for labels in group for code in labels)
        for labels in group:
            guess = {code for code, n in counts.items() if n - (code in labels) > _SHARE * (len(group) - 1)}
            hits += len(guess & labels)
            claims += len(guess)
        support += counts.total()
        reports += len(group)
    return (2 * hits / (claims + support) if claims + support else 0.0), reports

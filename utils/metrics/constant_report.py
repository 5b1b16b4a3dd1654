"""The floor of `content_f1`: the report that scores best if it is given for every ECG."""

from collections import Counter
from collections.abc import Iterable
from random import Random

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.statements.scores import stated

CANDIDATES = 2000  # reports, each compared with the others


def report_of_best_content(texts: Iterable[str], seed: int = 0) -> str:
    """The text with the highest `content_f1` if it is predicted for every one of ``texts``.

    Up to `CANDIDATES` texts are drawn with ``seed``, as candidates and as references. The text that shares most words
    with the others (`central_text`) is another one: it says what is common, not what pays off in F1 of statements. Of
    ties, the alphabetically first wins. Raises `UserError` if there are no texts.
    """
    texts = sorted(texts)
    if not texts:
        raise UserError("the majority floor needs training reports, and there are none")
    drawn = Random(seed).sample(texts, min(CANDIDATES, len(texts)))
    codes = {text: stated(text) for text in set(drawn)}
    support = Counter(code for text in drawn for code in codes[text])

    def f1(text: str) -> float:
        hits = sum(support[code] for code in codes[text])
        return 2 * hits / max(len(drawn) * len(codes[text]) + support.total(), 1)

    return max(sorted(codes), key=f1)

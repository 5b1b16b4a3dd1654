"""ROUGE with the values of the Python package ``rouge`` 1.0.1, which HeartLLM and ECG-Bench report."""

from collections.abc import Sequence

import numpy as np

from cardiolect.utils.metrics.text_metric import TextMetric

_TINY = 1e-8  # in the package's F, so that a perfect text scores slightly below 1


class RougePackage(TextMetric):
    """``rouge1``, ``rouge2``, ``rougeL`` (F) and their ``_p`` and ``_r``, averaged over samples.

    A text is split into sentences at every "." and into words at spaces; n-grams cross sentence boundaries. Unlike in
    ROUGE-1.5.5 and rouge-score, n-grams are sets, so a repeated one counts once; ROUGE-L is summary-level: the set of
    words in the longest common subsequences of any two sentences, so the order of sentences does not matter. Case and
    punctuation other than "." are kept, nothing is stemmed. A blank sentence ("a. . b") is one empty word. A text
    without any sentence ("", "...") scores 0, as in HeartLLM; the package raises an error there.
    """

    description = "Mean ROUGE-1, ROUGE-2 and summary-level ROUGE-L over sets of n-grams, as the package rouge 1.0.1."
    citation = "Lin, ROUGE: A Package for Automatic Evaluation of Summaries, ACL workshop 2004."

    def _score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        rows = [_rouge(_sentences(p), _sentences(r)) for p, r in zip(predictions, references, strict=True)]
        return {
            name + ending: np.array([row[name][k] for row in rows], dtype=np.float64)
            for k, ending in enumerate(("", "_p", "_r"))
            for name in ("rouge1", "rouge2", "rougeL")
        }


def _sentences(text: str) -> list[list[str]]:
    return [" ".join(part.split()).split(" ") for part in text.split(".") if part]


def _rouge(predicted: list[list[str]], gold: list[list[str]]) -> dict[str, tuple[float, float, float]]:
    found = {f"rouge{n}": _overlap(_ngrams(predicted, n), _ngrams(gold, n)) for n in (1, 2)}
    common = {word for reference in gold for sentence in predicted for word in _common_subsequence(reference, sentence)}
    n_predicted, n_gold = len(_ngrams(predicted, 1)), len(_ngrams(gold, 1))
    return {**found, "rougeL": _f_p_r(len(common), n_predicted, n_gold)}


def _ngrams(sentences: list[list[str]], n: int) -> set[tuple[str, ...]]:
    text = [word for sentence in sentences for word in sentence]
    return set(zip(*(text[k:] for k in range(n)), strict=False))


def _overlap(predicted: set, gold: set) -> tuple[float, float, float]:
    return _f_p_r(len(predicted & gold), len(predicted), len(gold))


def _f_p_r(shared: int, n_predicted: int, n_gold: int) -> tuple[float, float, float]:
    precision = shared / n_predicted if n_predicted else 0.0
    recall = shared / n_gold if n_gold else 0.0
    return 2 * precision * recall / (precision + recall + _TINY), precision, recall


def _common_subsequence(gold: list[str], predicted: list[str]) -> list[str]:
    """A longest common subsequence; of several, the one that drops words of ``predicted`` first, from the end."""
    lengths = [[0] * (len(predicted) + 1)]
    for word in gold:
        above, row = lengths[-1], [0]
        for j, other in enumerate(predicted):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
        lengths.append(row)
    i, j, found = len(gold), len(predicted), []
    while i and j:
        if gold[i - 1] == predicted[j - 1]:
            i, j = i - 1, j - 1
            found.append(gold[i])
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found

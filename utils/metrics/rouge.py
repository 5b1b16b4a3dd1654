"""ROUGE-1, ROUGE-2 and ROUGE-L."""

from collections.abc import Callable, Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from cardiolect.utils.metrics.text_metric import TextMetric

_NAMES = ("rouge1", "rouge2", "rougeL")


def _split_at_periods(text: str) -> list[str]:
    return text.replace(".", " ").split()


class _Tokenizer(Tokenizer):
    def __init__(self, split: Callable[[str], list[str]]) -> None:
        self._split = split

    def tokenize(self, text: str) -> list[str]:
        return self._split(text)


class Rouge(TextMetric):
    """``rouge1``, ``rouge2``, ``rougeL``: F-measures averaged over samples (Lin 2004), counted by rouge-score.

    ``split`` makes the tokens; by default it splits at "." as well as at whitespace, like HeartLLM's `rouge` package:
    "block.Marked" is two words here, unlike in BLEU and METEOR. Case and other punctuation are kept, nothing is
    stemmed. An n-gram counts as often as it occurs, as in ROUGE-1.5.5; `RougePackage` has that package's values, which
    differ in this and other respects.
    """

    description = "Mean ROUGE-1, ROUGE-2 and ROUGE-L F-measure, no stemming."
    citation = "Lin, ROUGE: A Package for Automatic Evaluation of Summaries, ACL workshop 2004."

    def __init__(self, split: Callable[[str], list[str]] = _split_at_periods) -> None:
        super().__init__()
        self._split = split

    def _score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        scorer = RougeScorer(list(_NAMES), use_stemmer=False, tokenizer=_Tokenizer(self._split))
        pairs = zip(predictions, references, strict=True)
        scored = [scorer.score(target=reference, prediction=prediction) for prediction, reference in pairs]
        return {name: np.array([score[name].fmeasure for score in scored], dtype=np.float64) for name in _NAMES}

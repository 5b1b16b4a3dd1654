"""ROUGE-1, ROUGE-2 and ROUGE-L."""

from collections.abc import Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from utils.metrics.text_metric import TextMetric

_NAMES = ("rouge1", "rouge2", "rougeL")


class _PeriodAndSpaceTokenizer(Tokenizer):
    def tokenize(self, text: str) -> list[str]:
        return text.replace(".", " ").split()


class Rouge(TextMetric):
    """``rouge1``, ``rouge2``, ``rougeL``: F-measures averaged over samples (Lin 2004), counted by rouge-score.

    Tokens are those of HeartLLM, whose `rouge` package splits at "." as well as at whitespace: "block.Marked" is two
    words here, unlike in BLEU and METEOR. Case and other punctuation are kept, nothing is stemmed. That package also
    counts a repeated n-gram once; here it counts as often as it occurs, as in ROUGE-1.5.5.
    """

    description = "Mean ROUGE-1, ROUGE-2 and ROUGE-L F-measure, tokens split at whitespace and periods."
    citation = "Lin, ROUGE: A Package for Automatic Evaluation of Summaries, ACL workshop 2004."

    def _score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        scorer = RougeScorer(list(_NAMES), use_stemmer=False, tokenizer=_PeriodAndSpaceTokenizer())
        pairs = zip(predictions, references, strict=True)
        scored = [scorer.score(target=reference, prediction=prediction) for prediction, reference in pairs]
        return {name: np.array([score[name].fmeasure for score in scored], dtype=np.float64) for name in _NAMES}

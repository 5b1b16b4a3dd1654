"""BLEU-1..4, the mean of smoothed sentence scores."""

from collections.abc import Sequence

import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from cardiolect.utils.metrics.text_metric import TextMetric

_WEIGHTS = ((1.0,), (1 / 2,) * 2, (1 / 3,) * 3, (1 / 4,) * 4)
HEARTLLM_WEIGHTS = ((1.0,), (0.5,) * 2, (0.33,) * 3, (0.25,) * 4)


class Bleu(TextMetric):
    """``bleu1`` .. ``bleu4``: sentence BLEU averaged over samples (Papineni et al. 2002), as HeartLLM reports it.

    Whitespace tokens, case kept; smoothing method 1 (Chen & Cherry 2014: 0.1 matches for orders without any). The
    weights of BLEU-3 are 1/3 each; with `HEARTLLM_WEIGHTS` they are .33, which gives slightly higher scores. This is
    not corpus BLEU: the smoothing lifts texts without any four-word match well above zero, and a perfect text of fewer
    than four words stays below 1.
    """

    description = "Mean sentence BLEU-1..4, whitespace tokens, smoothing method 1."
    citation = "Papineni et al., BLEU: a Method for Automatic Evaluation of Machine Translation, ACL 2002."

    def __init__(self, weights: Sequence[tuple[float, ...]] = _WEIGHTS) -> None:
        super().__init__()
        self._weights = weights

    def _score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        smoothing = SmoothingFunction().method1
        scores = np.zeros((len(predictions), len(self._weights)))
        for row, prediction, reference in zip(scores, predictions, references, strict=True):
            row[:] = sentence_bleu([reference.split()], prediction.split(), self._weights, smoothing_function=smoothing)
        return {f"bleu{n}": scores[:, n - 1] for n in range(1, 5)}

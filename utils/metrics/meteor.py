"""METEOR with the WordNet found on this machine."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from nltk.translate.meteor_score import single_meteor_score

from cardiolect.utils.metrics.text_metric import TextMetric
from cardiolect.utils.metrics.wordnet import Thesaurus, find_wordnet


class Meteor(TextMetric):
    """``meteor``: mean sentence METEOR (Lavie & Agarwal 2007; alpha 0.9, beta 3, gamma 0.5), whitespace tokens.

    ``wordnet``, an attribute and a key of the result, says where synonyms come from; scores with and without them are
    not comparable. NLTK lower-cases the words and looks up synonyms by the stems that stem matching leaves, so it
    rarely finds synonyms of words that stemming changes. The fragmentation penalty is never zero: a perfect text of n
    words scores 1 - 0.5 / n^3, a perfect single word only 0.5.
    """

    description = "Mean sentence METEOR, whitespace tokens; exact, stem and WordNet matches."
    citation = "Lavie and Agarwal, METEOR: An Automatic Metric for MT Evaluation, WMT 2007."

    def __init__(self, thesaurus: Thesaurus | None = None) -> None:
        super().__init__()
        self._thesaurus = thesaurus

    @property
    def thesaurus(self) -> Thesaurus:
        # Looked up on use: it belongs to the process that scores, not to the one that built the metric.
        return self._thesaurus or find_wordnet()

    @property
    def wordnet(self) -> str:
        """The source of synonyms, in words."""
        return self.thesaurus.source

    def _score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        reader = self.thesaurus.reader
        pairs = zip(predictions, references, strict=True)
        scores = [single_meteor_score(ref.split(), pred.split(), wordnet=reader) for pred, ref in pairs]
        return {"meteor": np.array(scores, dtype=np.float64)}

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        return {**super()._compute(predictions, references), "wordnet": self.wordnet}

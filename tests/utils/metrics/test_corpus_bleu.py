"""BLEU of a corpus, by hand and as the libraries compute it."""

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from cardiolect.utils.metrics.corpus_bleu import corpus_bleu4, sacrebleu
from tests.helpers.reports import PREDICTIONS, REFERENCES, nltk_bleu4, random_reports


def test_corpus_bleu4_by_hand():
    scores = corpus_bleu4(["left bundle branch block", ""], ["right bundle branch block", "normal"])
    # matches 3, 2, 1, 0 of 4, 3, 2, 1 n-grams; the empty text adds one n-gram to each; 4 words for 5
    precisions = [3 / 5, 2 / 4, 1 / 3, 0.1 / 2]
    assert scores.values == {"bleu4": pytest.approx(np.exp(1 - 5 / 4) * np.prod(precisions) ** (1 / 4))}
    assert scores.of_samples("bleu4") is None
    assert corpus_bleu4([""], ["a"]).values == {"bleu4": 0}
    assert corpus_bleu4([], []).values == {}


def test_corpus_bleu4_is_that_of_nltk():
    assert corpus_bleu4(PREDICTIONS, REFERENCES).values["bleu4"] == pytest.approx(nltk_bleu4(PREDICTIONS, REFERENCES))
    for seed in range(5):
        texts, golds = random_reports(30, seed), random_reports(30, seed + 99)
        texts[0] = ""
        assert corpus_bleu4(texts, golds).values["bleu4"] == pytest.approx(nltk_bleu4(texts, golds), abs=1e-12)


def test_sacrebleu_adds_up_to_the_librarys_score():
    scores = sacrebleu(PREDICTIONS, REFERENCES)
    assert scores.values["sacrebleu"] == pytest.approx(0.5467, abs=5e-5)  # torchmetrics.text.SacreBLEUScore 1.9.0
    assert scores.notes["sacrebleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    for texts, golds in [(PREDICTIONS, REFERENCES), (["a b", ""], ["a c", "b"]), (["x"], ["a"]), ([""], ["a"])]:
        theirs = BLEU().corpus_score(texts, [golds]).score / 100
        assert sacrebleu(texts, golds).values["sacrebleu"] == pytest.approx(theirs, abs=1e-12)

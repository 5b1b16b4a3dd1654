"""ROUGE as the package rouge computes it."""

import numpy as np
import pytest

from cardiolect.utils.metrics.rouge_package import RougePackage
from tests.helpers.reports import PREDICTIONS, REFERENCES, random_reports


def test_rouge_package_by_hand():
    scores = RougePackage().compute(predictions=["b a.a a"], references=["a b.a c"])
    assert scores["rouge1"] == pytest.approx(2 * 2 / 5)  # {a, b} of {a, b} and {a, b, c}
    assert scores["rouge2"] == pytest.approx(2 * 1 / (2 + 3))  # {ba, aa} and {ab, ba, ac}: across the full stop
    # b is common to "a b" and "b a", a to "a b" and "a a": though neither order is right, both words count
    assert (scores["rougeL_p"], scores["rougeL_r"]) == (1, 2 / 3)
    assert scores["rougeL"] == pytest.approx(2 * 2 / 5)


def test_rouge_package_equals_the_package():
    # python -c "from rouge import Rouge; print(Rouge().get_scores(PREDICTIONS, REFERENCES, avg=True))", rouge 1.0.1
    expected = {
        "rouge1": 0.843939389094169,
        "rouge1_p": 0.9642857142857143,
        "rouge1_r": 0.7708333333333334,
        "rouge2": 0.6931318634897748,
        "rouge2_p": 0.8263888888888888,
        "rouge2_r": 0.658008658008658,
        "rougeL": 0.843939389094169,
        "rougeL_p": 0.9642857142857143,
        "rougeL_r": 0.7708333333333334,
    }
    assert RougePackage().compute(predictions=PREDICTIONS, references=REFERENCES) == pytest.approx(expected, abs=1e-12)

    package = pytest.importorskip("rouge", reason="the package rouge is not installed")
    texts, golds = random_reports(300), random_reports(300, seed=1)
    theirs = package.Rouge().get_scores(texts, golds)
    ours = RougePackage().per_sample(texts, golds)
    for name, key in (("rouge-1", "rouge1"), ("rouge-2", "rouge2"), ("rouge-l", "rougeL")):
        for part, ending in (("f", ""), ("p", "_p"), ("r", "_r")):
            np.testing.assert_allclose(ours[key + ending], [row[name][part] for row in theirs], atol=1e-12)


def test_rouge_package_scores_long_texts_and_texts_without_a_sentence():
    long = " ".join(f"word{k}" for k in range(1200))  # the package stops at Python's recursion limit
    scores = RougePackage().per_sample([long, "...", ""], [long, "a", "a"])
    assert scores["rougeL"].tolist() == [pytest.approx(1), 0, 0]

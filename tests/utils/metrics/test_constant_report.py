"""The constant report with the best content is the best of the training reports, and not always the medoid."""

import numpy as np
import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.constant_report import report_of_best_content
from cardiolect.utils.metrics.majority import central_text
from cardiolect.utils.metrics.statements import content_scores

FINDINGS = ("Sinus rhythm.", "Left bundle branch block.", "Normal heart axis.", "Inferior infarct.", "Atrial flutter.")


def content_f1(constant: str, texts: list[str]) -> float:
    return content_scores([constant] * len(texts), texts).values["content_f1"]


@pytest.mark.parametrize("seed", range(5))
def test_no_other_report_scores_better(seed):
    rng = np.random.default_rng(seed)
    texts = [
        " ".join(text for text, share in zip(FINDINGS, (0.8, 0.3, 0.6, 0.2, 0.1), strict=True) if rng.random() < share)
        + " Abnormal ECG."
        for _ in range(40)
    ]
    best = report_of_best_content(texts, seed)
    assert content_f1(best, texts) == max(content_f1(text, texts) for text in texts)
    assert best == report_of_best_content(texts[::-1], seed)


def test_words_and_content_have_different_constants():
    """Reports of one machine share a sentence without a finding; the words they share most state little."""
    boilerplate = "Technically adequate tracing with calibration as usual and no comparison available today."
    texts = [f"{boilerplate} {finding}." for finding in ("Low voltage", "Sinus rhythm") * 2]
    texts += ["Atrial fibrillation."] * 3
    assert report_of_best_content(texts) == "Atrial fibrillation."
    assert boilerplate in central_text(texts)
    with pytest.raises(UserError, match="training reports"):
        report_of_best_content([])

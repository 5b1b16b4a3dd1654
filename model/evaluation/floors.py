"""What a fine-tuned checkpoint keeps of its training texts: what can be said without looking at any ECG."""

from collections.abc import Sequence
from typing import Any

from cardiolect.data_provider.examples import Example
from cardiolect.utils.metrics import AnswerLists, MajorityAnswers, central_text

MAJORITY_ANSWERS, MAJORITY_REPORT, ANSWER_LISTS = "majority_answers", "majority_report", "answer_lists"
# In cardiolect.json: evaluation needs no training data.
KEPT = (MAJORITY_ANSWERS, MAJORITY_REPORT, ANSWER_LISTS)


def known_blindly(examples: Sequence[Example], seed: int) -> dict[str, Any]:
    """Majority answers and answer lists of the questions, and the report that shares most words with the others."""
    found: dict[str, Any] = {}
    if questions := [e for e in examples if e.task == "qa"]:
        found[MAJORITY_ANSWERS] = MajorityAnswers.fit(questions).to_json()
        found[ANSWER_LISTS] = AnswerLists.fit(questions).to_json()
    if reports := [e.answers[0] for e in examples if e.task == "report"]:
        found[MAJORITY_REPORT] = central_text(reports, seed)
    return found

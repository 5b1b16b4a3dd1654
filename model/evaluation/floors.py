"""The floors that need no model: the most common training answers, which a fine-tuned checkpoint keeps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cardiolect.data_provider.examples import Example
from cardiolect.model.prompt.rendering import answer_text
from cardiolect.model.prompt.tasks import MAJORITY, MAJORITY_PER_QUESTION, TASKS
from cardiolect.utils.metrics import AnswerLists, MajorityAnswers, central_text

MAJORITY_ANSWERS, MAJORITY_REPORT, ANSWER_LISTS = "majority_answers", "majority_report", "answer_lists"
# Keys of cardiolect.json, so that evaluation needs no training data.
KEPT = (MAJORITY_ANSWERS, MAJORITY_REPORT, ANSWER_LISTS)


def majority_floors(examples: Sequence[Example], seed: int) -> dict[str, Any]:
    """The majority answers and answer lists of questions, and the report that shares most words with the others."""
    found: dict[str, Any] = {}
    if questions := [e for e in examples if TASKS[e.task].exact_match]:
        found[MAJORITY_ANSWERS] = MajorityAnswers.fit(questions).to_json()
        found[ANSWER_LISTS] = AnswerLists.fit(questions).to_json()
    if reports := [e.answers[0] for e in examples if TASKS[e.task].has_content]:
        found[MAJORITY_REPORT] = central_text(reports, seed)
    return found


def texts_without_model(task: str, info: Mapping[str, Any]) -> Callable[[Example], dict[str, str]]:
    """A function from an example to its texts under the task's floors that need no model.

    info: cardiolect.json. An older checkpoint may lack a floor.
    """
    floors = TASKS[task].floors
    if MAJORITY_PER_QUESTION in floors and MAJORITY_ANSWERS in info:
        majority = MajorityAnswers.from_json(info[MAJORITY_ANSWERS])
        levels = {MAJORITY: "template", MAJORITY_PER_QUESTION: "question"}
        return lambda e: {name: answer_text(majority.predict(e, levels[name])) for name in floors}
    if floors == (MAJORITY,) and info.get(MAJORITY_REPORT) is not None:
        return lambda e: {MAJORITY: info[MAJORITY_REPORT]}
    return lambda e: {}

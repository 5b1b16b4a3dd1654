"""Floors: what is scored without looking at the ECG, and the signal-use gap above the best of them.

`floors` says which conditions are floors. Those without the ECG, with another patient's or with a flat line are put to
the model (`condition_inputs`); the most common training answers need no model: a fine-tuned checkpoint keeps them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cardiolect.data_provider.examples import Example
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.prompt.rendering import answer_text
from cardiolect.model.prompt.tasks import MAJORITY, MAJORITY_PER_QUESTION, TASKS
from cardiolect.utils.metrics import AnswerLists, MajorityAnswers, central_text

MAJORITY_ANSWERS, MAJORITY_REPORT, ANSWER_LISTS = "majority_answers", "majority_report", "answer_lists"
# Keys of cardiolect.json, so that evaluation needs no training data.
KEPT = (MAJORITY_ANSWERS, MAJORITY_REPORT, ANSWER_LISTS)


def floors(names: Iterable[str]) -> list[str]:
    """The floors among ``names``."""
    return [name for name in names if name in CONDITIONS and CONDITIONS[name].floor]


def gap_over(names: Sequence[str]) -> Callable[[Mapping[str, float]], float]:
    """A function from a score's value under each condition to the signal-use gap against the floors ``names``."""
    return lambda values: values[WITH_ECG] - max(values[name] for name in names)


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
    names = TASKS[task].floors
    if MAJORITY_PER_QUESTION in names and MAJORITY_ANSWERS in info:
        majority = MajorityAnswers.from_json(info[MAJORITY_ANSWERS])
        levels = {MAJORITY: "template", MAJORITY_PER_QUESTION: "question"}
        return lambda e: {name: answer_text(majority.predict(e, levels[name])) for name in names}
    if names == (MAJORITY,) and info.get(MAJORITY_REPORT) is not None:
        return lambda e: {MAJORITY: info[MAJORITY_REPORT]}
    return lambda e: {}

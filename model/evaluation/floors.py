"""Floors: what is scored without looking at the ECG, and the signal-use gap above the best of them.

`floors` says which conditions are floors. Those without the ECG, with that of another patient, a flat line or noise are
put to the model (`condition_inputs`). The most common training answers need no model: a fine-tuned checkpoint keeps
them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cardiolect.data_provider.examples import Example
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.prompt.rendering import answer_text
from cardiolect.model.prompt.tasks import MAJORITY, MAJORITY_CONTENT, MAJORITY_PER_QUESTION, TASKS
from cardiolect.utils.metrics import AnswerLists, MajorityAnswers, central_text
from cardiolect.utils.metrics.constant_report import report_of_best_content

MAJORITY_ANSWERS, ANSWER_LISTS = "majority_answers", "answer_lists"
# Condition -> key of the constant report, which is chosen for one score: the words, or the statements.
REPORTS = {MAJORITY: "majority_report", MAJORITY_CONTENT: "majority_content_report"}
# Keys of cardiolect.json, so that evaluation needs no training data.
KEPT = (MAJORITY_ANSWERS, ANSWER_LISTS, *REPORTS.values())


def floors(names: Iterable[str]) -> list[str]:
    """The floors among ``names``."""
    return [name for name in names if name in CONDITIONS and CONDITIONS[name].floor]


def gap_over(names: Sequence[str]) -> Callable[[Mapping[str, float]], float]:
    """A function from a score's value under each condition to the signal-use gap against the floors ``names``."""
    return lambda values: values[WITH_ECG] - max(values[name] for name in names)


def majority_floors(examples: Sequence[Example], seed: int) -> dict[str, Any]:
    """The majority answers and answer lists of questions, and the reports that are the best constants.

    There is one report for scores of words and one for scores of content; both are chosen on training texts alone.
    """
    found: dict[str, Any] = {}
    if any(TASKS[e.task].exact_match for e in examples):
        for key, floor in ((MAJORITY_ANSWERS, MajorityAnswers), (ANSWER_LISTS, AnswerLists)):
            # One after another: a large corpus would not fit into memory.
            found[key] = floor.fit(e for e in examples if TASKS[e.task].exact_match).to_json()
    if reports := [e.answers[0] for e in examples if TASKS[e.task].has_content]:
        found[REPORTS[MAJORITY]] = central_text(reports, seed)
        found[REPORTS[MAJORITY_CONTENT]] = report_of_best_content(reports, seed)
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
    if TASKS[task].has_content:
        reports = {name: info[REPORTS[name]] for name in names if info.get(REPORTS[name]) is not None}
        return lambda e: reports
    return lambda e: {}

"""The tasks, one entry each, with everything that prompts, scores and model cards depend on."""

from dataclasses import dataclass

from cardiolect.data_provider.examples import INSTRUCT_TASK, QA_TASK, REPORT_TASK, TaskName

REPORT = "Report"  # as a question, this asks for a report
MAJORITY, MAJORITY_PER_QUESTION, MAJORITY_CONTENT = "majority", "majority_per_question", "majority_content"


@dataclass(frozen=True)
class Task:
    """A kind of request to the model, and the way its answers are scored.

    prompt: the text before the answer, with ``{question}`` if there is one.
    max_new_tokens: the limit of an answer if MAX_NEW_TOKENS is 0.
    exact_match: whether an answer is right or wrong. Otherwise it is a text that is compared with a reference.
    has_content: whether texts are reports, which are also scored by diagnostic statements and true findings.
    floors: the conditions that need no model, only the training texts.
    rubric: the rubric of `model.evaluation.judge`; "" for none.
    title: of a section about the task. units: the samples, in the plural. pipeline_tag: as model hubs spell it.
    """

    title: str
    units: str
    pipeline_tag: str
    prompt: str
    max_new_tokens: int
    exact_match: bool = False
    has_content: bool = False
    floors: tuple[str, ...] = ()
    rubric: str = ""


_QUESTION = "Question: {question}\nAnswer:"
TASKS = {
    QA_TASK: Task(
        title="Questions",
        units="questions",
        pipeline_tag="question-answering",
        prompt=_QUESTION,
        max_new_tokens=170,
        exact_match=True,
        floors=(MAJORITY, MAJORITY_PER_QUESTION),
    ),
    REPORT_TASK: Task(
        title="Reports",
        units="reports",
        pipeline_tag="text-generation",
        prompt="Report:",
        max_new_tokens=200,
        has_content=True,
        floors=(MAJORITY, MAJORITY_CONTENT),
        rubric="report",
    ),
    INSTRUCT_TASK: Task(
        title="Conversations",
        units="answers in conversations",
        pipeline_tag="text-generation",
        prompt=_QUESTION,
        max_new_tokens=300,
        rubric="arena",
    ),
}


def task_of(question: str) -> TaskName:
    """The task of a question that a user types: a report for `REPORT` or an empty text."""
    return REPORT_TASK if question.strip() in ("", REPORT) else QA_TASK

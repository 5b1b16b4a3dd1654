"""The majority floor of any score: the most common answers in the training set, given without an ECG."""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Literal, Self

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.answer_counts import AnswerCounts, AnsweredQuestion, Answers, Question, ranked_sets
from cardiolect.utils.metrics.normalised_match import token_f1, words

CENTRAL_OF = 500  # candidate reports, each compared with as many


class MajorityAnswers:
    """The most common set of answers per question text, template and question type of the training examples.

    Answers are sets: they are counted without order and repetition, and returned in their most common spelling. Of ties
    the alphabetically first wins, so that the floor does not depend on the order of the examples.
    """

    def __init__(
        self,
        by_question: Mapping[str, Answers],
        by_template: Mapping[int, Answers],
        by_type: Mapping[str, Answers],
        overall: Answers,
    ) -> None:
        self.by_question = dict(by_question)
        self.by_template = dict(by_template)
        self.by_type = dict(by_type)
        self.overall = overall

    @classmethod
    def fit(cls, examples: Iterable[AnsweredQuestion]) -> Self:
        """Count the answers of training examples. Raises `UserError` if there are none."""
        counts = AnswerCounts.of(examples)
        tables = (counts.by_question, counts.by_template, counts.by_type)
        most = [{key: ranked_sets(answers)[0] for key, answers in table.items()} for table in tables]
        return cls(*most, ranked_sets(counts.overall)[0])

    def predict(self, example: Question, level: Literal["template", "question"] = "template") -> Answers:
        """The majority answers to a question.

        At level "template" these are the answers to the template, or else to the question type, or else to all
        examples, whichever training contains; at level "question" the exact question text comes first.
        """
        if level not in ("template", "question"):
            raise UserError(f"the majority floor has levels template and question, not {level!r}")
        if level == "question" and example.question in self.by_question:
            return self.by_question[example.question]
        if example.template_id in self.by_template:
            return self.by_template[example.template_id]
        return self.by_type.get(example.question_type, self.overall)

    def to_json(self) -> dict[str, Any]:
        """A dict of strings and lists only, for `from_json`."""
        return {
            "by_question": {key: list(answers) for key, answers in self.by_question.items()},
            "by_template": {str(key): list(answers) for key, answers in self.by_template.items()},
            "by_type": {key: list(answers) for key, answers in self.by_type.items()},
            "overall": list(self.overall),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises `UserError` for anything else."""
        try:
            return cls(
                {key: tuple(answers) for key, answers in stored["by_question"].items()},
                {int(key): tuple(answers) for key, answers in stored["by_template"].items()},
                {key: tuple(answers) for key, answers in stored["by_type"].items()},
                tuple(stored["overall"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"not stored majority answers: {error!r}; fit them again") from error


def central_text(texts: Iterable[str], seed: int = 0) -> str:
    """The text that shares most words with the others: the best report without knowing the ECG.

    It has the highest mean token F1 with up to `CENTRAL_OF` texts, among as many candidates; both are drawn with
    ``seed``. Raises `UserError` if there are no texts.
    """
    texts = sorted(texts)
    if not texts:
        raise UserError("the majority floor needs training reports, and there are none")
    drawn = [words(text) for text in Random(seed).sample(texts, min(CENTRAL_OF, len(texts)))]
    candidates = {text: words(text) for text in Random(seed + 1).sample(texts, min(CENTRAL_OF, len(texts)))}
    return max(sorted(candidates), key=lambda text: sum(token_f1(candidates[text], other) for other in drawn))

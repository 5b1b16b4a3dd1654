"""What can be answered without looking at any ECG: the majority answer of the training set."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, Self, TypeVar

from utils.errors import UserError

Answers = tuple[str, ...]
Key = TypeVar("Key")


class Question(Protocol):
    """What the majority floor reads of an example."""

    @property
    def question(self) -> str: ...
    @property
    def question_type(self) -> str: ...
    @property
    def template_id(self) -> int | None: ...


class AnsweredQuestion(Question, Protocol):
    @property
    def answers(self) -> Sequence[str]: ...


class MajorityAnswers:
    """The most common set of answers per question text, template and question type of the training examples.

    Answers are sets: they are counted and returned sorted, without repetition. Among equally common sets the
    alphabetically first wins, so that the floor does not depend on the order of the examples.
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
        """Count the answers of training examples; `UserError` if there are none."""
        by_question: dict[str, Counter[Answers]] = defaultdict(Counter)
        by_template: dict[int, Counter[Answers]] = defaultdict(Counter)
        by_type: dict[str, Counter[Answers]] = defaultdict(Counter)
        overall: Counter[Answers] = Counter()
        for example in examples:
            answers = tuple(sorted(set(example.answers)))
            overall[answers] += 1
            by_question[example.question][answers] += 1
            if example.question_type:
                by_type[example.question_type][answers] += 1
            if example.template_id is not None:
                by_template[example.template_id][answers] += 1
        if not overall:
            raise UserError("the majority floor needs training examples, and there are none")
        return cls(_modes(by_question), _modes(by_template), _modes(by_type), _mode(overall))

    def predict(self, example: Question, level: Literal["template", "question"] = "template") -> Answers:
        """The majority answers to a question.

        At level "template" the template decides, then the question type, then all examples together; at level
        "question" the exact question text comes before them. The first of these that training has seen answers.
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
        """Read what `to_json` gave; `UserError` if it is something else."""
        try:
            return cls(
                {key: tuple(answers) for key, answers in stored["by_question"].items()},
                {int(key): tuple(answers) for key, answers in stored["by_template"].items()},
                {key: tuple(answers) for key, answers in stored["by_type"].items()},
                tuple(stored["overall"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"these are no stored majority answers: {error!r}; fit them again") from error


def _mode(counts: Counter[Answers]) -> Answers:
    return min(counts, key=lambda answers: (-counts[answers], answers))


def _modes(tables: Mapping[Key, Counter[Answers]]) -> dict[Key, Answers]:
    return {key: _mode(counts) for key, counts in tables.items()}

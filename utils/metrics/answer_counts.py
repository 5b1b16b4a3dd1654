"""Counts the answers of training examples, for majority answers and answer lists."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol, Self

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.normalised_match import answer_set

Answers = tuple[str, ...]


class Question(Protocol):
    """The properties of a question that determine its possible answers."""

    @property
    def question(self) -> str: ...
    @property
    def question_type(self) -> str: ...
    @property
    def template_id(self) -> int | None: ...


class AnsweredQuestion(Question, Protocol):
    @property
    def answers(self) -> Sequence[str]: ...


class AnswerCounts:
    """Answers as spelled, without repetition, counted per question text, template, question type and in total."""

    def __init__(self) -> None:
        self.by_question: dict[str, Counter[Answers]] = defaultdict(Counter)
        self.by_template: dict[int, Counter[Answers]] = defaultdict(Counter)
        self.by_type: dict[str, Counter[Answers]] = defaultdict(Counter)
        self.overall: Counter[Answers] = Counter()

    @classmethod
    def of(cls, examples: Iterable[AnsweredQuestion]) -> Self:
        """Count the answers of training examples. Raises `UserError` if there are none."""
        counts = cls()
        for example in examples:
            answers = tuple(dict.fromkeys(example.answers))
            counts.overall[answers] += 1
            counts.by_question[example.question][answers] += 1
            if example.question_type:
                counts.by_type[example.question_type][answers] += 1
            if example.template_id is not None:
                counts.by_template[example.template_id][answers] += 1
        if not counts.overall:
            raise UserError("majority answers and answer lists need training examples, and there are none")
        return counts


def ranked_sets(counts: Counter[Answers]) -> list[Answers]:
    """The distinct sets of counted answers, most common first, each in its most common spelling.

    Spellings that `normalised_match` takes for the same ("Yes" and "yes") are one set. Ties are in alphabetical order,
    so that the order of the examples does not matter.
    """
    spellings: dict[frozenset[str], list[Answers]] = defaultdict(list)
    for answers in counts:
        spellings[frozenset(answer_set(answers)) or frozenset(answers)].append(answers)
    ranked = sorted(spellings.values(), key=lambda ways: (-sum(counts[way] for way in ways), min(map(sorted, ways))))
    return [min(ways, key=lambda way: (-counts[way], way)) for ways in ranked]

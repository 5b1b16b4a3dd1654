"""The possible answers to a question: those to its template in training, or the options that it names."""

import ast
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.answer_counts import AnswerCounts, AnsweredQuestion, Answers, Question, ranked_sets
from cardiolect.utils.metrics.verify import NO, YES

LONGEST = 200  # answer sets kept per template, the most common in training
NONE, NOT_SURE = "none", "not sure"
_JOINED = re.compile(r"[ ,;]*\b(or|and)\b( the| an?)? ", re.IGNORECASE)
_LAST_OPTIONS = re.compile(r"[,:] *(?:either )?(?P<first>[^,:]+?),? or (?P<second>[^,:]+?) *\?? *$", re.IGNORECASE)


class AnswerLists:
    """The distinct answer sets per template and question type of the training examples, most common first.

    Each set is listed once, in its most common spelling; a list has at most `LONGEST` sets. Ties are in alphabetical
    order, so that the order of the examples does not matter.
    """

    def __init__(
        self,
        by_template: Mapping[int, Sequence[Answers]],
        by_type: Mapping[str, Sequence[Answers]],
        overall: Sequence[Answers],
    ) -> None:
        self.by_template = {key: list(sets) for key, sets in by_template.items()}
        self.by_type = {key: list(sets) for key, sets in by_type.items()}
        self.overall = list(overall)

    @classmethod
    def fit(cls, examples: Iterable[AnsweredQuestion]) -> Self:
        """Collect the answers of training examples. Raises `UserError` if there are none."""
        counts = AnswerCounts.of(examples)
        lists = [{k: ranked_sets(v)[:LONGEST] for k, v in t.items()} for t in (counts.by_template, counts.by_type)]
        return cls(*lists, ranked_sets(counts.overall)[:LONGEST])

    @classmethod
    def from_table(cls, path: Path) -> Self:
        """Single answers per template, from ECG-QA's ``answers_for_each_template.csv`` (arXiv 2306.15681).

        Columns: template_id, classes (the answers as a Python list). Raises `UserError` with an invalid line's number.
        """
        by_template: dict[int, list[Answers]] = {}
        try:
            with path.open(newline="", encoding="utf-8") as file:
                for row in (reader := csv.DictReader(file)):
                    try:
                        template, classes = int(row["template_id"]), ast.literal_eval(row["classes"])
                        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
                            raise ValueError("classes is not a list of strings")
                    except (KeyError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
                        raise UserError(
                            f"{path}: line {reader.line_num}: needs the columns template_id, a number, and classes, "
                            "a list like ['no', 'yes']"
                        ) from None
                    by_template[template] = [(name,) for name in classes]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path}: cannot be read ({error})") from None
        if not by_template:
            raise UserError(f"{path}: has no templates")
        return cls(by_template, {}, list(dict.fromkeys(one for sets in by_template.values() for one in sets)))

    def extended(self, other: Self) -> Self:
        """These lists followed by the answer sets that only ``other`` has, without a limit."""
        templates = self.by_template | {
            key: _joined(self.by_template.get(key, []), sets) for key, sets in other.by_template.items()
        }
        return type(self)(templates, self.by_type, _joined(self.overall, other.overall))

    def candidates(self, question: Question) -> list[Answers]:
        """The possible answers to the question, without repetition.

        Verify: yes, no, and "not sure" if its template has it. Choose: the two options named in its text, both, and
        none. Query, and choose if the options are not found: the answer sets of its template; if that is unknown, those
        of its question type, else all.
        """
        known = self.by_template.get(question.template_id) or self.by_type.get(question.question_type) or self.overall
        if question.question_type.endswith("verify"):
            unsure = (NOT_SURE,) in self.by_template.get(question.template_id, ())
            return [(YES,), (NO,), *([(NOT_SURE,)] if unsure else [])]
        if question.question_type.endswith("choose") and (pair := options(question.question, known)):
            both = next((answers for answers in known if set(answers) == set(pair)), pair)
            return [*((option,) for option in pair), both, (NONE,)]
        return list(known)

    def to_json(self) -> dict[str, Any]:
        """A dict of strings and lists only, for `from_json`."""
        return {
            "by_template": {str(key): [list(answers) for answers in sets] for key, sets in self.by_template.items()},
            "by_type": {key: [list(answers) for answers in sets] for key, sets in self.by_type.items()},
            "overall": [list(answers) for answers in self.overall],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises `UserError` for anything else."""
        try:
            return cls(
                {int(key): list(map(tuple, sets)) for key, sets in stored["by_template"].items()},
                {key: list(map(tuple, sets)) for key, sets in stored["by_type"].items()},
                list(map(tuple, stored["overall"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(f"not stored answer lists: {error!r}; fit them again") from error


def options(question: str, known: Iterable[Answers]) -> tuple[str, str] | None:
    """The two options of a choose question, as in "Which ..., A or B?"; None if they are not found.

    They are two ``known`` single answers that the text joins with "or" (or "and", as in "between A and B"); else the
    texts around the "or" at its end, if one of them is known.
    """
    names = {name for answers in known for name in answers} - {NONE, YES, NO, NOT_SURE}
    found = _mentions(question, names)
    for word in ("or", "and"):
        for (first, _, end), (second, start, _) in pairwise(found):
            joined = _JOINED.fullmatch(question[end:start])
            if joined and joined[1].lower() == word and first != second:
                return first, second
    if (ending := _LAST_OPTIONS.search(question)) and len(found) == 1:
        first, second = ending["first"], ending["second"]
        if found[0][0] in (first, second) and first != second:
            return first, second
    return None


def _mentions(text: str, names: Iterable[str]) -> list[tuple[str, int, int]]:
    """``(name, start, end)`` in text order; whole words only, and only the longest of overlapping names."""
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    if not longest_first:
        return []
    spelled = {name.casefold(): name for name in reversed(longest_first)}
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)
    return [(spelled[m[0].casefold()], m.start(), m.end()) for m in pattern.finditer(text)]


def _joined(sets: Sequence[Answers], others: Sequence[Answers]) -> list[Answers]:
    present = {frozenset(answers) for answers in sets}
    return [*sets, *(answers for answers in others if frozenset(answers) not in present)]

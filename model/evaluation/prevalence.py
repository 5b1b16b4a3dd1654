"""How common the findings of yes-or-no questions are in the data, from the label table in DATA_ROOT.

Questions that are balanced to half yes and half no (`cardiolect derive`) say nothing about that themselves.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.data_provider.ecgqa.derived import questions as label_questions
from cardiolect.data_provider.ecgqa.labels import Answer
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.verify import NO, YES, yes_or_no


def prevalence_in(roots: Sequence[Path], asked: Iterable[str]) -> dict[str, Any]:
    """``{"recordings", "questions": {question: {"yes", "of"}}}`` from the tables that are in ``roots``.

    recordings: the rows of all tables, 0 without any. of: the recordings whose labels answer the question. A question
    that labels cannot answer is left out. Raises `UserError` for a row whose labels cannot be read.
    """
    asked = set(asked)
    judges = {each.text: _Judge(each.answer) for each in label_questions() if each.text in asked}
    counts: dict[str, Counter[str | None]] = {text: Counter() for text in judges}
    recordings = 0
    for path in (root / DATABASE_NAME for root in roots):
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for row in reader:
                recordings += 1
                for text, judge in judges.items():
                    try:
                        counts[text][judge(row)] += 1
                    except (UserError, ValueError, SyntaxError, TypeError, AttributeError) as error:
                        raise UserError(
                            f"{path}: line {reader.line_num}: labels cannot be read ({error}); use the table as PTB-XL "
                            "publishes it"
                        ) from None
    return {
        "recordings": recordings,
        "questions": {
            text: {"yes": found[YES], "of": found[YES] + found[NO]}
            for text, found in sorted(counts.items())
            if found[YES] + found[NO]
        },
    }


class _Judge:
    """Answers one question from rows of the table, each combination of the columns that it reads only once."""

    def __init__(self, answer: Callable[[dict[str, str]], Answer]):
        self._answer, self._columns = answer, ()
        self._known: dict[tuple[str | None, ...], str | None] = {}

    def __call__(self, row: dict[str, str]) -> str | None:
        """`YES`, `NO`, or None if the labels leave the question open or the table lacks a column."""
        key = tuple(map(row.get, self._columns))
        if key not in self._known:
            read = _Watched(row)
            try:
                found = yes_or_no(self._answer(read) or ())
            except KeyError:
                found = None
            if read.columns.difference(row):
                found = None  # a column that the table lacks says nothing, not no
            if new := read.columns.difference(self._columns):
                self._columns, self._known = (*self._columns, *sorted(new)), {}
                key = tuple(map(row.get, self._columns))
            self._known[key] = found
        return self._known[key]


class _Watched(Mapping):
    """A row that notes which columns are read, in whatever way."""

    def __init__(self, row: dict[str, str]):
        self._row = row
        self.columns: set[str] = set()

    def __getitem__(self, column: str) -> str:
        self.columns.add(column)
        return self._row[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


def shares(prevalence: Mapping[str, Any] | None) -> dict[str, float]:
    """Question -> share of recordings with the finding, 0 to 1."""
    questions = (prevalence or {}).get("questions", {})
    return {text: found["yes"] / found["of"] for text, found in questions.items()}

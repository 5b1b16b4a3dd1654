"""How common the findings of yes-or-no questions are in the data, from the label table in DATA_ROOT.

Labels leave many recordings open: they state a finding as possible, or contradict themselves. These are neither yes
nor no, so the share among all recordings is known as a range only, from that of the stated to that of the stated and
the open. Where few are open, the share among the answered ones stands for it.
Questions that are balanced to half yes and half no (`cardiolect derive`) say nothing about that themselves.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME
from cardiolect.data_provider.ecgqa.derived import questions as label_questions
from cardiolect.data_provider.ecgqa.labels import Answer
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.verify import NO, YES, yes_or_no

MOST_OPEN = 0.1  # of all recordings, for the share among the answered ones to stand for that among all


def prevalence_in(roots: Sequence[Path], asked: Iterable[str]) -> dict[str, Any]:
    """``{"recordings", "simulated", "questions": {question: {"yes", "of", "open"}}}`` from the tables in ``roots``.

    recordings: the rows of all tables, 0 without any; simulated: those of simulated corpora. of: the recordings whose
    labels answer the question; open: all others. A question that labels cannot answer is left out. Raises `UserError`
    for a row whose labels cannot be read.
    """
    asked = set(asked)
    judges = {each.text: _Judge(each.answer) for each in label_questions() if each.text in asked}
    counts: dict[str, Counter[str | None]] = {text: Counter() for text in judges}
    recordings = simulated = 0
    for path in (root / DATABASE_NAME for root in roots):
        if not path.is_file():
            continue
        is_simulated = (path.parent / MADE).is_file()
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for row in reader:
                recordings += 1
                simulated += is_simulated
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
        "simulated": simulated,
        "questions": {
            text: {"yes": found[YES], "of": found[YES] + found[NO], "open": found[None]}
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
    """Question -> share of recordings with the finding, 0 to 1, if at most `MOST_OPEN` of them are open."""
    prevalence = prevalence or {}
    return {
        text: found["yes"] / found["of"]
        for text, found in prevalence.get("questions", {}).items()
        if _open(found, prevalence) <= MOST_OPEN * prevalence["recordings"]
    }


def ranges(prevalence: Mapping[str, Any] | None) -> dict[str, tuple[float, float]]:
    """Question -> least and largest share of all recordings with the finding: none, and all, of the open ones."""
    prevalence = prevalence or {}
    n = prevalence.get("recordings", 0)
    return {
        text: (found["yes"] / n, (found["yes"] + _open(found, prevalence)) / n)
        for text, found in prevalence.get("questions", {}).items()
    }


def _open(found: Mapping[str, int], prevalence: Mapping[str, Any]) -> int:
    """Results of earlier releases do not state it."""
    return found.get("open", prevalence["recordings"] - found["of"])

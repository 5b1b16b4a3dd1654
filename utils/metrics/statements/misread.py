"""Where reports and their labels part: the commonest misread statements, and the words next to statements.

Use it before a lexicon is frozen, on the folds the lexicon is written on and over all of their ids: a spelling that a
corpus takes up later ("abnorm") does not occur in its first records.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cardiolect.utils.metrics.statements.extraction import read, sentences

DECADES = 10  # equal parts of the records in order of their ids
_LEAST_SHARE = 0.2  # of the reports with a statement: a code missed in fewer is not put down to the statement


class Labelled(NamedTuple):
    """One report with its labels. codes: the annotators' codes; stated: those read from the text."""

    record_id: str
    report: str
    stated: set[str]
    codes: set[str]


class Misread(NamedTuple):
    """A code that reports with this statement often state without the label ("false"), or the reverse ("missed").

    count: reports in which the code is misread; reports: those with the statement; example: record id of one.
    """

    count: int
    reports: int
    kind: str
    code: str
    statement: str
    example: str


def misread(rows: Sequence[Labelled]) -> list[Misread]:
    """All misread statements, the commonest first.

    A false code is put down to the statement that it was read from; a missed code to the statement of its report, known
    or not, in whose reports it is missed most often, so that "sinus rhythm" does not collect the misses of all others.
    """
    with_statement: Counter[str] = Counter()
    missed_with: Counter[tuple[str, str]] = Counter()
    parts = [_parts(row.report) for row in rows]
    for row, part in zip(rows, parts, strict=True):
        with_statement.update(part.keys())
        missed_with.update((code, statement) for code in row.codes - row.stated for statement in part)
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row, part in zip(rows, parts, strict=True):
        for code in row.stated - row.codes:
            for statement, codes in part.items():
                if code in codes:
                    found["false", code, statement].append(row.record_id)
        for code in row.codes - row.stated:
            share, statement = max(
                ((missed_with[code, one] / with_statement[one], one) for one in part if with_statement[one] > 1),
                default=(0.0, ""),
            )
            key = statement if share >= _LEAST_SHARE else "(no statement of its own)"
            found["missed", code, key].append(row.record_id)
    return sorted(
        (
            Misread(len(ids), with_statement[statement], kind, code, statement, ids[0])
            for (kind, code, statement), ids in found.items()
        ),
        key=lambda one: (-one.count, one.code, one.statement),
    )


def words_by_decade(rows: Sequence[Labelled]) -> list[tuple[str, list[int]]]:
    """Words next to statements or in unknown sentences -> reports with each in every tenth of the ids.

    The commonest are first.
    """
    ordered = sorted(rows, key=lambda row: int(row.record_id))
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * DECADES)
    for place, row in enumerate(ordered):
        for word in set(_words_outside(row.report)):
            counts[word][place * DECADES // len(ordered)] += 1
    return sorted(counts.items(), key=lambda item: (-sum(item[1]), item[0]))


def _parts(report: str) -> dict[str, set[str]]:
    """The statements of a report, and the words outside them -> the codes that each states as present or possible."""
    parts: dict[str, set[str]] = defaultdict(set)
    for sentence in sentences(report):
        reading = read(sentence)
        for one in reading.pieces:
            parts[one.text] |= {code for code, status in one.codes if status in ("present", "possible")}
        for rest in reading.rest if reading.known else (sentence,):
            parts[rest] |= set()
    return parts


def _words_outside(report: str) -> Iterable[str]:
    for sentence in sentences(report):
        reading = read(sentence)
        for rest in reading.rest if reading.known else (sentence,):
            yield from rest.split()

"""Tables, reports and questions of a corpus on disk, against its truth."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cardiolect.data_provider.corpora.databases import TABLE
from cardiolect.data_provider.ecgqa.ranges import FEATURES
from cardiolect.data_provider.simulator.check.texts import text_contradictions
from cardiolect.data_provider.simulator.check.truth_file import Stored, json_file
from cardiolect.data_provider.simulator.comparisons import COMPARED, abnormal
from cardiolect.data_provider.simulator.corpus import SPLITS
from cardiolect.data_provider.simulator.ptbxl_tables import database_row, measurements_row, report_row
from cardiolect.data_provider.simulator.questions import questions
from cardiolect.data_provider.simulator.varied.questions import varied_questions
from cardiolect.utils.errors import UserError

MEASUREMENTS = "measurements.csv"
KINDS = ("reports", "questions", "comparisons")


def judge_tables(stored: Stored) -> int:
    """Add what contradicts the truth to the faults of ``stored``; the number of answers that were compared.

    Raises `UserError` for a file that is missing or damaged.
    """
    truths = stored.truths
    _compare(stored, TABLE, _table(stored.folder / TABLE), {n: database_row(t) for n, t in truths.items()})
    measured = {n: measurements_row(t) for n, t in truths.items()}
    _compare(stored, MEASUREMENTS, _table(stored.folder / MEASUREMENTS), measured)
    compared = 0
    for split, folds in SPLITS.items():
        here = {n: t for n, t in truths.items() if t.fold in folds}
        reports, rows, pairs = (json_file(stored.folder / _name(kind, split)) for kind in KINDS)
        _compare(stored, _name("reports", split), reports, {n: report_row(t) for n, t in here.items()})
        try:
            of = _judge_answers(stored, _name("questions", split), rows)
            _judge_comparisons(stored, _name("comparisons", split), pairs)
            said = {row["ecg_id"]: row["report"] for row in reports}
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{stored.folder}: questions or comparisons of {split} are damaged ({error!r})") from None
        for record, truth in here.items():
            words = text_contradictions(truth, said.get(record, ""), of.get(record, []))
            stored.blame(record, *(word for word in words if word not in stored.faults.get(record, [])))
        compared += len(rows) + len(pairs)
    return compared


def _name(kind: str, split: str) -> str:
    return f"{kind}/{split}.json"


def _judge_answers(stored: Stored, name: str, rows: Iterable[Mapping[str, Any]]) -> dict[int, list[Mapping[str, Any]]]:
    """Answer all questions anew; record -> its rows."""
    asked = {q.text: q for q in (varied_questions() if stored.varied else questions())}
    of: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        (record,) = row["ecg_id"]
        of.setdefault(record, []).append(row)
        if record not in stored.truths:
            _blame_unknown(stored, record, name)
        elif row["question"] not in asked:
            stored.blame(record, f"'{row['question']}' is not a question of the simulator")
        elif asked[row["question"]].answer(stored.truths[record]) != tuple(row["answer"]):
            stored.blame(record, f"'{row['question']}' {', '.join(row['answer'])}, against the truth")
    return of


def _judge_comparisons(stored: Stored, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        first, second = row["ecg_id"]
        if unknown := [record for record in (first, second) if record not in stored.truths]:
            _blame_unknown(stored, unknown[0], name)
            continue
        out = [abnormal(stored.truths[record]) for record in (first, second)]
        names = COMPARED[row["template_id"]]
        right = None
        if None not in out:
            right = [f for f in FEATURES if names(out[0][f], out[1][f])] or ["none"]
        if row["answer"] != right:
            stored.blame(first, f"compared with {second}: {', '.join(row['answer'])}, against the truth")


def _blame_unknown(stored: Stored, record: int, name: str) -> None:
    """Records of rows that are no truth have been named."""
    if record not in stored.faults:
        stored.blame(record, f"{name} has it, the truth does not")


def _compare(stored: Stored, name: str, rows: Iterable[Mapping[str, Any]], wanted: Mapping[int, Mapping]) -> None:
    """Compare the rows of a table with those that follow from the truth."""
    found: dict[int, Mapping] = {}
    for number, row in enumerate(rows, start=1):
        try:
            record = int(row["ecg_id"])
        except (KeyError, TypeError, ValueError):
            stored.blame(0, f"{name}, row {number}: no ecg_id")
            continue
        if record in found:
            stored.blame(record, f"{name} has it twice")
        found[record] = row
        if record not in wanted:
            _blame_unknown(stored, record, name)
    for record, right in wanted.items():
        if record not in found:
            stored.blame(record, f"{name} does not have it")
            continue
        unlike = [k for k in {**right, **found[record]} if _text(found[record].get(k)) != _text(right.get(k))]
        if unlike:
            stored.blame(record, f"{name} is unlike the truth in {', '.join(unlike)}")


def _text(value: Any) -> str:
    """As a CSV file has it."""
    return "" if value is None else str(value)


def _table(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            yield from csv.DictReader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}); give a corpus made by cardiolect simulate") from None

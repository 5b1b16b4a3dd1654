"""Measure how well statements are extracted: agreement with PTB-XL's labels per code, and coverage of any reports.

A disagreement is a code that a report states but its annotators did not give, or the reverse. Many come from the
annotators, who corrected the machine's report; ``--misses CODE`` prints them, ``--misread N`` lists the N commonest
misread statements and words next to statements. List them before you change a lexicon, on the folds you may look at.
"""

import argparse
import ast
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.findings import finding_scores
from cardiolect.utils.metrics.statements.ceiling import repetition_f1
from cardiolect.utils.metrics.statements.codes import AXES, SCP_CODES
from cardiolect.utils.metrics.statements.misread import DECADES, Labelled, misread, words_by_decade
from cardiolect.utils.metrics.statements.practice import labelled
from cardiolect.utils.metrics.statements.scores import coverage, stated

_LISTED = 10


def labelled_reports(database: Path, folds: set[int]) -> list[tuple[str, str, set[str]]]:
    """``(ecg_id, report, codes)`` of the recordings in ``folds``: scp_codes of any likelihood, and heart_axis."""
    try:
        with database.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if int(float(row["strat_fold"])) in folds]
            return [
                (row["ecg_id"], row["report"], {*ast.literal_eval(row["scp_codes"]), row["heart_axis"]} - {""})
                for row in rows
            ]
    except OSError as error:
        raise UserError(f"--database {database}: {error.strerror}; give PTB-XL's ptbxl_database.csv") from None
    except KeyError as error:
        raise UserError(f"--database {database}: no column {error.args[0]}; give PTB-XL's ptbxl_database.csv") from None
    except (ValueError, SyntaxError, TypeError, csv.Error):
        raise UserError(
            f"--database {database}: a row cannot be read as one of PTB-XL's ptbxl_database.csv"
            " (UTF-8, with strat_fold a number and scp_codes a dictionary)"
        ) from None


def agreement(
    rows: list[tuple[str, str, set[str]]], codes: frozenset[str], read: Callable[[str], set[str]] = stated
) -> dict[str, Any]:
    """`finding_scores` of the codes of reports against their labels, for ``codes`` only.

    read: `scores.stated`, a report as it is written, or `practice.labelled`, as the annotators of PTB-XL would code it.
    """
    return finding_scores([read(report) & codes for _, report, _ in rows], [labels & codes for *_, labels in rows])


def _print_agreement(name: str, rows: list[tuple[str, str, set[str]]], codes: frozenset[str]) -> None:
    scores, by_practice = agreement(rows, codes), agreement(rows, codes, labelled)
    claimed = [code for _, report, _ in rows for code in stated(report) & codes]
    print(f"\n{name:10s} labels  stated  precision  recall    F1")
    for code, row in sorted(scores["per_finding"].items(), key=lambda item: -item[1]["support"]):
        print(
            f"{code:10s} {row['support']:6d}  {claimed.count(code):6d}  {row['precision']:9.2f}  {row['recall']:6.2f}"
            f"  {row['f1']:4.2f}"
        )
    unlabelled = {code: claimed.count(code) for code in sorted(set(claimed) - scores["per_finding"].keys())}
    if unlabelled:
        print("stated, never labelled: " + ", ".join(f"{code} {n}" for code, n in unlabelled.items()))
    if scores["per_finding"]:
        print(f"as written: micro F1 {scores['micro_f1']:.3f}, macro F1 {scores['macro_f1']:.3f}")
        print(
            f"as the annotators code what is written: micro F1 {by_practice['micro_f1']:.3f}, macro F1 "
            f"{by_practice['macro_f1']:.3f}"
        )
        ceiling, repeated = repetition_f1((report, labels & codes) for _, report, labels in rows)
        print(f"labels of other reports with the same text ({repeated} reports): micro F1 {ceiling:.3f}")


def _print_misread(rows: list[tuple[str, str, set[str]]], most: int) -> None:
    known = SCP_CODES | set(AXES)
    compared = [Labelled(ecg_id, report, stated(report) & known, labels & known) for ecg_id, report, labels in rows]
    found = misread(compared)
    print(f"misread  of reports  code      statement (first in record), {min(most, len(found))} of {len(found)}")
    for one in found[:most]:
        of = one.reports or len(rows)
        print(f"{one.count:7d}  {of:10d}  {one.code:8s}  {one.kind}: {one.statement!r} ({one.example})")
    words = words_by_decade(compared)
    print(f"\nwords next to statements: reports with each, in all and by tenths of the ids ({DECADES} columns)")
    for word, counts in words[:most]:
        print(f"{sum(counts):7d}  {' '.join(f'{count:5d}' for count in counts)}  {word}")


def _print_coverage(texts: list[str]) -> None:
    found = coverage(texts)
    print(
        f"\n{len(texts)} reports: something recognised in {found['statements']:.1%} of statements and "
        f"{found['reports']:.1%} of reports, a code in {found['coded']:.1%} of reports"
    )
    for title, key in (("most common unrecognised statements", "unrecognised"), ("words outside statements", "beside")):
        listed = ", ".join(f"{text!r} {n}" for text, n in list(found[key].items())[:_LISTED])
        print(f"{title}: {listed or 'none'}")


def _code(given: str) -> str:
    code = {each.upper(): each for each in (*SCP_CODES, *AXES)}.get(given.strip().upper())
    if code is None:
        raise UserError(f"--misses {given or repr(given)}: not a code of PTB-XL; scp_statements.csv lists them")
    return code


def _print_misses(rows: list[tuple[str, str, set[str]]], given: str) -> None:
    code = _code(given)
    found = 0
    for ecg_id, report, labels in rows:
        if (code in stated(report)) != (code in labels):
            found += 1
            print(f"{ecg_id}: {'label only' if code in labels else 'text only'}: {' '.join(report.split())}")
    print(f"{found} of {len(rows)} reports disagree with their labels on {code}")


def _folds(text: str) -> set[int]:
    try:
        ends = [[int(end) for end in part.split("-")] for part in text.split(",")]
        return {fold for part in ends for fold in range(part[0], part[-1] + 1)}
    except ValueError:
        raise UserError(f"--folds {text!r}: give numbers such as 9-10 or 1,2") from None


def _reports_of(path: Path) -> list[str]:
    if path.is_dir():
        raise UserError(f"--reports {path}: a folder; give the JSON files in it, such as {path}/*.json")
    try:
        rows = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"--reports {path}: {error.strerror}; give JSON files of reports") from None
    except (ValueError, RecursionError):
        raise UserError(f"--reports {path}: not JSON; give a list of objects with a key report") from None
    if not isinstance(rows, list):
        raise UserError(f"--reports {path}: not a JSON list of objects with a key report")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not isinstance(row.get("report"), str):
            raise UserError(f"--reports {path}: entry {number} has no text under a key report")
    return [row["report"] for row in rows]


def _check(args: argparse.Namespace) -> None:
    """Refuses options that would be ignored."""
    listing = [name for name in ("misses", "misread") if getattr(args, name) is not None]
    if args.misread is not None and (args.misread < 1 or not args.database):
        raise UserError("--misread: give a number from 1, and --database")
    if args.misses is not None:
        _code(args.misses)
    if not args.database and (listing or args.folds is not None):
        raise UserError(f"--{listing[0] if listing else 'folds'}: give --database, too")
    if len(listing) > 1 or (listing and args.reports):
        raise UserError(f"--{listing[0]}: give it without --{listing[1] if len(listing) > 1 else 'reports'}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser(
        prog="cardiolect statements",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--database", type=Path, help="PTB-XL's ptbxl_database.csv, to print agreement with its labels")
    parser.add_argument("--folds", help="folds of --database, such as 9-10 (default: all)")
    parser.add_argument("--misses", metavar="CODE", help="print the reports that disagree with their labels on a code")
    parser.add_argument(
        "--misread", type=int, metavar="N", help="list the N commonest misread statements and words next to statements"
    )
    parser.add_argument("--reports", type=Path, nargs="+", default=[], help="JSON files of reports, to print coverage")
    args = parser.parse_args(arguments)
    if not args.database and not args.reports:
        raise UserError("nothing to read: give --database or --reports")
    _check(args)
    if args.database:
        folds = args.folds or "1-10"
        rows = labelled_reports(args.database, _folds(folds))
        if not rows:
            raise UserError(f"--folds {folds}: {args.database} has no recordings in them")
        if args.misses is not None:
            _print_misses(rows, args.misses)
            return
        if args.misread:
            _print_misread(rows, args.misread)
            return
        _print_agreement("code", rows, SCP_CODES)
        _print_agreement("heart axis", rows, frozenset(AXES))
        _print_coverage([report for _, report, _ in rows])
    for path in args.reports:
        reports = _reports_of(path)
        print(f"\n{path}", end="")
        _print_coverage(reports)


if __name__ == "__main__":
    run_command(main)

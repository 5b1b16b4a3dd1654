"""Measures rate, intervals and axis of recordings in PTB-XL's layout, and asks about them: ``cardiolect measure``.

Measurements of real recordings are made by `ecgqa.intervals`; of simulated ones the true values are known. Both are
written to measurements.csv, with the columns of the simulator's, for training a tokenizer (``MEASUREMENTS_DATA``). The
questions are those of `texts.numbers`; a value that cannot be trusted is not asked about. PR in atrial fibrillation and
flutter is "not measurable".
"""

import ast
import csv
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, load_labels
from cardiolect.data_provider.corpora.simulated_folder import TRUTH
from cardiolect.data_provider.ecgqa.derived import SPLITS, add_folds, folds_of
from cardiolect.data_provider.ecgqa.intervals import measure_intervals
from cardiolect.data_provider.ecgqa.labels import Row
from cardiolect.data_provider.ecgqa.range_fit import AXIS, RATE, values_of
from cardiolect.data_provider.ecgqa.ranges import FEATURES
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.texts.numbers import NOT_MEASURABLE, NUMBER, QUANTITIES
from cardiolect.utils.command_line import Parser, integer, run_command
from cardiolect.utils.errors import check_overwriting, make_folder
from cardiolect.utils.parallel import ordered_map
from cardiolect.utils.progress import progress

MEASUREMENTS = "measurements.csv"
PR = "pr interval"
NO_P = frozenset({"AFIB", "AFLT"})  # rhythms without P waves
NO_AXIS = frozenset({"CRBBB"})  # its late forces make the axis of the whole QRS meaningless

Values = dict[str, float]  # FEATURES in ms and `RATE` in bpm, `AXIS` in degrees; NaN if not known


def measured(ref: RecordRef) -> Values:
    """The measurements of a recording; empty if it cannot be read or has fewer than three beats."""
    try:
        record = read_record(ref)
    except RecordError:
        return {}
    found = measure_intervals(record.signal, record.fs)
    return {} if found is None else values_of(found)


def true_values(truth: Mapping) -> Values:
    """The same of a simulated recording, from its line of truth.jsonl."""
    values = {**truth["intervals"], RATE: truth["heart_rate"], AXIS: truth["axis_degrees"]}
    return {name: math.nan if value is None else value for name, value in values.items()}


def questions_about(ecg_id: int, values: Values, codes: Iterable[str]) -> list[dict]:
    """Rows in ECG-QA's JSON form. codes: PTB-XL's, of the recording."""
    codes, rows = set(codes), []
    for quantity in QUANTITIES:
        value = values.get(quantity.name, math.nan)
        if quantity.name == AXIS and codes & NO_AXIS:
            continue
        if quantity.name == PR and codes & NO_P:
            answer = NOT_MEASURABLE
        elif math.isnan(value):
            continue
        else:
            answer = quantity.answer(value)
        rows.append(
            {
                "template_id": quantity.template_id,
                "question_type": NUMBER,
                "attribute_type": "number",
                "question": quantity.question,
                "answer": [answer],
                "ecg_id": [ecg_id],
                "attribute": [quantity.name],
                "derived": True,
            }
        )
    return rows


def evenly(questions: Sequence[dict], most: int) -> list[dict]:
    """At most so many questions of each quantity with the same answer, drawn at random, in their order."""
    drawn = list(range(len(questions)))
    random.Random(0).shuffle(drawn)
    kept, counts = [], Counter()
    for k in drawn:
        counts[key := (questions[k]["template_id"], *questions[k]["answer"])] += 1
        if counts[key] <= most:
            kept.append(k)
    return [questions[k] for k in sorted(kept)]


def _simulated(source: Path, rows: Sequence[Row]) -> list[Values]:
    with (source / TRUTH).open() as file:
        truths = {truth["record_id"]: true_values(truth) for truth in map(json.loads, file)}
    return [truths[int(row["ecg_id"])] for row in rows]


def _real(source: Path, rows: Sequence[Row], workers: int) -> list[Values]:
    refs = load_database(source, "--source")
    done = ordered_map(measured, [refs[str(int(row["ecg_id"]))] for row in rows], workers)
    return list(progress(done, desc="measuring", total=len(rows), unit="ECG", mininterval=1))


def _write_table(path: Path, rows: Sequence[Row], values: Sequence[Values]) -> None:
    names = [*FEATURES, AXIS]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["ecg_id", *(name.replace(" ", "_") for name in names)])
        for row, found in zip(rows, values, strict=True):
            cells = (found.get(name, math.nan) for name in names)
            writer.writerow([int(row["ecg_id"]), *("" if math.isnan(cell) else f"{cell:.1f}" for cell in cells)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect measure", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder in PTB-XL's layout, real or simulated")
    parser.add_argument(
        "--out", type=Path, required=True, help=f"folder for {MEASUREMENTS}, train.json, valid.json and test.json"
    )
    add_folds(parser)
    parser.add_argument(
        "--same-answer",
        type=integer(1),
        metavar="N",
        help="at most N questions of a kind with the same answer: rare values are asked about as often as common ones",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that measure; the result is the same")
    parser.add_argument("--force", action="store_true", help="replace what an earlier run wrote to OUT")
    args = parser.parse_args(arguments)
    make_folder("--out", args.out)
    folds = folds_of(args)
    check_overwriting(args.out, [MEASUREMENTS, *(f"{split}.json" for split in SPLITS)], args.force)
    rows = load_labels(args.source / DATABASE_NAME, "--source")
    if (args.source / TRUTH).is_file():
        values = _simulated(args.source, rows)
    else:
        values = _real(args.source, rows, args.workers)
    _write_table(args.out / MEASUREMENTS, rows, values)
    unmeasured = sum(not found for found in values)
    print(f"{args.out}/{MEASUREMENTS}: {len(rows) - unmeasured} recordings, {unmeasured} could not be measured")
    for split in SPLITS:
        asked = [
            question
            for row, found in zip(rows, values, strict=True)
            if int(float(row["strat_fold"])) in folds[split]
            for question in questions_about(int(row["ecg_id"]), found, ast.literal_eval(row["scp_codes"]))
        ]
        if args.same_answer is not None:
            asked = evenly(asked, args.same_answer)
        numbered = [{"sample_id": i, "question_id": q["template_id"], **q} for i, q in enumerate(asked)]
        (args.out / f"{split}.json").write_text(json.dumps(numbered, indent=1) + "\n")
        print(f"{args.out}/{split}.json: {len(numbered)} questions")


if __name__ == "__main__":
    run_command(main)

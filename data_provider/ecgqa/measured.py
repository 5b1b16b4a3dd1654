"""Measures rate, intervals and axis of recordings in PTB-XL's layout, and asks about them: ``cardiolect measure``.

Measurements of real recordings are made by `ecgqa.intervals`; of simulated ones the true values are known. Both are
written to measurements.csv, with the columns of the simulator's, for training a tokenizer (``MEASUREMENTS_DATA``). The
questions are those of `texts.numbers`; a value that cannot be trusted is not asked about. PR in atrial fibrillation and
flutter is "not measurable". The table has a column for each of `CODES` too: 1 if the labels state it, 0 if they deny
it, empty if they leave it open.
"""

import ast
import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from tqdm import tqdm

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, load_labels, parse_folds
from cardiolect.data_provider.corpora.simulated_folder import TRUTH
from cardiolect.data_provider.ecgqa.derived import SPLITS
from cardiolect.data_provider.ecgqa.intervals import measure_intervals
from cardiolect.data_provider.ecgqa.labels import Row, has_code
from cardiolect.data_provider.ecgqa.range_fit import value_of
from cardiolect.data_provider.ecgqa.ranges import FEATURES
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.texts.numbers import NOT_MEASURABLE, NUMBER, QUANTITIES
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError, check_overwriting, make_folder
from cardiolect.utils.parallel import ordered_map

MEASUREMENTS = "measurements.csv"
RATE, PR, AXIS = "heart rate", "pr interval", "axis"
NO_P = frozenset({"AFIB", "AFLT"})  # rhythms without P waves
# What the shape of beats and baseline shows, so that a few seconds of ECG tell.
CODES = (
    "AFIB",
    "AFLT",
    "PACE",
    "1AVB",
    "CLBBB",
    "CRBBB",
    "IRBBB",
    "LAFB",
    "LAO/LAE",
    "LVH",
    "LVOLT",
    "ASMI",
    "IMI",
    "LMI",
    "STD_",
    "INVT",
    "LOWT",
    "NDT",
)
OPEN_LIKELIHOOD = 15.0  # doubtful: neither stated nor denied
NO_AXIS = frozenset({"CRBBB"})  # its late forces make the axis of the whole QRS meaningless

Values = dict[str, float]  # FEATURES in ms and `RATE` in bpm, `AXIS` in degrees; NaN if not known


def measured(ref: RecordRef) -> Values:
    """The measurements of a recording; empty if it cannot be read or has fewer than three beats."""
    try:
        record = read_record(ref)
    except RecordError:
        return {}
    found = measure_intervals(record.signal, record.fs)
    if found is None:
        return {}
    values = {feature: value_of(found, feature) for feature in FEATURES}
    return {**values, RATE: 60_000 / found.mean_rr, AXIS: found.axis}


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


def _simulated(source: Path, rows: Sequence[Row]) -> tuple[list[Row], list[Values]]:
    """The rows, with the codes that are open as doubtful ones, and the true values."""
    with (source / TRUTH).open() as file:
        truths = {truth["record_id"]: truth for truth in map(json.loads, file)}
    found = [truths[int(row["ecg_id"])] for row in rows]
    doubtful = [dict.fromkeys(truth.get("open", ()), OPEN_LIKELIHOOD) for truth in found]
    rows = [
        {**row, "scp_codes": str({**ast.literal_eval(row["scp_codes"]), **more})}
        for row, more in zip(rows, doubtful, strict=True)
    ]
    return rows, list(map(true_values, found))


def _real(source: Path, rows: Sequence[Row], workers: int) -> list[Values]:
    refs = load_database(source, "--source")
    done = ordered_map(measured, [refs[str(int(row["ecg_id"]))] for row in rows], workers)
    return list(tqdm(done, desc="measuring", total=len(rows), unit="ECG", mininterval=1))


def _write_table(path: Path, rows: Sequence[Row], values: Sequence[Values]) -> None:
    names = [*FEATURES, AXIS]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["ecg_id", *(name.replace(" ", "_") for name in names), *CODES])
        for row, found in zip(rows, values, strict=True):
            cells = [found.get(name, math.nan) for name in names]
            stated = [has_code(row, code) for code in CODES]
            writer.writerow(
                [
                    int(row["ecg_id"]),
                    *("" if math.isnan(cell) else f"{cell:.1f}" for cell in cells),
                    *("" if state is None else int(state) for state in stated),
                ]
            )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect measure", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder in PTB-XL's layout, real or simulated")
    parser.add_argument(
        "--out", type=Path, required=True, help=f"folder for {MEASUREMENTS}, train.json, valid.json and test.json"
    )
    for split, folds in zip(SPLITS, ("1-7", "8", "9-10"), strict=True):
        parser.add_argument(f"--{split}-folds", default=folds, help=f"folds of PTB-XL for {split}.json")
    parser.add_argument("--workers", type=int, default=2, help="processes that measure; the result is the same")
    parser.add_argument("--force", action="store_true", help="replace what an earlier run wrote to OUT")
    args = parser.parse_args(arguments)
    make_folder("--out", args.out)
    folds = {split: parse_folds(getattr(args, f"{split}_folds"), f"--{split}-folds") for split in SPLITS}
    for one, other in combinations(folds, 2):
        if both := folds[one] & folds[other]:
            raise UserError(f"fold {min(both)} is in both --{one}-folds and --{other}-folds")
    check_overwriting(args.out, [MEASUREMENTS, *(f"{split}.json" for split in SPLITS)], args.force)
    rows = load_labels(args.source / DATABASE_NAME, "--source")
    if (args.source / TRUTH).is_file():
        rows, values = _simulated(args.source, rows)
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
        numbered = [{"sample_id": i, "question_id": q["template_id"], **q} for i, q in enumerate(asked)]
        (args.out / f"{split}.json").write_text(json.dumps(numbered, indent=1) + "\n")
        print(f"{args.out}/{split}.json: {len(numbered)} questions")


if __name__ == "__main__":
    run_command(main)

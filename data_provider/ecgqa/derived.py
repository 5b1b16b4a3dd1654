"""Questions in ECG-QA's form derived from PTB-XL's own labels: ``cardiolect derive --help``.

ECG-QA's published questions cover chosen recordings; these cover any part of PTB-XL, with ECG-QA's template numbers and
answer names (arXiv 2306.15681). They are marked ``"derived": true`` and are not ECG-QA's questions: do not compare
scores on them with published ones. Yes and no are balanced per question within each split; ``--unbalanced`` asks about
every recording.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, parse_folds
from cardiolect.data_provider.ecgqa.labels import (
    AXES,
    DIAGNOSES,
    EXTRASYSTOLES,
    FORMS,
    NOISES,
    RHYTHMS,
    STAGES,
    Answer,
    Row,
    any_extrasystole,
    axis_of,
    extrasystoles,
    is_extrasystole,
    is_stage,
    listed,
    noise_in,
    stages,
    states,
)
from cardiolect.data_provider.ecgqa.r_peaks import rr_interval
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.data_provider.simulator.questions import balanced
from cardiolect.data_provider.simulator.truth import NORMAL_RANGES_MS, RANGES
from cardiolect.utils.command_line import Parser
from cardiolect.utils.errors import UserError, exit_on_user_error, make_folder

RR = "rr interval"  # a column that `measure` adds
R_PEAK_HZ = 250
RATE_MARGIN = 1.5  # bpm
NOISE_IN_LEAD = 26  # template
MIN_POSITIVES = 3  # in a split, for a question to be asked there

Asked = tuple[int, str, str, str, list[str] | None, Callable[[Row], Answer]]


def questions() -> Iterator[Asked]:
    """``(template_id, question_type, attribute_type, question, attributes, answer of a database row)``."""
    axes = list(dict.fromkeys(AXES.values()))
    for code, name in {**DIAGNOSES, **RHYTHMS, **FORMS}.items():
        yield _verify(
            1, "scp_code", name, lambda row, code=code: states(row, code), f"Does this ECG show symptoms of {name}?"
        )
    for axis in axes:
        yield _verify(20, "heart_axis", axis, lambda row, axis=axis: None if (a := axis_of(row)) is None else a == axis)
    yield _verify(
        39,
        "numeric_feature",
        RR,
        lambda row: None if (said := _rr_range(row)) is None else said == RANGES[1],
        f"Does the {RR} of this ECG fall within the normal range?",
    )
    for column, name in NOISES.items():
        yield _verify(27, "noise", name, lambda row, column=column: bool(row[column].strip()))
        for lead in LEADS if column != "electrodes_problems" else ():
            yield _verify(
                NOISE_IN_LEAD,
                "noise",
                name,
                lambda row, column=column, lead=lead: noise_in(row, column, lead),
                f"Does this ECG show {name} in lead {lead}?",
            )
    for stage in STAGES.values():
        yield _verify(23, "stage_of_infarction", stage, lambda row, stage=stage: is_stage(row, stage))
    yield _verify(35, "extra_systole", "any kind of extra systoles", any_extrasystole)
    for kind in (EXTRASYSTOLES["SVES"], EXTRASYSTOLES["VES"]):
        yield _verify(36, "extra_systole", kind, lambda row, kind=kind: is_extrasystole(row, kind))
    yield from _query()
    for pair in combinations(axes, 2):
        yield _choose(21, "heart_axis", "Which cardiac axis", pair, lambda row: (a := axis_of(row)) and (a,))
    for codes in (("SBRAD", "STACH"), ("AFIB", "SR"), ("SARRH", "SR")):
        names = {code: RHYTHMS[code] for code in codes}
        yield _choose(
            10,
            "scp_code",
            "Which rhythm-related symptom",
            tuple(names.values()),
            lambda row, names=names: listed(row, names),
        )


def _query() -> Iterator[Asked]:
    def ask(template: int, attribute: str, text: str, answer: Callable[[Row], Answer]) -> Asked:
        return template, "single-query", attribute, text, None, answer

    yield ask(5, "scp_code", "What diagnostic symptoms does this ECG show?", lambda row: listed(row, DIAGNOSES))
    yield ask(7, "scp_code", "What rhythm-related symptoms does this ECG show?", lambda row: listed(row, RHYTHMS))
    yield ask(22, "heart_axis", "What direction is this ECG deviated to?", lambda row: (a := axis_of(row)) and (a,))
    yield ask(25, "stage_of_infarction", "What stage of myocardial infarction does this ECG show?", stages)
    yield ask(
        32,
        "noise",
        "What kinds of noises does this ECG show?",
        lambda row: tuple(name for column, name in NOISES.items() if row[column].strip()) or ("none",),
    )
    what_range = f"What range does the {RR} of this ECG fall in?"
    yield ask(41, "numeric_feature", what_range, lambda row: (r := _rr_range(row)) and (r,))
    yield ask(38, "extra_systole", "What kinds of extra systoles does this ECG show?", extrasystoles)


def _verify(template: int, attribute: str, what: str, judge: Callable[[Row], bool | None], text: str = "") -> Asked:
    def answer(row: Row) -> Answer:
        return None if (state := judge(row)) is None else ("yes",) if state else ("no",)

    return template, "single-verify", attribute, text or f"Does this ECG show {what}?", [what], answer


def _choose(template: int, attribute: str, stem: str, pair: tuple[str, ...], answer: Callable[[Row], Answer]) -> Asked:
    """Which ... does this ECG show, A or B?; what is neither counts as none."""

    def among(row: Row) -> Answer:
        said = answer(row)
        return None if said is None else tuple(name for name in said if name in pair) or ("none",)

    return template, "single-choose", attribute, f"{stem} does this ECG show, {' or '.join(pair)}?", list(pair), among


def measure(row: Row, ref: RecordRef) -> Row:
    """The row with what the recording itself tells: its median RR interval in ms, "" where that cannot be read."""
    try:
        record = read_record(ref)
    except RecordError:
        return {**row, RR: ""}
    rr = rr_interval(resample(record.signal, record.fs, R_PEAK_HZ), R_PEAK_HZ)
    return {**row, RR: "" if np.isnan(rr) else f"{rr:.0f}"}


def _rr_range(row: Row) -> str | None:
    """Where the measured RR interval lies; None where it was not measured, or lies too near an end to tell."""
    low, high = NORMAL_RANGES_MS["rr interval"]
    rr = float(row.get(RR) or "nan")
    if np.isnan(rr) or min(abs(60_000 / rr - 60_000 / end) for end in (low, high)) < RATE_MARGIN:
        return None
    return RANGES[int(rr >= low) + int(rr > high)]


def derive(rows: list[Row], seed: int, balance: bool = True) -> list[dict]:
    """The questions of one split in ECG-QA's JSON form.

    balance: yes and no in equal numbers, and no other answer more than half of the time; else every question is asked
    about every recording that the labels answer it for, as sensitivity and specificity want; noise by lead is left out.
    """
    rng = np.random.default_rng(seed)
    found = []
    for question_id, (template, kind, attribute, text, named, answer) in enumerate(questions()):
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, row in enumerate(rows):
            if (said := answer(row)) is not None:
                groups.setdefault(said, []).append(i)
        is_verify = kind == "single-verify"
        if not balance and template == NOISE_IN_LEAD:
            continue
        if len(groups) < 2 or (balance and is_verify and len(groups.get(("yes",), [])) < MIN_POSITIVES):
            continue
        if balance:
            want = 2 * len(groups.get(("yes",), [])) if is_verify else len(rows)
            chosen = set(balanced(groups, want, 0.5, rng))
        else:
            chosen = set(range(len(rows)))
        found += [
            {
                "template_id": template,
                "question_id": question_id,
                "question_type": kind,
                "attribute_type": attribute,
                "question": text,
                "answer": list(said),
                "ecg_id": [int(rows[i]["ecg_id"])],
                "attribute": named,
                "derived": True,
            }
            for said, members in sorted(groups.items())
            for i in sorted(members)
            if i in chosen
        ]
    return [{"sample_id": i, **row} for i, row in enumerate(found)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect derive", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of PTB-XL")
    parser.add_argument("--out", type=Path, required=True, help="folder for train.json, valid.json and test.json")
    parser.add_argument("--train-folds", default="1-7")
    parser.add_argument("--valid-folds", default="8")
    parser.add_argument("--test-folds", default="9-10")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument(
        "--unbalanced", action="store_true", help="ask about every recording, for sensitivity and specificity"
    )
    parser.add_argument(
        "--measure", action="store_true", help="read the recordings and ask about their RR interval as well"
    )
    given = parser.parse_args(arguments)
    make_folder("--out", given.out)
    folds = {split: parse_folds(getattr(given, f"{split}_folds")) for split in ("train", "valid", "test")}
    for one, other in combinations(folds, 2):
        if both := folds[one] & folds[other]:
            raise UserError(f"fold {min(both)} stands in --{one}-folds and --{other}-folds")
    path = given.source / DATABASE_NAME
    if not path.is_file():
        raise UserError(f"{path}: no such file; --source names the folder of PTB-XL")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if given.measure:
        refs = load_database(given.source)
        rows = [
            measure(row, refs[str(int(row["ecg_id"]))])
            for row in tqdm(rows, desc="RR intervals", unit="ecg", mininterval=1)
        ]
    for split in ("train", "valid", "test"):
        members = [row for row in rows if int(float(row["strat_fold"])) in folds[split]]
        derived = derive(members, given.seed, not given.unbalanced)
        (given.out / f"{split}.json").write_text(json.dumps(derived, indent=1) + "\n")
        print(f"{given.out}/{split}.json: {len(derived)} questions")


if __name__ == "__main__":
    exit_on_user_error(main)

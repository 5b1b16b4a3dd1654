"""Questions in ECG-QA's form derived from PTB-XL's own labels: ``python -m data_provider.derived_questions --help``.

ECG-QA's published questions cover chosen recordings; these cover any part of PTB-XL, with ECG-QA's template numbers and
answer names (arXiv 2306.15681). They are marked ``"derived": true`` and are not ECG-QA's questions: do not compare
scores on them with published ones. Yes and no are balanced per question within each split.
"""

import argparse
import ast
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from data_provider.ptbxl import DATABASE_NAME, parse_folds
from data_provider.simulator.questions import balanced
from utils.errors import UserError, exit_on_user_error

DIAGNOSES = {
    "CLBBB": "complete left bundle branch block", "CRBBB": "complete right bundle branch block",
    "IRBBB": "incomplete right bundle branch block", "LAFB": "left anterior fascicular block",
    "1AVB": "first degree av block", "LVH": "left ventricular hypertrophy",
    "LAO/LAE": "left atrial overload/enlargement", "ASMI": "myocardial infarction in anteroseptal leads",
    "AMI": "myocardial infarction in anterior leads", "IMI": "myocardial infarction in inferior leads",
    "NDT": "non-diagnostic t abnormalities", "NST_": "non-specific st changes", "ISC_": "non-specific ischemic",
    "LNGQT": "long qt-interval", "DIG": "digitalis effect",
}  # fmt: skip
RHYTHMS = {
    "SR": "sinus rhythm", "SBRAD": "sinus bradycardia", "STACH": "sinus tachycardia", "SARRH": "sinus arrhythmia",
    "AFIB": "atrial fibrillation", "AFLT": "atrial flutter", "PACE": "normal functioning artificial pacemaker",
}  # fmt: skip
FORMS = {
    "ABQRS": "abnormal qrs", "PVC": "ventricular premature complex", "PAC": "atrial premature complex",
    "INVT": "inverted t-waves", "LOWT": "low amplitude t-wave", "STD_": "non-specific st depression",
    "LVOLT": "low qrs voltages in the frontal and horizontal leads", "QWAVE": "q waves present",
    "VCLVH": "voltage criteria (qrs) for left ventricular hypertrophy",
}  # fmt: skip
AXES = {
    "MID": "normal heart axis", "LAD": "left axis deviation", "ALAD": "left axis deviation",
    "RAD": "right axis deviation", "ARAD": "right axis deviation",
}  # fmt: skip
NOISES = {
    "baseline_drift": "baseline drift", "static_noise": "static noise", "burst_noise": "burst noise",
    "electrodes_problems": "electrodes problems",
}  # fmt: skip
SURE = 50  # percent; a diagnosis of lower stated likelihood is neither asked about nor denied
MIN_POSITIVES = 3  # in a split, for a question to be asked there

Row = dict[str, str]
Answer = tuple[str, ...] | None


def _codes(row: Row) -> dict[str, float]:
    return ast.literal_eval(row["scp_codes"])


def _states(row: Row, code: str) -> bool | None:
    """Whether the labels say so; None where they leave it open.

    Form and rhythm statements carry likelihood 0 and are meant; a diagnosis of likelihood 0 is of unknown likelihood.
    With a code on the record that has no name here (an infarct elsewhere, say) nothing is denied.
    """
    codes = _codes(row)
    if code not in codes:
        return None if set(codes) - {*DIAGNOSES, *RHYTHMS, *FORMS, "NORM"} else False
    sure = codes[code] >= SURE or (codes[code] == 0 and code not in DIAGNOSES)
    return True if sure else None


def _listed(row: Row, names: dict[str, str]) -> Answer:
    states = {name: _states(row, code) for code, name in names.items()}
    if None in states.values():
        return None
    return tuple(dict.fromkeys(name for name, state in states.items() if state)) or ("none",)


def questions() -> Iterator[tuple[int, str, str, str, Callable[[Row], Answer]]]:
    """``(template_id, question_type, attribute_type, question, answer of a database row)``."""

    def verify(judge: Callable[[Row], bool | None]) -> Callable[[Row], Answer]:
        return lambda row: None if (state := judge(row)) is None else ("yes",) if state else ("no",)

    for code, name in {**DIAGNOSES, **RHYTHMS, **FORMS}.items():
        yield (
            1,
            "single-verify",
            "scp_code",
            f"Does this ECG show symptoms of {name}?",
            verify(lambda row, code=code: _states(row, code)),
        )
    for axis in dict.fromkeys(AXES.values()):
        yield (
            20,
            "single-verify",
            "heart_axis",
            f"Does this ECG show {axis}?",
            verify(lambda row, axis=axis: AXES[row["heart_axis"]] == axis if row["heart_axis"] in AXES else None),
        )
    for column, name in NOISES.items():
        yield (
            27,
            "single-verify",
            "noise",
            f"Does this ECG show {name}?",
            verify(lambda row, column=column: bool(row[column].strip())),
        )
    yield (
        35,
        "single-verify",
        "extra_systole",
        "Does this ECG show any kind of extra systoles?",
        verify(lambda row: bool(row["extra_beats"].strip())),
    )
    yield 5, "single-query", "scp_code", "What diagnostic symptoms does this ECG show?", lambda r: _listed(r, DIAGNOSES)
    yield (
        7,
        "single-query",
        "scp_code",
        "What rhythm-related symptoms does this ECG show?",
        lambda r: _listed(r, RHYTHMS),
    )
    yield (
        22,
        "single-query",
        "heart_axis",
        "What direction is this ECG deviated to?",
        lambda row: (AXES[row["heart_axis"]],) if row["heart_axis"] in AXES else None,
    )
    yield (
        32,
        "single-query",
        "noise",
        "What kinds of noises does this ECG show?",
        lambda row: tuple(name for column, name in NOISES.items() if row[column].strip()) or ("none",),
    )
    names = list(dict.fromkeys(AXES.values()))
    for first, second in ((names[0], names[1]), (names[1], names[2]), (names[0], names[2])):
        yield (
            21,
            "single-choose",
            "heart_axis",
            f"Which cardiac axis does this ECG show, {first} or {second}?",
            (
                lambda row, pair=(first, second): (
                    None
                    if row["heart_axis"] not in AXES
                    else (AXES[row["heart_axis"]],)
                    if AXES[row["heart_axis"]] in pair
                    else ("none",)
                )
            ),
        )
    for a, b in (("SBRAD", "STACH"), ("AFIB", "SR"), ("SARRH", "SR")):
        pair = {a: RHYTHMS[a], b: RHYTHMS[b]}
        text = f"Which rhythm-related symptom does this ECG show, {RHYTHMS[a]} or {RHYTHMS[b]}?"
        yield 10, "single-choose", "scp_code", text, lambda row, pair=pair: _listed(row, pair)


def derive(rows: list[Row], seed: int) -> list[dict]:
    """The questions of one split in ECG-QA's JSON form."""
    rng = np.random.default_rng(seed)
    found = []
    for question_id, (template, kind, attribute, text, answer) in enumerate(questions()):
        groups: dict[tuple[str, ...], list[int]] = {}
        for i, row in enumerate(rows):
            if (said := answer(row)) is not None:
                groups.setdefault(said, []).append(i)
        is_verify = kind == "single-verify"
        if len(groups) < 2 or (is_verify and len(groups.get(("yes",), [])) < MIN_POSITIVES):
            continue
        # Yes and no in equal numbers; of the other kinds all, but no answer more than half of the time.
        positives = len(groups.get(("yes",), []))
        want = 2 * positives if is_verify else len(rows)
        chosen = set(balanced(groups, want, 0.5, rng))
        found += [
            {
                "template_id": template, "question_id": question_id, "question_type": kind,
                "attribute_type": attribute, "question": text, "answer": list(said),
                "ecg_id": [int(rows[i]["ecg_id"])], "derived": True,
            }
            for said, members in sorted(groups.items()) for i in sorted(members) if i in chosen
        ]  # fmt: skip
    return [{"sample_id": i, **row} for i, row in enumerate(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of PTB-XL")
    parser.add_argument("--out", type=Path, required=True, help="folder for train.json, valid.json and test.json")
    parser.add_argument("--train-folds", default="1-7")
    parser.add_argument("--valid-folds", default="8")
    parser.add_argument("--test-folds", default="9-10")
    parser.add_argument("--seed", type=int, default=42)
    arguments = parser.parse_args()
    path = arguments.source / DATABASE_NAME
    if not path.is_file():
        raise UserError(f"{path}: no such file; --source names the folder of PTB-XL")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        folds = parse_folds(getattr(arguments, f"{split}_folds"))
        derived = derive([row for row in rows if int(float(row["strat_fold"])) in folds], arguments.seed)
        (arguments.out / f"{split}.json").write_text(json.dumps(derived, indent=1) + "\n")
        print(f"{arguments.out}/{split}.json: {len(derived)} questions")


if __name__ == "__main__":
    exit_on_user_error(main)

"""Questions in ECG-QA's form derived from PTB-XL's own labels: ``python -m data_provider.derived_questions --help``.

ECG-QA's published questions cover chosen recordings; these cover any part of PTB-XL, with ECG-QA's template numbers and
answer names (arXiv 2306.15681). They are marked ``"derived": true`` and are not ECG-QA's questions: do not compare
scores on them with published ones. Yes and no are balanced per question within each split; ``--unbalanced`` asks about
every recording.
"""

import argparse
import ast
import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from data_provider.ptbxl import DATABASE_NAME, parse_folds
from data_provider.record import LEADS
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
# infarction_stadium1 and 2; between two stages ("Stadium II-III") nothing is asked.
STAGES = {
    "Stadium I": "early stage of myocardial infarction", "Stadium II": "middle stage of myocardial infarction",
    "Stadium III": "old stage of myocardial infarction", "unknown": "unknown stage of myocardial infarction",
}  # fmt: skip
NO_STAGE = "none of myocardial infarction"
EXTRASYSTOLES = {"SVES": "supraventricular extrasystoles", "VES": "ventricular extrasystoles", "ES": "extrasystoles"}
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


def _stages(row: Row) -> Answer:
    cells = [cell for column in ("infarction_stadium1", "infarction_stadium2") if (cell := row[column].strip())]
    if not set(cells) <= STAGES.keys():
        return None
    return tuple(dict.fromkeys(STAGES[cell] for cell in cells)) or (NO_STAGE,)


def _extrasystoles(row: Row) -> Answer:
    """ "1ES" and the like count beats of a kind that is not told."""
    kind = row["extra_beats"].strip().lstrip("0123456789")
    return None if kind and kind not in EXTRASYSTOLES else (EXTRASYSTOLES.get(kind, "none"),)


def _is_extrasystole(row: Row, kind: str) -> bool | None:
    said = _extrasystoles(row)
    return None if said in (None, (EXTRASYSTOLES["ES"],)) else said == (kind,)


def noisy_leads(cell: str) -> set[str] | None:
    """The leads that a noise column of PTB-XL names ("I-AVR", "V2,3", "alles"); None where it cannot be read."""
    places = {lead.upper(): k for k, lead in enumerate(LEADS)}
    found: set[str] = set()
    for part in re.split(r"[,.;]", cell.upper()):
        first, _, last = (end.strip() for end in part.partition("-"))
        if first == "ALLES":
            return set(LEADS)
        if first.isdigit():
            first = f"V{first}"
        if not first:
            continue
        if first not in places or (last or first) not in places:
            return None
        found |= set(LEADS[places[first] : places[last or first] + 1])
    return found


def _noise_in(row: Row, column: str, lead: str) -> bool | None:
    leads = noisy_leads(row[column])
    return None if leads is None else lead in leads


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
        for lead in LEADS if column != "electrodes_problems" else ():
            yield (
                26,
                "single-verify",
                "noise",
                f"Does this ECG show {name} in lead {lead}?",
                verify(lambda row, column=column, lead=lead: _noise_in(row, column, lead)),
            )
    for stage in STAGES.values():
        yield (
            23,
            "single-verify",
            "stage_of_infarction",
            f"Does this ECG show {stage}?",
            verify(lambda row, stage=stage: None if (said := _stages(row)) is None else stage in said),
        )
    yield 25, "single-query", "stage_of_infarction", "What stage of myocardial infarction does this ECG show?", _stages
    yield (
        35,
        "single-verify",
        "extra_systole",
        "Does this ECG show any kind of extra systoles?",
        verify(lambda row: bool(row["extra_beats"].strip())),
    )
    for kind in ("SVES", "VES"):
        yield (
            36,
            "single-verify",
            "extra_systole",
            f"Does this ECG show {EXTRASYSTOLES[kind]}?",
            verify(lambda row, kind=kind: _is_extrasystole(row, EXTRASYSTOLES[kind])),
        )
    yield 38, "single-query", "extra_systole", "What kinds of extra systoles does this ECG show?", _extrasystoles
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


def derive(rows: list[Row], seed: int, balance: bool = True) -> list[dict]:
    """The questions of one split in ECG-QA's JSON form.

    balance: yes and no in equal numbers, and no other answer more than half of the time; else every question is asked
    about every recording that the labels answer it for, which sensitivity and specificity want.
    """
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
        if balance:
            want = 2 * len(groups.get(("yes",), [])) if is_verify else len(rows)
            chosen = set(balanced(groups, want, 0.5, rng))
        else:
            chosen = set(range(len(rows)))
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
    parser.add_argument(
        "--unbalanced", action="store_true", help="ask about every recording, for sensitivity and specificity"
    )
    arguments = parser.parse_args()
    path = arguments.source / DATABASE_NAME
    if not path.is_file():
        raise UserError(f"{path}: no such file; --source names the folder of PTB-XL")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        folds = parse_folds(getattr(arguments, f"{split}_folds"))
        derived = derive(
            [row for row in rows if int(float(row["strat_fold"])) in folds], arguments.seed, not arguments.unbalanced
        )
        (arguments.out / f"{split}.json").write_text(json.dumps(derived, indent=1) + "\n")
        print(f"{arguments.out}/{split}.json: {len(derived)} questions")


if __name__ == "__main__":
    exit_on_user_error(main)

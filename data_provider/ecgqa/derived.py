"""Questions in ECG-QA's form derived from PTB-XL's own labels: ``cardiolect derive --help``.

ECG-QA's published questions cover a selection of recordings; these cover any part of PTB-XL, with ECG-QA's template
numbers and answer names (arXiv 2306.15681). They are marked ``"derived": true`` and are not ECG-QA's questions: do not
compare scores on them with published ones. Yes and no are balanced for each question within each split;
``--unbalanced`` asks every question about every recording.
"""

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, load_labels, parse_folds
from cardiolect.data_provider.ecgqa.balance import balanced
from cardiolect.data_provider.ecgqa.labels import (
    AXES,
    EXTRASYSTOLES,
    NOISES,
    STAGES,
    UNKNOWN_STAGE,
    Answer,
    Row,
    agreed_extrasystoles,
    any_extrasystole,
    axis_of,
    diagnoses,
    has_code,
    has_extrasystole,
    has_noise,
    has_noise_in,
    has_stage,
    names_of_codes,
    noises,
    rhythms,
    stages,
)
from cardiolect.data_provider.ecgqa.r_peaks import rr_interval
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, WITHIN, range_of
from cardiolect.data_provider.ecgqa.scp_statements import DIAGNOSES, FORMS, RHYTHMS
from cardiolect.data_provider.ecgqa.templates import ANY_EXTRASYSTOLE, NOISE_IN_LEAD, TEMPLATES, VERIFY
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError, check_overwriting, make_folder
from cardiolect.utils.progress import progress

RR = "rr interval"  # a column that `measure` adds
R_PEAK_HZ = 250
RATE_MARGIN = 1.5  # beats per minute
SPLITS = ("train", "valid", "test")
MIN_POSITIVES = 3  # recordings per split with the answer yes; below, a question is not asked


class LabelQuestion(NamedTuple):
    """A question about any recording. answer: from a row of PTB-XL's database; None if the labels leave it open."""

    template_id: int
    question_type: str
    attribute_type: str
    text: str
    attributes: list[str] | None
    answer: Callable[[Row], Answer]

    def item(self, row: Row, answer: tuple[str, ...]) -> dict[str, Any]:
        """The question about a recording in ECG-QA's JSON form."""
        return {
            "template_id": self.template_id,
            "question_type": self.question_type,
            "attribute_type": self.attribute_type,
            "question": self.text,
            "answer": list(answer),
            "ecg_id": [int(row["ecg_id"])],
            "attribute": self.attributes,
            "derived": True,
        }


def questions() -> Iterator[LabelQuestion]:
    """All questions that labels can answer."""
    axes = list(dict.fromkeys(AXES.values()))
    for code, name in {**DIAGNOSES, **RHYTHMS, **FORMS}.items():
        # ECG-QA asks about doubtful codes too ("not sure"); how sure a reader was is nothing in the signal.
        yield _verify(1, [name], lambda row, code=code: has_code(row, code))
    for axis in axes:
        yield _verify(20, [axis], lambda row, axis=axis: None if (a := axis_of(row)) is None else a == axis)
    yield _verify(39, [RR], lambda row: None if (r := rr_range(row)) is None else r == WITHIN)
    for column, name in NOISES.items():
        yield _verify(27, [name], lambda row, column=column: has_noise(row, column))
        for lead in LEADS if column != "electrodes_problems" else ():
            yield _verify(
                NOISE_IN_LEAD,
                [name],
                lambda row, column=column, lead=lead: has_noise_in(row, column, lead),
                TEMPLATES[NOISE_IN_LEAD].text(name, lead),
            )
    for stage in STAGES.values():
        if stage != UNKNOWN_STAGE:  # an age that a reader left open is nothing in the signal
            yield _verify(23, [stage], lambda row, stage=stage: has_stage(row, stage))
    yield _verify(35, [ANY_EXTRASYSTOLE], any_extrasystole)
    for kind in (EXTRASYSTOLES["SVES"], EXTRASYSTOLES["VES"]):
        yield _verify(36, [kind], lambda row, kind=kind: has_extrasystole(row, kind))
    yield _query(5, diagnoses)
    yield _query(7, rhythms)
    yield _query(22, lambda row: (a := axis_of(row)) and (a,))
    yield _query(25, stages)
    yield _query(32, noises)
    yield _query(41, lambda row: (r := rr_range(row)) and (r,), RR)
    yield _query(38, agreed_extrasystoles)
    for pair in combinations(axes, 2):
        yield _choose(21, pair, lambda row: (a := axis_of(row)) and (a,))
    for codes in (("SBRAD", "STACH"), ("AFIB", "SR"), ("SARRH", "SR")):
        names = {code: RHYTHMS[code] for code in codes}
        yield _choose(10, tuple(names.values()), lambda row, names=names: names_of_codes(row, names))


def _question(
    template_id: int, text: str, attributes: list[str] | None, answer: Callable[[Row], Answer]
) -> LabelQuestion:
    template = TEMPLATES[template_id]
    return LabelQuestion(template_id, template.question_type, template.attribute_type, text, attributes, answer)


def _verify(
    template_id: int, attributes: list[str], judge: Callable[[Row], bool | None], text: str = ""
) -> LabelQuestion:
    def answer(row: Row) -> Answer:
        return None if (state := judge(row)) is None else ("yes",) if state else ("no",)

    return _question(template_id, text or TEMPLATES[template_id].text(*attributes), attributes, answer)


def _query(template_id: int, answer: Callable[[Row], Answer], *attributes: str) -> LabelQuestion:
    return _question(template_id, TEMPLATES[template_id].text(*attributes), None, answer)


def _choose(template_id: int, pair: tuple[str, ...], answer: Callable[[Row], Answer]) -> LabelQuestion:
    """A choice of two; a recording that has neither is answered by none."""

    def choose(row: Row) -> Answer:
        names = answer(row)
        return None if names is None else tuple(name for name in names if name in pair) or ("none",)

    return _question(template_id, TEMPLATES[template_id].text(*pair), list(pair), choose)


def measure(row: Row, ref: RecordRef) -> Row:
    """The row with the median RR interval of its recording in ms, "" if it cannot be measured."""
    try:
        record = read_record(ref)
    except RecordError:
        return {**row, RR: ""}
    rr = rr_interval(resample(record.signal, record.fs, R_PEAK_HZ), R_PEAK_HZ)
    return {**row, RR: "" if np.isnan(rr) else f"{rr:.0f}"}


def rr_range(row: Row) -> str | None:
    """The range of the measured RR interval; None if it was not measured or is too close to an end of the range."""
    rr = float(row.get(RR) or "nan")
    if np.isnan(rr) or min(abs(60_000 / rr - 60_000 / end) for end in NORMAL_RANGES_MS[RR]) < RATE_MARGIN:
        return None
    return range_of(RR, rr)


def derive(
    rows: list[Row],
    seed: int,
    balance: bool = True,
    left_open: Counter[str] | None = None,
    keep_alike: bool = False,
) -> list[dict]:
    """The questions of one split in ECG-QA's JSON form.

    balance: yes and no equally often, and no other answer more than half of the time. Otherwise every question is
    asked about every recording whose labels answer it, which sensitivity and specificity need; questions about noise in
    a single lead are left out. left_open: counts by attribute type, to which what the labels leave open is added.
    keep_alike: also ask questions to which all recordings have the same answer, unless balanced.
    """
    rng = np.random.default_rng(seed)
    items = []
    for question_id, question in enumerate(questions()):
        groups: dict[tuple[str, ...], list[int]] = {}
        n_open = 0
        if not balance and question.template_id == NOISE_IN_LEAD:
            continue
        for i, row in enumerate(rows):
            if (answer := question.answer(row)) is not None:
                groups.setdefault(answer, []).append(i)
            else:
                n_open += 1
        is_verify = question.question_type == VERIFY
        if len(groups) < (1 if keep_alike and not balance else 2) or (
            balance and is_verify and len(groups.get(("yes",), [])) < MIN_POSITIVES
        ):
            continue
        if left_open is not None:
            left_open[question.attribute_type] += n_open
        if balance:
            want = 2 * len(groups.get(("yes",), [])) if is_verify else len(rows)
            chosen = set(balanced(groups, want, 0.5, rng))
        else:
            chosen = set(range(len(rows)))
        items += [
            {"question_id": question_id, **question.item(rows[i], answer)}
            for answer, members in sorted(groups.items())
            for i in sorted(members)
            if i in chosen
        ]
    return [{"sample_id": i, **item} for i, item in enumerate(items)]


def add_folds(parser: Parser) -> None:
    """Add the options that `folds_of` reads."""
    for split, folds in zip(SPLITS, ("1-7", "8", "9-10"), strict=True):
        parser.add_argument(f"--{split}-folds", default=folds, help=f"folds of PTB-XL for {split}.json")


def folds_of(args: Namespace) -> dict[str, frozenset[int]]:
    """Split -> its folds. Raises `UserError` if two splits share one."""
    folds = {split: parse_folds(getattr(args, f"{split}_folds"), f"--{split}-folds") for split in SPLITS}
    for one, other in combinations(folds, 2):
        if both := folds[one] & folds[other]:
            raise UserError(f"fold {min(both)} is in both --{one}-folds and --{other}-folds")
    return folds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect derive", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of PTB-XL")
    parser.add_argument("--out", type=Path, required=True, help="folder for train.json, valid.json and test.json")
    add_folds(parser)
    parser.add_argument("--seed", type=int, default=42, help="seed for the recordings that questions are about")
    parser.add_argument(
        "--unbalanced",
        action="store_true",
        help="ask every question about every recording, for sensitivity and specificity",
    )
    parser.add_argument(
        "--keep-alike",
        action="store_true",
        help="with --unbalanced: also questions to which a split has only one answer, for cardiolect calibrate",
    )
    parser.add_argument(
        "--measure", action="store_true", help="read the recordings to ask about their RR interval as well"
    )
    parser.add_argument("--force", action="store_true", help="replace other questions in OUT")
    args = parser.parse_args(arguments)
    if args.keep_alike and not args.unbalanced:
        raise UserError("--keep-alike: balanced questions have both answers; add --unbalanced")
    make_folder("--out", args.out)
    folds = folds_of(args)
    rows = load_labels(args.source / DATABASE_NAME, "--source")
    if args.measure:
        refs = load_database(args.source, "--source")
        rows = [
            measure(row, refs[str(int(row["ecg_id"]))])
            for row in progress(rows, desc="RR intervals", unit="ecg", mininterval=1)
        ]
    written, said = {}, {}
    for split in SPLITS:
        members = [row for row in rows if int(float(row["strat_fold"])) in folds[split]]
        left_open: Counter[str] = Counter()
        derived = derive(members, args.seed, not args.unbalanced, left_open, args.keep_alike)
        written[f"{split}.json"] = json.dumps(derived, indent=1) + "\n"
        kinds = ", ".join(f"{kind} {n}" for kind, n in left_open.most_common() if n)
        unasked = f"; not asked, as the labels leave it open: {left_open.total()} ({kinds})" if kinds else ""
        said[f"{split}.json"] = f"{len(derived)} questions{unasked}"
    others = [name for name, text in written.items() if _holds_other(args.out / name, text)]
    check_overwriting(args.out, others, args.force)
    for name, text in written.items():
        (args.out / name).write_text(text)
        print(f"{args.out}/{name}: {said[name]}{'; replaced other ones' if name in others else ''}")


def _holds_other(path: Path, text: str) -> bool:
    return path.exists() and path.read_bytes() != text.encode()


if __name__ == "__main__":
    run_command(main)

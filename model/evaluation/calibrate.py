"""Calibrate the yes-or-no answers of a checkpoint on validation recordings: ``cardiolect calibrate --help``.

Every question is put to the model about every validation recording, and answered by ranking yes against no. The margins
are mapped to probabilities of yes (`utils.metrics.platt`), which calibration.json in the checkpoint's folder keeps. The
recordings are added to the checkpoint's list of seen ones, so no evaluation scores their patients.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from cardiolect.data_provider.audit.seen import read_seen, save_seen, take_over_seen
from cardiolect.data_provider.corpora.databases import is_manifest
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_labels, parse_folds
from cardiolect.data_provider.ecgqa.derived import questions
from cardiolect.data_provider.ecgqa.templates import VERIFY
from cardiolect.data_provider.examples import QA_TASK, Example
from cardiolect.data_provider.splits import load_splits
from cardiolect.model.evaluation.answers import answers
from cardiolect.model.evaluation.condition_inputs import inputs_under
from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.lengths import fitting, lengths_line, record_seconds
from cardiolect.model.evaluation.neighbours import prepare_ecgs
from cardiolect.model.evaluation.settings import EvalSettings
from cardiolect.model.inference.calibration import CERTAIN, Calibration, QuestionMap
from cardiolect.model.llm.checkpoint import load_checkpoint
from cardiolect.model.llm.checkpoint_folder import CALIBRATION, add_info, bits_of, fingerprint, read_info
from cardiolect.utils.command_line import Parser, file_path, integer, run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import NO, YES, AnswerLists, calibration
from cardiolect.utils.metrics.platt import PlattMaps, fit_platt
from cardiolect.utils.metrics.verify import yes_or_no
from cardiolect.utils.progress import progress
from cardiolect.utils.settings import need_path

SURE = 0.75  # the least probability of an answer that `Calibration.is_sure` calls sure
YES_AND_NO = AnswerLists({}, {}, [(YES,), (NO,)])


def calibrate(settings: EvalSettings, folds: str) -> Calibration:
    """Write calibration.json into the checkpoint's folder and return what it holds.

    settings: CHECKPOINT, and the validation split of DATA_ROOT (``valid_data``, ``valid_folds``). folds: as for
    ``valid_folds``, for the record. Raises `UserError` if the checkpoint was trained on one of these folds, if what it
    has seen is not known, or if the questions cannot be calibrated on.
    """
    folder, info = settings.checkpoint, read_info(settings.checkpoint)
    trained_on = parse_folds(info.get("settings", {}).get("train_folds") or "")
    if both := trained_on & parse_folds(folds, "--folds"):
        raise UserError(f"--folds {folds}: {folder} was trained on fold {min(both)}; name validation folds")
    seen = read_seen(folder)
    if seen.unknown != seen.record.get("unknown", ""):
        raise UserError(f"--checkpoint {folder}: {seen.unknown}; copy the whole checkpoint again")
    examples, left_out = _yes_or_no(settings)
    checkpoint = load_checkpoint(folder, settings.precision, load_bits=settings.load_bits, device=settings.device)
    refs = [ref for e in examples for ref in e.records]
    ecgs = prepare_ecgs(checkpoint, refs, settings, record_seconds(checkpoint.info, settings))
    readable = [e for e in examples if all(ref in ecgs for ref in e.records)]
    left_out["about recordings that cannot be read"] = len(examples) - len(readable)
    examples, lengths = fitting(checkpoint, readable, ecgs, settings, YES_AND_NO)
    left_out["too long for the language model"] = len(readable) - len(examples)
    if line := lengths_line(lengths):
        print(line)
    if not examples:
        raise UserError(f"--data, --questions: no yes-or-no question about a validation recording is left ({left_out})")
    asked = list(dict.fromkeys(e.records for e in examples))
    inputs = inputs_under(WITH_ECG, asked, asked, ecgs, settings)
    margins = np.empty(len(examples))
    given = answers(checkpoint, examples, inputs, settings, YES_AND_NO)
    for i, answer in progress(given, total=len(examples), desc="validation answers", unit="answer", mininterval=1):
        margins[i] = answer.yes_margin
    is_yes = np.array([yes_or_no(e.answers) == YES for e in examples])
    asked_texts = [e.question for e in examples]
    maps = fit_platt(margins, is_yes, asked_texts, [e.patients for e in examples])
    validation = {
        "folds": folds,
        "recordings": len({ref.record_id for e in examples for ref in e.records}),
        "patients": len({patient for e in examples for patient in e.patients}),
        "answers": len(examples),
        "left_out": {why: n for why, n in left_out.items() if n},
        "not_asked": len(set(trained_questions(info)) - set(asked_texts)),
    }
    found = _calibration(fingerprint(folder), maps, margins, is_yes, asked_texts, validation)
    # Before the calibration, which must not exist without it.
    record = save_seen(folder, [ref for e in examples for ref in e.records], seen.marks)
    take_over_seen(folder)
    add_info(folder, seen={**(seen.record or {"unrecorded": "checkpoint"}), **record})
    found.write(folder)
    return found


def _yes_or_no(settings: EvalSettings) -> tuple[list[Example], Counter[str]]:
    """The yes-or-no questions of the validation split, and why others are left out, with their numbers."""
    kept, left_out = [], Counter()
    for example in load_splits(settings, ("valid",), QA_TASK)["valid"].examples:
        if not example.question_type.endswith("verify"):
            left_out["other kinds of questions"] += 1
        elif yes_or_no(example.answers) is None:
            left_out["neither yes nor no"] += 1
        else:
            kept.append(example)
    return kept, left_out


def _calibration(
    weights: str,
    maps: PlattMaps,
    margins: np.ndarray,
    is_yes: np.ndarray,
    asked_texts: Sequence[str],
    validation: Mapping[str, Any],
) -> Calibration:
    names = np.array(asked_texts, dtype=object)
    lines = {}
    for question, intercept in maps.intercepts.items():
        rows = names == question
        n, positives = int(rows.sum()), int(is_yes[rows].sum())
        mean = float(expit(maps.slope * margins[rows] + intercept).mean())
        prior = float(logit(np.clip(mean, 1e-6, 1 - 1e-6)))
        lines[question] = QuestionMap(maps.slope, intercept, n, positives, positives / n, prior)
    figures = {
        "penalty": maps.penalty,
        "log_loss": {f"{penalty:g}": loss for penalty, loss in maps.log_loss.items()},
        "uncalibrated": _figures(margins, is_yes),
        "calibrated": _figures(maps.held_out, is_yes),
        "sure": _sure(maps.held_out, is_yes, [lines[name] for name in names]),
    }
    shared = {"a": maps.slope, "b": maps.intercept}
    return Calibration(weights, lines, shared, SURE, dict(validation), figures)


def _sure(log_odds: np.ndarray, is_yes: np.ndarray, lines: Sequence[QuestionMap]) -> dict[str, float]:
    """Which answers `Calibration.is_sure` would call sure, and how often these and the others are right."""
    right, prior = (log_odds >= 0) == is_yes, np.array([line.prior_log_odds for line in lines])
    both_seen = np.array([0 < line.positives < line.n for line in lines])
    sure = both_seen & (expit(np.abs(log_odds)) >= np.where((log_odds >= 0) == (log_odds >= prior), SURE, CERTAIN))
    return {
        "share": float(sure.mean()),
        "right": float(right[sure].sum() / max(sure.sum(), 1)),
        "others_right": float(right[~sure].sum() / max((~sure).sum(), 1)),
    }


def _figures(log_odds: np.ndarray, is_yes: np.ndarray) -> dict[str, float]:
    found = calibration(np.maximum(expit(log_odds), expit(-log_odds)), (log_odds >= 0) == is_yes)
    return {key: found[key] for key in ("accuracy", "mean_confidence", "ece", "brier")}


def derived_questions(data: Path, folds: str, trained: Collection[str]) -> list[dict[str, Any]]:
    """Every yes-or-no question that PTB-XL's labels answer about every recording of the folds, in ECG-QA's JSON form.

    Unlike those of ``cardiolect derive`` they may have the same answer for all recordings. trained: the questions to
    ask; empty asks all.
    """
    chosen = parse_folds(folds, "--folds")
    rows = [row for row in load_labels(data / DATABASE_NAME, "--data") if int(float(row["strat_fold"])) in chosen]
    asked = [q for q in questions() if q.question_type == VERIFY and (not trained or q.text in trained)]
    return [q.item(row, answer) for q in asked for row in rows if (answer := q.answer(row)) is not None]


def trained_questions(info: Mapping[str, Any]) -> list[str]:
    """The yes-or-no questions among those that a checkpoint was trained on; empty if its cardiolect.json has none."""
    answered = info.get("majority_answers", {}).get("by_question", {})
    return [question for question, answer in answered.items() if yes_or_no(answer)]


def summary(found: Calibration) -> str:
    """What was fitted, in lines for a terminal."""
    few = sum(min(line.positives, line.n - line.positives) < 5 for line in found.questions.values())
    v, before, after = found.validation, found.figures["uncalibrated"], found.figures["calibrated"]
    lines = [
        f"{v['answers']} answers to {len(found.questions)} yes-or-no questions about {v['recordings']} recordings of "
        f"{v['patients']} patients; {few} of the questions have fewer than 5 of one answer",
        *([f"left out: {', '.join(f'{n} {why}' for why, n in v['left_out'].items())}"] if v["left_out"] else []),
        *(
            [f"{v['not_asked']} more yes-or-no questions of training have no validation answer: they stay as ranked"]
            if v["not_asked"]
            else []
        ),
        f"slope {found.shared['a']:.3f}, penalty {found.figures['penalty']:g}; as ranked, and calibrated without the "
        "patient who is asked about, in percent:",
    ]
    for key, label in (("accuracy", "accuracy"), ("mean_confidence", "mean confidence"), ("ece", "ECE")):
        lines.append(f"  {label:16}{100 * before[key]:6.1f}{100 * after[key]:8.1f}")
    lines.append(f"  {'Brier score':16}{before['brier']:6.3f}{after['brier']:8.3f}")
    sure = found.figures["sure"]
    unsure, others_right, right = (100 * x for x in (1 - sure["share"], sure["others_right"], sure["right"]))
    lines.append(
        f"cardiolect ask calls {unsure:.1f} % of these answers unsure; {others_right:.1f} % of them are right, and "
        f"{right:.1f} % of the others"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser("cardiolect calibrate", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=file_path, required=True, help="folder of the fine-tuned checkpoint")
    parser.add_argument(
        "--data",
        type=file_path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folder of PTB-XL, or of one or several prepared corpora",
    )
    parser.add_argument(
        "--folds", default="", help="validation folds, such as 8; a prepared corpus has its validation split without"
    )
    parser.add_argument(
        "--questions",
        type=file_path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="JSON files of questions and answers; without, those of a prepared corpus, or what PTB-XL's labels answer "
        "of the questions that the checkpoint was trained on, about every recording",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto uses a GPU, if any")
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="fp32", help="as PRECISION of evaluations"
    )
    parser.add_argument("--batch-size", type=integer(1), default=64, help="answers computed at once")
    args = parser.parse_args(arguments)
    info = read_info(args.checkpoint)
    for folder in args.data:
        need_path("--data", folder, "the folder of PTB-XL or of a prepared corpus")
    tables = [folder for folder in args.data if not is_manifest(folder)]
    if tables and not args.folds:
        raise UserError(f"--folds: name the validation folds of {tables[0]}; it is not a prepared corpus with a split")
    if tables and len(args.data) > 1:
        raise UserError(
            f"--data {tables[0]}: is not a prepared corpus, as each of several must be; run cardiolect prepare"
        )
    values = {
        "tasktype": QA_TASK,
        "checkpoint": args.checkpoint,
        "output_dir": args.checkpoint,
        "data_root": args.data,
        "valid_data": args.questions,
        "valid_folds": args.folds,
        "max_valid": 0,
        "held_out": [],
        "corpus_weights": [],
        "answer_mode": "choices",
        "floors": ["none"],
        "load_bits": bits_of(info),
        "device": args.device,
        "precision": args.precision,
        "batch_size": args.batch_size,
    }
    with tempfile.TemporaryDirectory() as folder:
        if not args.questions and tables:
            path = Path(folder) / "derived.json"
            path.write_text(json.dumps(derived_questions(args.data[0], args.folds, trained_questions(info))))
            values["valid_data"] = [path]
        settings = EvalSettings(_env_file=None, **values)
        settings.check_data()
        found = calibrate(settings, args.folds)
    print(f"{summary(found)}\n{CALIBRATION} is in {args.checkpoint}")


if __name__ == "__main__":
    run_command(main)

"""Judge representations without a language model: what probes read of PTB-XL's classes, next to the raw signal.

cardiolect probe FOLDER ... --data PTBXL --train-folds 1-7 --valid-folds 8 --folds 9-10

A linear probe and nearest neighbours for every representation, for encoders fine-tuning too (--finetune), at shares of
the training patients. Probes are fitted on the training folds only, the penalty by cross-validation over patients;
thresholds come from the validation folds only. Encoders that were trained with reports tell the classes without labels
as well (zero-shot). --identify asks whether two recordings are of the same person.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.ecgqa.scp_classes import load_classes
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.splits import check_no_leakage, select_folds
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.fidelity.comparison import names_of
from cardiolect.ecg_tokenizer.fidelity.judging import RAW, Validation, judge
from cardiolect.ecg_tokenizer.fidelity.probe import ProbeData, nearest_scores, probe
from cardiolect.ecg_tokenizer.fidelity.selection import choose, find_records, known_to
from cardiolect.ecg_tokenizer.probe.features import Features, collect, features_of, raw_features, shared
from cardiolect.ecg_tokenizer.probe.finetuning import FineTuning, fine_tune
from cardiolect.ecg_tokenizer.probe.identification import identify, too_few
from cardiolect.ecg_tokenizer.probe.pairs import find_pairs, reports_of
from cardiolect.ecg_tokenizer.probe.table import (
    auroc_table,
    class_tables,
    identification_table,
    pairs_table,
    remarks,
    threshold_tables,
)
from cardiolect.ecg_tokenizer.probe.zero_shot import aligned, scores_of
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.utils.command_line import Parser, integer, number
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.scp_codes import LABEL_TASKS

PROBES = {"linear": None, "nearest": nearest_scores}
TRAINING, VALIDATION, TEST = "training", "validation", "test"


class Side(NamedTuple):
    """Recordings that have a label, and what probes read of them."""

    refs: list[RecordRef]
    data: ProbeData
    seconds: dict[str, float]  # of the features, per ECG


def main(argv: Sequence[str] | None = None) -> None:
    arguments = _parse(argv)
    shares = _shares(arguments.shares)
    loaded = dict(zip(names_of(arguments.tokenizer), map(load_representation, arguments.tokenizer), strict=True))
    if arguments.finetune and not any(isinstance(each, ECGEncoder) for each in loaded.values()):
        raise UserError("--finetune: none of the folders holds an encoder; leave it out")
    features = {RAW: raw_features(arguments.seed)}
    features |= {name: features_of(each, arguments.seed) for name, each in loaded.items()}
    labels = load_classes(arguments.data, arguments.labels)
    classes = sorted(set(LABEL_TASKS[arguments.labels].values()))
    chosen = _choose(arguments)
    compared = _to_identify(arguments)
    reports = arguments.reports and reports_of(arguments.reports, arguments.data, chosen[TEST], arguments.cache_dir)
    make_folder("--out", arguments.out)
    sides = {what: _side(refs, labels, classes, features, arguments, what) for what, refs in chosen.items() if refs}
    train, test, valid = (sides.get(what) for what in (TRAINING, TEST, VALIDATION))
    found = {
        f"{name} {percent(share)}": probe(
            shared(train.data, share, arguments.seed),
            test.data,
            classes,
            arguments.seed,
            scores=scores,
            valid=valid and valid.data,
        )
        for name, scores in PROBES.items()
        for share in shares
    }
    folders = dict(zip(loaded, arguments.tokenizer, strict=True))
    models = aligned(folders)
    if models:
        scorers = {name: scores_of(model, arguments.labels) for name, model in models.items()}
        found |= _zero_shot(scorers, sides, classes, arguments)
    pairs = find_pairs(models, chosen[TEST], reports, arguments.workers, arguments.seed) if reports and models else {}
    if arguments.finetune:
        for share in shares:
            found[f"fine-tuned {percent(share)}"] = _fine_tuned(loaded, folders, sides, share, classes, arguments)
    people = _identified(compared, features, arguments)
    text = _text(arguments, sides, found, classes, people) + (pairs_table(pairs) if pairs else "")
    result = {"heading": text.partition("\n")[0], "found": found, **({"identification": people} if people else {})}
    if pairs:
        result["pairs"] = pairs
    (arguments.out / "probe.json").write_text(json.dumps(result, indent=2) + "\n")
    (arguments.out / "probe.txt").write_text(text)
    (arguments.out / "classes.txt").write_text(class_tables(found))
    print(f"{text}probe.txt, classes.txt (a line for each class) and probe.json are in {arguments.out}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="cardiolect probe", description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", type=Path, nargs="+", metavar="FOLDER", help="representations, of stage 1")
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL, or of a corpus in its layout")
    parser.add_argument("--train-folds", dest="probe_folds", required=True, help="folds to fit on, e.g. 1-7")
    parser.add_argument("--valid-folds", default="", help="folds to choose thresholds on; without: AUROC only")
    parser.add_argument("--folds", required=True, help="folds to judge on, e.g. 9-10")
    parser.add_argument("--labels", choices=tuple(LABEL_TASKS), default="superclass", help="task of PTB-XL's benchmark")
    parser.add_argument("--shares", default="1", help="of the training patients, e.g. 1,0.1,0.01")
    parser.add_argument("--finetune", choices=("all", "last"), help="train encoders too: all layers, or the last block")
    parser.add_argument("--finetune-steps", type=integer(1), default=300, help="at most; --valid-folds stop it earlier")
    parser.add_argument("--finetune-batch", type=integer(1), default=32, help="recordings of a step")
    parser.add_argument("--finetune-rate", type=number(0, 1), default=1e-3, help="peak learning rate")
    parser.add_argument("--identify", default="", metavar="FOLDS", help="match recordings of the same person in these")
    parser.add_argument("--reports", type=Path, nargs="+", metavar="FILE", help="of --folds: are pairs found again?")
    parser.add_argument("--cache-dir", type=Path, default=Path("data/cache"), help="for reports that were read")
    parser.add_argument("--max-records", type=integer(0), default=0, help="judge so many, drawn at random; 0: all")
    parser.add_argument("--keep-seen", action="store_true", help="judge on patients of a representation's training too")
    parser.add_argument(
        "--out", type=Path, default=Path("results/probe"), help="folder for tables and fine-tuned encoders"
    )
    parser.add_argument("--workers", type=integer(0), default=2, help="processes that read; 0: this one")
    parser.add_argument("--seed", type=integer(0), default=0, help="of every random choice")
    arguments = parser.parse_args(argv)
    for name in ("folds", "valid_folds", "identify"):
        parse_folds(getattr(arguments, name), f"--{name.replace('_', '-')}")
    if arguments.finetune and not arguments.valid_folds:
        raise UserError("--finetune: give --valid-folds, too; they say when training stops")
    return arguments


def _choose(arguments: argparse.Namespace) -> dict[str, list[RecordRef]]:
    test, train = choose(arguments, "--train-folds")
    valid = []
    if folds := parse_folds(arguments.valid_folds, "--valid-folds"):
        corpus = list(find_records(arguments.data).values())
        valid = select_folds(corpus, folds)
        for folder in arguments.tokenizer:
            if known := known_to(folder, valid, corpus):
                print(
                    f"warning: {folder}: has seen patients of {known} of {len(valid)} recordings of --valid-folds; its "
                    "thresholds, and --finetune's last step, are chosen on ECGs that it knows"
                )
        check_no_leakage({"--train-folds": train, "--valid-folds": valid, "--folds": test})
    return {TRAINING: train, VALIDATION: valid, TEST: test}


def _to_identify(arguments: argparse.Namespace) -> list[RecordRef]:
    """The recordings to match with one another; none, with a line that says why, if too few are of the same person."""
    if not arguments.identify:
        return []
    others = {"folds": arguments.identify, "probe_folds": "", "max_records": 0}
    refs, _ = choose(argparse.Namespace(**{**vars(arguments), **others}))
    if why := too_few([ref.patient_id or ref.record_id for ref in refs]):
        print(f"--identify {arguments.identify}: not done: {why}")
        return []
    return refs


def _side(
    refs: list[RecordRef],
    labels: Mapping[str, frozenset[str]],
    classes: Sequence[str],
    features: Mapping[str, Features],
    arguments: argparse.Namespace,
    what: str,
) -> Side:
    refs = [ref for ref in refs if labels.get(ref.record_id)]
    if not refs:
        raise UserError(f"{what}: no recording has a label; check --labels and the folds")
    used, found, seconds = collect(refs, features, arguments.workers, what)
    truth = np.array([[name in labels[ref.record_id] for name in classes] for ref in used], dtype=int)
    return Side(used, ProbeData(found, truth, _patients(used)), {k: v / len(used) for k, v in seconds.items()})


def _patients(refs: Sequence[RecordRef]) -> np.ndarray:
    return np.array([ref.patient_id or ref.record_id for ref in refs])


def _zero_shot(
    scorers: Mapping[str, Features],
    sides: Mapping[str, Side],
    classes: Sequence[str],
    arguments: argparse.Namespace,
) -> dict:
    """What encoders that were trained with reports judge without any label, by both scores of `ZeroShot`.

    Thresholds come from validation.
    """
    test, valid = sides[TEST], sides.get(VALIDATION)
    kept = np.flatnonzero(test.data.labels.any(0) & ~test.data.labels.all(0)).tolist()
    if not kept:
        return {}
    names, patients = [classes[k] for k in kept], test.data.patients
    on_test, on_valid = (
        side and collect(side.refs, scorers, arguments.workers, f"{what} without labels")[1]
        for side, what in ((test, TEST), (valid, VALIDATION))
    )
    found = {}
    for k, column in enumerate(("zero-shot", "zero-shot to normal")):
        scores, validation = {name: each[:, k, kept] for name, each in on_test.items()}, None
        if valid:
            of_valid = {name: each[:, k, kept] for name, each in on_valid.items()}
            validation = Validation(of_valid, valid.data.labels[:, kept])
        truth = test.data.labels[:, kept]
        judged = judge(scores, truth, patients, names, arguments.seed, validation=validation)
        found[column] = judged and {"records": [0, len(test.refs)], **judged}
    return found


def _fine_tuned(
    loaded: Mapping[str, ECGRepresentation],
    folders: Mapping[str, Path],
    sides: Mapping[str, Side],
    share: float,
    classes: Sequence[str],
    arguments: argparse.Namespace,
) -> dict:
    """What encoders judge after fine-tuning on a share of the training patients."""
    train, valid, test = (sides[what] for what in (TRAINING, VALIDATION, TEST))
    part = shared(train.data, share, arguments.seed)
    patients = set(part.patients.tolist())
    refs = [ref for ref, patient in zip(train.refs, train.data.patients, strict=True) if patient in patients]
    how = FineTuning(
        arguments.finetune,
        arguments.data,
        arguments.labels,
        arguments.finetune_steps,
        arguments.finetune_rate,
        arguments.finetune_batch,
        arguments.workers,
        arguments.seed,
    )
    scores: dict[str, list[np.ndarray]] = {}
    for name, encoder in loaded.items():
        if isinstance(encoder, ECGEncoder):
            folder = arguments.out / "finetuned" / f"{name}-{percent(share)}".removesuffix("%")
            print(f"fine-tuning {name} on {len(refs)} recordings")
            try:
                scores[name] = fine_tune(encoder, how, refs, valid.refs, test.refs, folder, folders[name])
            except UserError as error:  # other results are kept
                print(f"not done: {error}")
    kept = np.flatnonzero(
        np.all([side.labels.any(0) & ~side.labels.all(0) for side in (part, test.data)], axis=0)
    ).tolist()
    if not scores or not kept:
        return {}
    on_valid, on_test = ({name: each[k][:, kept] for name, each in scores.items()} for k in range(2))
    names = [classes[k] for k in kept]
    validation = Validation(on_valid, valid.data.labels[:, kept])
    judged = judge(on_test, test.data.labels[:, kept], test.data.patients, names, arguments.seed, validation=validation)
    return judged and {"records": [len(refs), len(test.refs)], **judged}


def _identified(refs: list[RecordRef], features: Mapping[str, Features], arguments: argparse.Namespace) -> dict:
    if not refs:
        return {}
    used, found, _ = collect(refs, features, arguments.workers, "to identify")
    return identify(found, _patients(used), arguments.seed)


def _text(
    arguments: argparse.Namespace,
    sides: Mapping[str, Side],
    found: Mapping[str, dict],
    classes: list[str],
    people: Mapping[str, dict],
) -> str:
    train, test = sides[TRAINING], sides[TEST]
    heading = (
        f"{arguments.labels} of {arguments.data}: means over classes [95 % interval over patients] on {len(test.refs)} "
        f"recordings of {len(np.unique(test.data.patients))} patients, fitted on {len(train.refs)}; "
        f"seed {arguments.seed}\n"
    )
    dims = {kind: values.shape[1] for kind, values in test.data.features.items()}
    text = heading + auroc_table(found, test.seconds, dims)
    if VALIDATION in sides:
        text += f"\nat thresholds chosen on {len(sides[VALIDATION].refs)} recordings of --valid-folds"
        text += threshold_tables(found)
    else:
        text += "AUROC only: F1, sensitivity and specificity need thresholds from --valid-folds\n"
    text += remarks(found, classes)
    return text + (identification_table(people) if people else "")


def percent(share: float) -> str:
    return f"{100 * share:g}%"


def _shares(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UserError(f"--shares {text}: give numbers above 0 and up to 1, such as 1,0.1")
    return shares

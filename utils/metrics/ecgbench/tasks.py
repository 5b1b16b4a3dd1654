"""ECGBench's tasks: the number of questions, how answers are read, and the scores.

Sizes, parsers and scores follow PULSE (Liu et al., arXiv 2410.19008, and its evaluation scripts); the code is our own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.ecgbench.label_sets import Form, find_labels, label_scores
from cardiolect.utils.metrics.ecgbench.letters import (
    LETTERS,
    find_letter,
    find_letter_legacy,
    gold_letter,
    guess_letter,
)
from cardiolect.utils.metrics.ecgbench.options import find_options, options_of

Kind = Literal["labels", "letter", "options", "judge"]


@dataclass(frozen=True)
class Task:
    """One of ECGBench's tasks; `TASKS` has them by name."""

    size: int
    kind: Kind
    enforced: bool = False  # PULSE's scorer skips files of another size; the sizes of other tasks are the paper's
    labels: tuple[str, ...] = ()
    after: str | None = None  # labels are read after this
    guesses: str = LETTERS  # letters that legacy guesses from


TASKS: dict[str, Task] = {
    "ptb-test": Task(2082, "labels", labels=("NORM", "MI", "STTC", "CD", "HYP")),
    "code15-test": Task(
        1400, "labels", labels=("NORM", "ABNORMAL", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF"), after="Answer:"
    ),
    "cpsc-test": Task(2061, "labels", labels=("NORM", "AF", "I-AVB", "LBBB", "RBBB", "PAC", "PVC", "STD", "STE")),
    "csn-test-no-cot": Task(1611, "letter", enforced=True),
    "g12-test-no-cot": Task(2026, "letter", enforced=True),
    "mmmu-ecg": Task(200, "letter", enforced=True, guesses="ABCD"),
    "ecgqa-test": Task(1317, "options"),
    "ptb-test-report": Task(500, "judge", enforced=True),
    "arena": Task(50, "judge"),
}


def score_task(
    name: str, samples: Sequence[Mapping[str, Any]], form: Form = "strict", expected: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """Score one task that needs no judge; fractions.

    samples: each with ``id``, ``gold`` and ``prediction``, and for ecgqa-test ``question``. Gold is a text, which is
    read like the prediction, or a list of labels or options, which is used as it is. expected: required number of
    samples; None: the task's size. Scores of a part of a task are not comparable with published ones. seed: of legacy's
    guesses.

    Tasks with labels give `label_scores`, those with letters and options ``accuracy``; all give ``n``. strict: an
    answer that cannot be read is wrong and counted (``unparsed``); an unexpected number of samples, repeated ids,
    invalid gold answers and questions without options raise `UserError`. legacy: reproduces PULSE's scorer, bugs
    included: a letter that is not found is guessed, labels are substrings, and if it checks the size, another one gives
    ``{}``.
    """
    task = TASKS.get(name)
    if task is None or task.kind == "judge":
        known = ", ".join(task for task, it in TASKS.items() if it.kind != "judge")
        raise UserError(f"ECGBench's tasks with a scorer are {known}, not {name!r}")
    if form not in ("strict", "legacy"):
        raise UserError(f"ECGBench's scorers are strict or legacy, not {form!r}")
    expected = task.size if expected is None else expected
    if form == "legacy" and task.enforced and len(samples) != expected:
        return {}
    _check(name, samples, form, expected)
    score: Callable[..., dict[str, Any]] = {"labels": _labels, "letter": _letters, "options": _options}[task.kind]
    return {"n": len(samples), **score(task, samples, form, seed)} if samples else {}


def _labels(task: Task, samples: Sequence[Mapping[str, Any]], form: Form, seed: int) -> dict[str, Any]:
    truth, predicted = [], []
    for sample in samples:
        gold = sample["gold"]
        gold = find_labels(gold, task.labels, form, task.after) if isinstance(gold, str) else set(gold)
        if form == "strict" and (not gold or not gold <= set(task.labels)):
            raise UserError(
                f"sample {sample['id']}: gold {sample['gold']!r} has no label, or labels that are not the task's"
            )
        truth.append(gold)
        predicted.append(find_labels(sample["prediction"], task.labels, form, task.after))
    return label_scores(truth, predicted, task.labels, form)


def _letters(task: Task, samples: Sequence[Mapping[str, Any]], form: Form, seed: int) -> dict[str, Any]:
    read = find_letter if form == "strict" else find_letter_legacy
    found = [read(sample["prediction"]) for sample in samples]
    hits = []
    for sample, letter in zip(samples, found, strict=True):
        gold = gold_letter(sample["gold"]) if isinstance(sample["gold"], str) else None
        if gold is None:
            raise UserError(f"sample {sample['id']}: gold {sample['gold']!r} is not an option letter A-H")
        if letter is None and form == "legacy":
            letter = guess_letter(task.guesses, seed, str(sample["id"]))
        hits.append(letter == gold)
    unread = found.count(None)
    return {"accuracy": fmean(hits), ("unparsed" if form == "strict" else "guessed"): unread}


def _options(task: Task, samples: Sequence[Mapping[str, Any]], form: Form, seed: int) -> dict[str, Any]:
    hits, unparsed = [], 0
    for sample in samples:
        options, gold = options_of(sample["question"], form), sample["gold"]
        if isinstance(gold, str):
            gold = find_options(gold, [option.lower() for option in options])
            gold = {option for option in options if option.lower() in gold}
        else:
            gold = set(gold) if form == "legacy" else {it.strip().lower() for it in gold}
        if form == "strict" and (not gold or not gold <= set(options)):
            raise UserError(f"sample {sample['id']}: gold {sample['gold']!r} is not one of the options {options}")
        predicted = find_options(sample["prediction"], options, form)
        unparsed += not predicted
        hits.append(predicted == gold)
    return {"accuracy": fmean(hits), **({"unparsed": unparsed} if form == "strict" else {})}


def _check(name: str, samples: Sequence[Mapping[str, Any]], form: Form, expected: int) -> None:
    needed = {"id", "gold", "prediction", *(["question"] if TASKS[name].kind == "options" else [])}
    for index, sample in enumerate(samples):
        if missing := needed - sample.keys():
            raise UserError(f"{name}: sample {index} has no {' and no '.join(sorted(missing))}")
        if not isinstance(sample["prediction"], str):
            raise UserError(f"{name}: sample {sample['id']}: the prediction is not text")
    if form == "legacy":
        return
    if len(samples) != expected:
        raise UserError(
            f"{name} has {expected} samples, not {len(samples)}; to score a part, give its size (--expected)"
        )
    ids = [sample["id"] for sample in samples]
    if len(set(ids)) != len(ids):
        raise UserError(f"{name}: sample {next(i for i in ids if ids.count(i) > 1)} is repeated")

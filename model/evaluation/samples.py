"""Questions and answers in predictions.jsonl, from which every score can be computed again."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError

from cardiolect.data_provider.examples import Example, TaskName
from cardiolect.utils.errors import UserError

PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True)
class Sample:
    """One evaluated question or report. Unknown fields are empty and not written.

    patients: numbers of the patients within the evaluation, in the order of their first sample; not identifiers.
    predictions: condition (`with_ecg`, and floors such as `no_ecg`) -> text.
    probabilities: condition -> the model's probability of its answer, 0 to 1.
    yes_margins: condition -> the logit of "yes" minus that of "no", for yes-or-no questions.
    cut_off: the conditions under which the text reached MAX_NEW_TOKENS before its end.
    findings: the true findings of the recording, if the corpus has them (as simulated ones do).
    neighbours: of each recording, the texts of similar training recordings in its prompt, and their distances.
    subgroups: sex, age and device -> the group that the patient belongs to, see `evaluation.subgroups`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # for `read_samples`

    sample_id: str
    record_ids: tuple[str, ...]
    patients: tuple[int, ...]
    task: TaskName
    question: str
    answers: tuple[str, ...]
    question_type: str = ""
    attribute_type: str = ""
    attributes: tuple[str, ...] = ()
    template_id: int | None = None
    provenance: str = "published"
    predictions: dict[str, str] = field(default_factory=dict)
    probabilities: dict[str, float] = field(default_factory=dict)
    yes_margins: dict[str, float] = field(default_factory=dict)
    cut_off: tuple[str, ...] = ()
    findings: tuple[str, ...] | None = None
    subgroups: dict[str, str] = field(default_factory=dict)
    neighbours: tuple[tuple[tuple[str, float], ...], ...] = ()


_DEFAULTS = {
    each.name: each.default_factory() if each.default_factory is not MISSING else each.default
    for each in fields(Sample)
}
_SAMPLE = TypeAdapter(Sample)
_REQUIRED = ("sample_id", "record_ids", "patients", "task", "question", "answers", "predictions")


def samples_of(examples: Sequence[Example]) -> list[Sample]:
    """The samples of examples, still without predictions."""
    numbers: dict[str, int] = {}
    return [
        Sample(
            e.sample_id,
            e.record_ids,
            tuple(numbers.setdefault(p, len(numbers)) for p in e.patients),
            e.task,
            e.question,
            e.answers,
            e.question_type,
            e.attribute_type,
            e.attributes,
            e.template_id,
            e.provenance,
        )
        for e in examples
    ]


def write_samples(path: Path, samples: Iterable[Sample]) -> str:
    """Write one JSON object per line, and return the SHA-256 of the file."""
    lines = []
    for sample in samples:
        row = {key: value for key, value in asdict(sample).items() if key in _REQUIRED or value != _DEFAULTS[key]}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    data = "".join(lines).encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_samples(path: Path) -> list[Sample]:
    """Read a file that `write_samples` wrote.

    Raises `UserError`, with the number of the line, if a line is not a sample, repeats an id, or has other conditions
    than the first sample.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run_eval.py writes it") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    samples: dict[str, Sample] = {}
    for number, line in enumerate(lines, start=1):
        try:
            sample = _SAMPLE.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}: line {number}: not a sample of an evaluation ({where} {first['msg']})") from None
        if sample.sample_id in samples:
            raise UserError(f"{path}: line {number}: sample {sample.sample_id} occurs twice")
        samples[sample.sample_id] = sample
        if sample.predictions.keys() != next(iter(samples.values())).predictions.keys() or not sample.answers:
            raise UserError(f"{path}: line {number}: without answers, or with other conditions than the first sample")
    if not samples:
        raise UserError(f"{path}: has no samples")
    return list(samples.values())


def fingerprint(samples: Iterable[Sample]) -> str:
    """Short hash of ids, recordings, questions and answers, independent of the order of samples."""
    rows = sorted(json.dumps([s.sample_id, s.record_ids, s.question, s.answers]) for s in samples)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]

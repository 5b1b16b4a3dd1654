"""What was asked and what was said: predictions.jsonl, from which every score can be computed again."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from data_provider.examples import Example
from utils.errors import UserError

PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True)
class Sample:
    """One evaluated question or report. What is not known of it is empty, and not written.

    patients: numbers of the patients within one evaluation, in the order of their first sample; no identifiers.
    predictions: condition (`with_ecg`, and floors such as `no_ecg`) -> text.
    probabilities: condition -> the probability, 0 to 1, that the model gave its answer.
    yes_margins: condition -> by how much the logit of "yes" exceeds that of "no", of yes-or-no questions.
    findings: what is true of the recording, where the corpus knows (simulated ones).
    """

    sample_id: str
    record_ids: tuple[str, ...]
    patients: tuple[int, ...]
    task: str
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
    findings: tuple[str, ...] | None = None


_DEFAULTS = {
    each.name: each.default_factory() if each.default_factory is not MISSING else each.default
    for each in fields(Sample)
}
_REQUIRED = ("sample_id", "record_ids", "patients", "task", "question", "answers", "predictions")
_TUPLES = ("record_ids", "patients", "answers", "attributes", "findings")


def samples_of(examples: Sequence[Example]) -> list[Sample]:
    """Samples without predictions, of examples in their order."""
    numbers: dict[str, int] = {}
    return [
        Sample(
            e.sample_id, e.record_ids, tuple(numbers.setdefault(p, len(numbers)) for p in e.patients), e.task,
            e.question, e.answers, e.question_type, e.attribute_type, e.attributes, e.template_id, e.provenance,
        )
        for e in examples
    ]  # fmt: skip


def write_samples(path: Path, samples: Iterable[Sample]) -> str:
    """Write one JSON object per line; returns the SHA-256 of the file."""
    lines = []
    for sample in samples:
        row = {key: value for key, value in asdict(sample).items() if key in _REQUIRED or value != _DEFAULTS[key]}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    data = "".join(lines).encode()
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_samples(path: Path) -> list[Sample]:
    """Read what `write_samples` wrote. Raises `UserError` with the line that is none, or an id that is there twice."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; run_eval.py writes it")
    samples: dict[str, Sample] = {}
    with path.open(encoding="utf-8") as file:
        try:
            for number, line in enumerate(file, start=1):
                sample = _sample(json.loads(line))
                if sample.sample_id in samples:
                    raise UserError(f"{path}: line {number}: sample {sample.sample_id} is there twice")
                samples[sample.sample_id] = sample
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: line {number}: no sample of an evaluation ({error})") from None
    if not samples:
        raise UserError(f"{path}: holds no sample")
    return list(samples.values())


def _sample(row: dict[str, Any]) -> Sample:
    if not isinstance(row, dict) or not row.keys() >= set(_REQUIRED) or not row.keys() <= _DEFAULTS.keys():
        raise ValueError(f"needs the keys {', '.join(_REQUIRED)}")
    row = {key: tuple(value) if key in _TUPLES and value is not None else value for key, value in row.items()}
    if not row["answers"] or not all(isinstance(text, str) for text in row["predictions"].values()):
        raise ValueError("answers and predictions are texts")
    return Sample(**row)

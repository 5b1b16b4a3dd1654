"""Reads several results on the same samples, checks that they are comparable, aligns and scores them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.numbers import in_exact_match
from cardiolect.model.evaluation.result import read_result
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.evaluation.scoring import scores_of
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import Scores, definition


@dataclass(frozen=True)
class Evaluated:
    """One result: the path it was read from, result.json, and the samples that its scores are of."""

    path: Path
    result: dict[str, Any]
    samples: list[Sample]
    scored_by: str | None = None  # None: the definition of the result

    @classmethod
    def read(cls, path: Path, metrics: str | None = None) -> "Evaluated":
        """metrics: the definition to score by, by default that of the result."""
        if metrics is not None:
            definition(metrics)
        result, samples = read_result(path, intact=True)
        return cls(path, result, in_exact_match(samples), metrics)

    @property
    def task(self) -> str:
        return self.result["task"]

    @property
    def metrics(self) -> str:
        return self.scored_by or self.result["metrics"]["name"]

    @property
    def conditions(self) -> list[str]:
        """The conditions under which every sample was answered."""
        return [c for c in self.samples[0].predictions if all(c in sample.predictions for sample in self.samples)]

    def scores(self, conditions: Sequence[str]) -> dict[str, Scores]:
        """Condition -> all scores by `metrics`."""
        kept = [replace(each, predictions={c: each.predictions[c] for c in conditions}) for each in self.samples]
        return scores_of(kept, self.metrics)


def on_common_samples(first: Evaluated, other: Evaluated) -> tuple[Evaluated, Evaluated]:
    """Both results with their common samples, in the order and with the patient numbers of the first.

    Raises `UserError` if task, METRICS, or the question, answers, recordings or patients of a sample differ.
    """
    names = f"{first.path} and {other.path}"
    if first.task != other.task:
        raise UserError(f"{names}: tasks {first.task} and {other.task} cannot be compared")
    if first.metrics != other.metrics:
        raise UserError(
            f"{names}: METRICS={first.metrics} and {other.metrics} cannot be compared; --metrics scores both by one"
        )
    by_id = {sample.sample_id: sample for sample in other.samples}
    pairs = [(sample, by_id[sample.sample_id]) for sample in first.samples if sample.sample_id in by_id]
    if not pairs:
        raise UserError(f"{names}: no sample is in both; evaluate both on the same test data")
    for one, two in pairs:
        for field, name in (("question", "question"), ("answers", "answers"), ("record_ids", "recordings")):
            if getattr(one, field) != getattr(two, field):
                raise UserError(
                    f"{names}: sample {one.sample_id} differs in its {name}; evaluate both on the same test data"
                )
    _check_patients(pairs, names)
    for evaluated, samples in ((first, [one for one, _ in pairs]), (other, [two for _, two in pairs])):
        if any(WITH_ECG not in sample.predictions for sample in samples):
            raise UserError(f"{evaluated.path}: a sample has no prediction {WITH_ECG}")
    theirs = [replace(two, patients=one.patients) for one, two in pairs]
    return replace(first, samples=[one for one, _ in pairs]), replace(other, samples=theirs)


def _check_patients(pairs: Sequence[tuple[Sample, Sample]], names: str) -> None:
    """The numbers of patients may differ, but not which samples are of the same patient."""
    forth: dict[int, int] = {}
    back: dict[int, int] = {}
    for one, two in pairs:
        alike = len(one.patients) == len(two.patients) and all(
            forth.setdefault(p, q) == q and back.setdefault(q, p) == p
            for p, q in zip(one.patients, two.patients, strict=True)
        )
        if not alike:
            raise UserError(
                f"{names}: the patient of sample {one.sample_id} has other samples in only one of them; evaluate both "
                "with the same DATA_ROOT"
            )

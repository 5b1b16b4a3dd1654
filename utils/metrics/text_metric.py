"""The base of the report metrics: an `evaluate.Metric` that uses neither the network nor the disk."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from cardiolect.utils.errors import UserError


class TextMetric(evaluate.Metric):
    """A mean of sentence scores over pairs of strings.

    ``compute(predictions=[str], references=[str])`` returns the mean of every array of `per_sample`, or ``{}`` without
    pairs. An empty prediction scores zero. Lists of unequal length, items other than strings and empty references raise
    `UserError`.
    """

    description: str
    citation: str

    def __init__(self) -> None:
        # In memory, so that processes share no cache file; with a fixed seed, numpy's global state is not used.
        super().__init__(keep_in_memory=True, seed=0)

    @abstractmethod
    def _score(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        """The scores of checked pairs: ``{name: float64 (n,)}``."""

    def per_sample(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        """The scores of every pair, in 0..1: ``{name: float64 (n,)}``; invalid pairs raise as in `compute`."""
        check_pairs(predictions, references)
        return self._score(predictions, references)

    def compute(
        self, *, predictions: Sequence[str] | None = None, references: Sequence[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Mean scores over pairs of prediction and reference."""
        if predictions is not None and references is not None:
            check_pairs(predictions, references)
            if len(predictions) == 0:
                return {}
        return super().compute(predictions=predictions, references=references, **kwargs)

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        return {name: float(scores.mean()) for name, scores in self.per_sample(predictions, references).items()}

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.description,
            citation=self.citation,
            inputs_description="predictions, references: one string per sample.",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _build_data_dir(self) -> str:
        """Nothing is stored, so the base class's folder under ~/.cache is not created."""
        return ""


def check_pairs(predictions: Sequence[str], references: Sequence[str]) -> None:
    """Raise `UserError` that names the first pair that cannot be scored."""
    if len(predictions) != len(references):
        raise UserError(f"{len(predictions)} predictions for {len(references)} references")
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        if not isinstance(prediction, str) or not isinstance(reference, str):
            raise UserError(f"sample {index}: prediction and reference must be strings")
        if not reference.strip():
            raise UserError(f"sample {index}: the reference is empty, so no score is defined; leave the sample out")

"""Settings of the evaluation of reasoning chains."""

from typing import Literal

from pydantic import Field

from cardiolect.model.evaluation.settings import CheckpointSettings
from cardiolect.utils.errors import UserError

REASONING = "reasoning"  # as TASKTYPE of an evaluation


class ReasoningSettings(CheckpointSettings):
    """Evaluation of a checkpoint on chains of ECG-Reasoning-Benchmark.

    TEST_DATA are the chains, JSON lines; TRAIN_DATA are chains from which the floors without a model are learned.
    """

    tasktype: Literal["reasoning"] = Field(description="reasoning: chains of ECG-Reasoning-Benchmark.")
    condensed: bool = Field(
        False, description="Leave the options out of earlier questions, so that long chains take fewer tokens."
    )
    metrics: Literal["strict", "published"] = Field(
        "strict", description="How answers are matched, docs/METRICS.md; published: as the benchmark's own scorer does."
    )

    @property
    def new_tokens(self) -> int:
        """No tokens are generated: the options are ranked."""
        return 0

    def _check_mixture(self) -> None:
        """Several folders hold recordings of one database, see `find_recordings`; they need not be prepared."""

    def check(self) -> None:
        super().check()
        if not self.test_data:
            raise UserError("TEST_DATA is not set; give JSONL files of reasoning chains")

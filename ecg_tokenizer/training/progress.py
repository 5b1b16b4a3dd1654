"""Progress of stage 1: its log (`StepLog`), and TensorBoard files in ``OUTPUT_DIR/tensorboard``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from cardiolect.utils import launch
from cardiolect.utils.progress import StepLog

LOG_STEPS = 50


class Progress:
    """Reports on the main rank, and does nothing on the others."""

    def __init__(self, folder: Path, steps: int, after: int = 0):
        main = launch.is_main()
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1) if main else None
        self.log = StepLog(folder, "tokenizer", steps, after) if main else None

    def trained(self, step: int, figures: Mapping[str, float | Tensor]) -> None:
        """A step is done; its figures every `LOG_STEPS` steps, first of them the loss."""
        if self.log is None:
            return
        self.log.step(step)
        if step % LOG_STEPS:
            return
        for name, value in figures.items():
            self.writer.add_scalar(f"train/{name}", float(value), step)
        self.log.trained(step, f"loss {float(figures['loss']):.3f}")

    def validated(self, step: int, figures: Mapping[str, Any], words: str) -> None:
        if self.log is None:
            return
        for name, value in figures.items():
            if isinstance(value, int | float):
                self.writer.add_scalar(f"valid/{name}", value, step)
        self.log.validated(step, words)

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
            self.writer.close()

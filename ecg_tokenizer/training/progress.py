"""Progress of stage 1: its log (`StepLog`), and TensorBoard files in ``OUTPUT_DIR/tensorboard``."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.step import StepResult
from cardiolect.utils import launch
from cardiolect.utils.progress import StepLog

LOG_STEPS = 50
VALIDATION_FIGURES = ("prdn", "codes_used", "entropy_bits", "normalised_entropy")


class Progress:
    """Reports on the main rank, and does nothing on the others."""

    def __init__(self, folder: Path, steps: int, after: int = 0):
        main = launch.is_main()
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1) if main else None
        self.log = StepLog(folder, "tokenizer", steps, after) if main else None

    def trained(self, step: int, result: StepResult, tokenizer: ECGTokenizer) -> None:
        """A step is done; figures every `LOG_STEPS` steps."""
        if self.log is None:
            return
        self.log.step(step)
        if step % LOG_STEPS:
            return
        use = tokenizer.code_use([result.codes.cpu().numpy()])
        self.writer.add_scalar("train/loss", result.loss.item(), step)
        if result.measurement_loss is not None:
            self.writer.add_scalar("train/measurement_loss", result.measurement_loss.item(), step)
        self.writer.add_scalar("train/batch_entropy_bits", use["entropy_bits"], step)
        self.log.trained(step, f"loss {result.loss.item():.3f}")

    def validated(self, step: int, figures: dict) -> None:
        if self.log is None:
            return
        for name in VALIDATION_FIGURES:
            self.writer.add_scalar(f"valid/{name}", figures[name], step)
        self.log.validated(step, f"PRDN {figures['prdn']:.1f} %, {figures['codes_used']} codes used")

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
            self.writer.close()

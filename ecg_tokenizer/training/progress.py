"""Progress of stage 1: a progress bar, and TensorBoard files in ``OUTPUT_DIR/tensorboard``."""

from collections.abc import Iterator
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.step import StepResult
from cardiolect.utils import launch

LOG_STEPS = 50
VALIDATION_FIGURES = ("prdn", "codes_used", "entropy_bits", "normalised_entropy")


class Progress:
    """Reports on the main rank, and does nothing on the others."""

    def __init__(self, folder: Path, steps: int, after: int = 0):
        main, remaining = launch.is_main(), range(after + 1, steps + 1)
        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=after + 1) if main else None
        self.bar = tqdm(
            remaining, desc="tokenizer", unit="step", mininterval=1, disable=not main, initial=after, total=steps
        )

    def steps(self) -> Iterator[int]:
        """The numbers of the steps, from the one that follows ``after``; the bar follows."""
        return iter(self.bar)

    def trained(self, step: int, result: StepResult, tokenizer: ECGTokenizer, best: dict) -> None:
        """Log every `LOG_STEPS` steps; best: the figures of the best validation, empty before the first."""
        if self.writer is None or step % LOG_STEPS:
            return
        use = tokenizer.code_use([result.codes.cpu().numpy()])
        self.writer.add_scalar("train/loss", result.loss.item(), step)
        if result.measurement_loss is not None:
            self.writer.add_scalar("train/measurement_loss", result.measurement_loss.item(), step)
        self.writer.add_scalar("train/batch_entropy_bits", use["entropy_bits"], step)
        validated = {"prdn": f"{best['prdn']:.1f}%", "codes": best["codes_used"]} if best else {}
        self.bar.set_postfix(loss=f"{result.loss.item():.3f}", **validated)

    def validated(self, step: int, figures: dict) -> None:
        for name in VALIDATION_FIGURES if self.writer else ():
            self.writer.add_scalar(f"valid/{name}", figures[name], step)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

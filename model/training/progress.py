"""How fast a run trains and how much memory it takes: logged with the losses, and kept in the checkpoint."""

import os
import re
import time
from pathlib import Path

import torch
from torch import nn
from transformers import TrainerCallback

from cardiolect.model.training.settings import TrainSettings
from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.progress import StepLog

# Dense bf16 operations per second, by what torch.cuda.get_device_name returns. From the data sheets at
# https://www.nvidia.com/en-us/data-center/ (a100, h100, h200, l4, l40s, products/a10-gpu, products/a30-gpu, a40); half
# of what they state with sparsity. Only whole names count: parts of a GPU (MIG) and export variants differ.
PEAKS = {
    r"(NVIDIA )?A100(-SXM4|-PCIE|-PCIe)?[- ](40|80)GB( PCIe)?": 312e12,
    r"NVIDIA H100 80GB HBM3": 989e12,
    r"NVIDIA H100 PCIe": 756e12,
    r"NVIDIA (H100|H200) NVL": 835e12,
    r"NVIDIA H200": 989e12,
    r"NVIDIA L4": 121e12,
    r"NVIDIA L40S": 362e12,
    r"NVIDIA A10": 125e12,
    r"NVIDIA A30": 165e12,
    r"NVIDIA A40": 149.7e12,
}
GB = 1e9


def peak_operations(device: str) -> float | None:
    """Dense bf16 operations per second of a GPU by its name; None if it is not in `PEAKS`."""
    return next((peak for name, peak in PEAKS.items() if re.fullmatch(name, device)), None)


def operations(model: nn.Module) -> tuple[float, float] | None:
    """Operations of a training step per token and, for the head, per target; None if weights are quantised.

    A trained weight takes 6 (forward, and the gradients of its input and itself), a frozen one 4; looking up an
    embedding takes none. Products inside attention and recomputed activations do not count.
    """
    if not all(weight.is_floating_point() for weight in model.parameters()):
        return None
    tables = [table for table in (model.get_input_embeddings(), model.get_output_embeddings()) if table is not None]
    rows = {id(weight) for table in tables for weight in table.parameters()}
    body = sum(
        (4 + 2 * weight.requires_grad) * weight.numel() for weight in model.parameters() if id(weight) not in rows
    )
    head = tables[-1]
    trained = any(weight.requires_grad for weight in head.parameters())
    return float(body), float((4 + 2 * trained) * head.weight.numel())


def host_peak() -> float | None:
    """The most memory that this process has held so far, in GB; None if the system does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / GB if found else None


class Progress(TrainerCallback):
    """Measures training alone: the clock stands still while the run validates or saves.

    Must be made before DeepSpeed splits ``model``.
    """

    def __init__(self, model: nn.Module, settings: TrainSettings):
        self.cuda = choose_device(settings.device).type == "cuda"
        name = torch.cuda.get_device_name() if self.cuda else ""
        self.peak = peak_operations(name) if settings.precision in ("bf16", "fp16") else None
        self.operations = operations(model) if self.peak else None
        self.counts = torch.zeros(2, dtype=torch.float64)
        self.seconds, self.since = 0.0, time.perf_counter()
        self.logged = (self.counts, 0.0)

    def count(self, counts: torch.Tensor) -> None:
        """Add the tokens, padding aside, and targets of an optimiser step, of all ranks together."""
        self.counts = self.counts.to(counts.device) + counts.detach().double()

    def on_train_begin(self, args, state, control, **kwargs):
        self.since = time.perf_counter()
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()

    def on_step_end(self, args, state, control, **kwargs):
        now = time.perf_counter()
        self.seconds, self.since = self.seconds + now - self.since, now

    def on_evaluate(self, args, state, control, **kwargs):
        self.since = time.perf_counter()

    on_save = on_evaluate

    def since_last_log(self) -> dict[str, float]:
        """Speed since the last call, and this rank's peak memory so far."""
        counts, seconds = self.logged
        self.logged = (self.counts, self.seconds)
        return self._speed(self.counts - counts.to(self.counts), self.seconds - seconds) | self._memory()

    def figures(self) -> dict[str, dict[str, float]]:
        """Speed of the whole run since it began or was resumed, and the most memory of any rank. For all ranks."""
        ranks = launch.gather(self._memory())
        memory = {key: max(rank[key] for rank in ranks) for key in ranks[0]}
        return {"speed": self._speed(self.counts, self.seconds), "peak_memory": memory}

    def _speed(self, counts: torch.Tensor, seconds: float) -> dict[str, float]:
        tokens, targets = counts.tolist()
        if not (tokens and seconds):
            return {}
        speed = {"tokens_per_second": round(tokens / seconds, 1), "targets_per_second": round(targets / seconds, 1)}
        if self.operations:
            done = tokens * self.operations[0] + targets * self.operations[1]
            speed["mfu"] = round(done / seconds / (self.peak * launch.world_size()), 4)
        return speed

    def _memory(self) -> dict[str, float]:
        found = {"host_gb": host_peak(), "device_gb": torch.cuda.max_memory_allocated() / GB if self.cuda else None}
        return {key: round(value, 3) for key, value in found.items() if value is not None}


class LogCallback(TrainerCallback):
    """Writes losses, speed and the time that is left (`StepLog`)."""

    def __init__(self, folder: Path):
        self.folder, self.log = folder, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.log = StepLog(self.folder, "training", state.max_steps, state.global_step)

    def on_step_end(self, args, state, control, **kwargs):
        self.log.step(state.global_step)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.log is None or not logs:
            return
        if "loss" in logs:
            words = [f"loss {float(logs['loss']):.4g}", f"learning rate {float(logs['learning_rate']):.2g}"]
            words += [in_words({"speed": logs, "peak_memory": {}})] if "tokens_per_second" in logs else []
            self.log.trained(state.global_step, ", ".join(words))
        elif "eval_loss" in logs:
            best = state.best_metric is None or logs["eval_loss"] < state.best_metric
            words = f"validation loss {logs['eval_loss']:.4f}{', the lowest so far' if best else ''}"
            self.log.validated(state.global_step, words)

    def on_train_end(self, args, state, control, **kwargs):
        self.log.close()


def in_words(figures: dict) -> str:
    """`Progress.figures` for people; a figure that could not be measured is left out."""
    speed, memory = figures["speed"], figures["peak_memory"]
    words = [f"{speed['tokens_per_second']:,.0f} tokens/s"] if speed else []
    words += [f"MFU {speed['mfu']:.1%}"] if "mfu" in speed else []
    if memory:
        words.append(f"peak memory {' and '.join(f'{memory[key]:.1f} GB ({key[:-3]})' for key in memory)}")
    return ", ".join(words)


def trackers(settings: TrainSettings) -> list[str]:
    """What Transformers shall report to; what is written on this machine goes to OUTPUT_DIR."""
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(settings.output_dir / "tensorboard")
    if "wandb" in settings.report_to:
        os.environ.setdefault("WANDB_PROJECT", "cardiolect")
        os.environ.setdefault("WANDB_DIR", str(settings.output_dir))
    return [name for name in settings.report_to if name != "none"]

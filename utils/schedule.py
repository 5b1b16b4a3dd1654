"""Learning rates: every training stage builds its schedule from ``SCHEDULE`` and its warm-up here."""

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

Schedule = Literal["one-cycle", "cosine", "linear", "constant"]
DESCRIPTION = (
    "Learning rate over the run. one-cycle: up from 1/25 of the peak and down to almost 0, both along a cosine; the "
    "others begin with a linear warm-up from 0, then cosine and linear fall to a tenth of the peak and constant stays."
)
FINAL = 0.1  # of the peak: the end of "cosine" and "linear"


def make_schedule(schedule: Schedule, optimizer: "Optimizer", steps: int, warmup_steps: float) -> "LRScheduler":
    """A schedule to step once after every optimizer step; the peak of each parameter group is its present rate.

    steps: of the whole run. warmup_steps: optimizer steps before the peak; one-cycle needs at least 2 and leaves a
    quarter of the run for the way down. A line is printed if the warm-up takes more than half of the run.
    """
    from torch.optim.lr_scheduler import LambdaLR, OneCycleLR  # slow, and settings are read without it

    if warmup_steps > steps / 2 and launch.is_main():
        print(f"the learning rate rises for {warmup_steps:g} of {steps} steps, more than half of the run")
    if schedule == "one-cycle":
        peaks = [group["lr"] for group in optimizer.param_groups]
        warmup_steps = min(max(warmup_steps, 2), 0.75 * steps)  # OneCycleLR divides by one less, on either side
        return OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=warmup_steps / steps, cycle_momentum=False)
    return LambdaLR(optimizer, lambda step: share_of_peak(schedule, step, steps, warmup_steps))


def check_warmup(key: str, warmup_steps: float, steps: int) -> None:
    """Raise `UserError` if a warm-up that ``key`` sets takes the whole run."""
    if warmup_steps >= steps:
        raise UserError(f"{key}: a warm-up of {warmup_steps:g} steps takes all {steps} of the run; lower it")


def share_of_peak(schedule: Schedule, step: int, steps: int, warmup_steps: float) -> float:
    """Learning rate of a step, counted from 0, over its peak; for schedules other than one-cycle."""
    if step < warmup_steps:
        return step / max(1, warmup_steps)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    remaining = {"cosine": half_cosine(progress), "linear": 1 - progress, "constant": 1.0}[schedule]
    return remaining * (1 - FINAL) + FINAL


def set_own_rate(optimizer: "Optimizer", parameters: Collection[int], rate: float) -> None:
    """Give the parameters of these ``id`` parameter groups of their own, the last ones, with this peak rate."""
    groups = {False: [], True: []}
    for group in optimizer.param_groups:
        for own in groups:
            if chosen := [parameter for parameter in group["params"] if (id(parameter) in parameters) == own]:
                groups[own].append({**group, "params": chosen} | ({"lr": rate} if own else {}))
    optimizer.param_groups[:] = groups[False] + groups[True]


def half_cosine(progress: float) -> float:
    """From 1 at progress 0 to 0 at progress 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))

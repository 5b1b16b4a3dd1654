"""Learning-rate schedules: warm-up, peak and end of each, and agreement with the libraries' own."""

import pytest
import torch
from transformers import get_scheduler

from cardiolect.utils.schedule import make_schedule, set_own_rate

PEAKS = (0.5, 2.0)
STEPS, WARMUP = 40, 10


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.AdamW([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": peak} for peak in PEAKS])


def rates(schedule: torch.optim.lr_scheduler.LRScheduler, steps: int = STEPS) -> torch.Tensor:
    """Learning rates ``(steps, groups)`` of the optimizer steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr())
        schedule.optimizer.step()
        schedule.step()
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "start", "peak_at", "middle", "end"),
    [
        ("one-cycle", 1 / 25, WARMUP - 1, 0.5, 1 / 25e4),  # OneCycleLR peaks at the last step of its warm-up
        ("cosine", 0, WARMUP, 0.55, 0.1),
        ("linear", 0, WARMUP, 0.55, 0.1),
        ("constant", 0, WARMUP, 1, 1),
    ],
)
def test_warm_up_peak_and_end(name, start, peak_at, middle, end):
    found = rates(make_schedule(name, optimizer(), STEPS, WARMUP)) / torch.tensor(PEAKS, dtype=torch.float64)
    torch.testing.assert_close(found[:, 0], found[:, 1])  # all groups follow it, each from its own peak
    shares = found[:, 0]
    assert shares[0] == pytest.approx(start) and shares[peak_at] == pytest.approx(1) == shares.max().item()
    assert (shares[: peak_at + 1].diff() > 0).all() and (shares[peak_at:].diff() <= 0).all()
    halfway = (peak_at + (STEPS if peak_at == WARMUP else STEPS - 1)) // 2
    assert shares[halfway] == pytest.approx(middle, abs=0.05)
    assert shares[-1] == pytest.approx(end, abs=0.04)


def test_a_straight_warm_up_and_a_straight_fall():
    shares = rates(make_schedule("linear", optimizer(), STEPS, WARMUP))[:, 0] / PEAKS[0]
    assert shares[: WARMUP + 1].tolist() == pytest.approx([k / WARMUP for k in range(WARMUP + 1)])
    assert shares[WARMUP:].diff().tolist() == pytest.approx([-0.9 / (STEPS - WARMUP)] * (STEPS - WARMUP - 1))


@pytest.mark.parametrize("warmup", [0, 3, WARMUP, STEPS + 5])
def test_cosine_is_transformers_cosine_with_a_floor_to_the_bit(warmup):
    kwargs = {"min_lr_rate": 0.1}
    theirs = get_scheduler("cosine_with_min_lr", optimizer(), warmup, STEPS, scheduler_specific_kwargs=kwargs)
    assert torch.equal(rates(make_schedule("cosine", optimizer(), STEPS, warmup)), rates(theirs))


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "linear", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 19])
@pytest.mark.parametrize("warmup", [0, 1, 0.05 * 19, 100])
def test_any_number_of_steps_and_of_warm_up_has_a_schedule(name, steps, warmup):
    """OneCycleLR itself divides by zero if its warm-up is a single step or the whole run."""
    found = rates(make_schedule(name, optimizer(), steps, warmup), steps)
    assert torch.isfinite(found).all() and (found <= torch.tensor(PEAKS) * (1 + 1e-6)).all()


def test_a_warm_up_of_no_steps_begins_at_the_peak():
    assert all(rates(make_schedule(name, optimizer(), 9, 0))[0, 0] == PEAKS[0] for name in ("cosine", "constant"))


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "constant"])
def test_chosen_parameters_follow_the_schedule_from_a_peak_of_their_own(name):
    made = optimizer()
    first, second = (group["params"][0] for group in made.param_groups)
    made.add_param_group({"params": [other := torch.nn.Parameter(torch.zeros(1))], "lr": 3.0, "weight_decay": 0.5})
    for _ in range(2):  # twice is as once
        set_own_rate(made, {id(second), id(other)}, 0.25)
        assert [group["params"] for group in made.param_groups] == [[first], [second], [other]]
    assert [group["weight_decay"] for group in made.param_groups] == [0.01, 0.01, 0.5]
    found = rates(make_schedule(name, made, STEPS, WARMUP))
    assert found.max(0).values.tolist() == pytest.approx([PEAKS[0], 0.25, 0.25])


@pytest.mark.parametrize("name", ["one-cycle", "cosine"])
def test_a_warm_up_of_more_than_half_of_the_run_is_one_line(capsys, name):
    make_schedule(name, optimizer(), STEPS, STEPS // 2)
    assert capsys.readouterr().out == ""
    make_schedule(name, optimizer(), STEPS, STEPS // 2 + 1)
    assert capsys.readouterr().out == "the learning rate rises for 21 of 40 steps, more than half of the run\n"

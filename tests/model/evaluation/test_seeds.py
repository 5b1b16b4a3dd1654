"""Several runs in one table: mean, spread and an interval over seeds and patients."""

import json

import numpy as np
import pytest

from cardiolect.model.evaluation.result import RESULT
from cardiolect.model.evaluation.seeds import runs_table, several_runs
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import Scores, summarise_runs
from tests.helpers.results import questions, written

FEW = 50  # resamples


def test_runs_are_summarised_with_their_spread(tmp_path):
    floor = np.arange(40) < 10
    folders = [
        written(tmp_path / f"run{seed}", questions(np.arange(40) < n, floor), seed=seed)
        for seed, n in ((1, 20), (2, 24), (3, 28))
    ]
    found = several_runs(folders, FEW)
    em = found["scores"]["em"]
    assert em["values"] == (0.5, 0.6, 0.7) and em["mean"] == pytest.approx(0.6) and em["sd"] == pytest.approx(0.1)
    reach = 4.302653 * 0.1 / np.sqrt(3)  # Student's t of two degrees of freedom
    assert em["over_runs"] == pytest.approx((0.6 - reach, 0.6 + reach))
    low, high = em["over_patients"]
    assert em["over_both"] == pytest.approx((0.6 - np.hypot(reach, 0.6 - low), 0.6 + np.hypot(reach, high - 0.6)))
    assert [(row["seed"], row["gap"]) for row in found["runs"]] == [
        (seed, pytest.approx(gap)) for seed, gap in ((1, 0.25), (2, 0.35), (3, 0.45))
    ]
    assert found["gap"]["mean"] == pytest.approx(0.35) and found["same_checkpoint"] == []
    table = runs_table(found)
    assert "run2" in table and "other seeds, these patients" in table and "\nf1 " in table
    assert json.loads(json.dumps(found))["gap"]["over_both"] == list(found["gap"]["over_both"])
    without = [written(tmp_path / name, questions(np.ones(8))) for name in ("without a", "without b")]
    assert "gap" not in several_runs(without, FEW) and "gap" not in runs_table(several_runs(without, FEW))


def test_runs_of_one_checkpoint_are_pointed_out(tmp_path):
    folders = [written(tmp_path / name, questions(np.arange(8) % 2), fingerprint="f") for name in "ab"]
    found = several_runs(folders, FEW)
    assert found["same_checkpoint"] == [[str(folder) for folder in folders]]
    assert "their spread is not that of training" in runs_table(found)


def test_runs_have_the_same_samples(tmp_path):
    samples = questions(np.arange(8) % 2)
    a, short = written(tmp_path / "a", samples), written(tmp_path / "short", samples[2:])
    with pytest.raises(UserError, match=r"a has 2 samples that .*short lacks"):
        several_runs([a, short])
    for paths, message in (([a], "at least two results"), ([a, a / RESULT], "given twice")):
        with pytest.raises(UserError, match=message):
            several_runs(paths)


def test_the_interval_over_seeds_and_patients_covers_the_truth():
    """Three runs, each some points off by luck, on forty patients of different difficulty."""
    rng, held = np.random.default_rng(0), {"over_runs": 0, "over_patients": 0, "over_both": 0}
    for _ in range(200):
        of_patients = rng.normal(0, 0.3, 40)
        runs = [
            {"all": Scores.per_sample({"x": 0.5 + luck + of_patients + rng.normal(0, 0.05, 40)})}
            for luck in rng.normal(0, 0.04, 3)
        ]
        found = summarise_runs(lambda values: values["all"], "x", runs, range(40), n_resamples=100)
        for key in held:
            low, high = getattr(found, key)
            held[key] += low <= 0.5 <= high
    assert held["over_both"] / 200 >= 0.95
    assert held["over_patients"] / 200 < 0.92 and held["over_runs"] / 200 < 0.9

"""What p-values and intervals promise and what they hold, on simulated results: ``python -m bench.uncertainty``.

False alarms of the paired test where two systems do not differ, beside a test that takes questions for independent; and
how often intervals over runs hold the truth, beside a bootstrap that draws runs as well as patients.
"""

import argparse

import numpy as np

from cardiolect.utils.command_line import Parser
from cardiolect.utils.metrics import Scores, paired_test, summarise_runs

RESAMPLES = 199


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials
    print(f"false alarms at 0.05, percent of {trials} trials\npatients  questions each  over patients  over questions")
    for n_patients, n_questions in ((10, 20), (30, 20), (100, 5)):
        rates = false_alarms(n_patients, n_questions, trials)
        print(f"{n_patients:8}{n_questions:16}{100 * rates[0]:15.1f}{100 * rates[1]:16.1f}", flush=True)
    print(f"95 % intervals of the mean over runs: how often they hold the truth, percent of {trials} trials")
    print("runs  SD of runs  SD of single answers  over runs  over patients  both  runs and patients drawn")
    for n_runs, sd_runs, sd_single in ((3, 0.03, 0.05), (3, 0.05, 0.05), (3, 0.05, 0.3), (5, 0.05, 0.05), (3, 0, 0.3)):
        held = coverage(n_runs, sd_runs, sd_single, trials)
        cells = "".join(f"{100 * share:{width}.1f}" for share, width in zip(held, (11, 15, 6, 25), strict=True))
        print(f"{n_runs:4}{sd_runs:12}{sd_single:22}{cells}", flush=True)


def false_alarms(n_patients: int, n_questions: int, trials: int) -> np.ndarray:
    """Share of trials with p of at most 0.05: test over patients, over questions."""
    rng, alarms = np.random.default_rng(11), np.zeros(2)
    patients = np.repeat(np.arange(n_patients), n_questions).tolist()
    for _ in range(trials):
        share = np.repeat(rng.beta(0.3, 0.3, (2, n_patients)), n_questions, axis=1)
        a, b = (Scores.per_sample({"em": right}) for right in rng.random(share.shape) < share)
        tests = (paired_test("em", a, b, each, n_resamples=RESAMPLES) for each in (patients, range(len(patients))))
        alarms += [test.p is not None and test.p <= 0.05 for test in tests]
    return alarms / trials


def coverage(n_runs: int, sd_runs: float, sd_single: float, trials: int, n_patients: int = 100) -> np.ndarray:
    """Share of trials whose interval holds the truth: over runs, patients, both; and both drawn with replacement."""
    rng, held, truth = np.random.default_rng(5), np.zeros(4), 0.5
    for _ in range(trials):
        of_patients = rng.normal(0, 0.3, n_patients)
        luck = rng.normal(0, sd_runs, (n_runs, 1))
        runs = truth + luck + of_patients + rng.normal(0, sd_single, (n_runs, n_patients))
        scores = [{"all": Scores.per_sample({"x": run})} for run in runs]
        found = summarise_runs(lambda values: values["all"], "x", scores, range(n_patients), RESAMPLES)
        draws = [
            runs[rng.integers(n_runs, size=n_runs)][:, rng.integers(n_patients, size=n_patients)].mean()
            for _ in range(RESAMPLES)
        ]
        drawn = np.quantile(draws, [0.025, 0.975])
        intervals = (found.over_runs, found.over_patients, found.over_both, drawn)
        held += [low <= truth <= high for low, high in intervals]
    return held / trials


if __name__ == "__main__":
    main()

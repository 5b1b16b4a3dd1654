"""Whether p-values and confidence intervals keep their promise, on simulated results: ``python -m bench.uncertainty``.

False alarm rate of the paired test for two systems that do not differ, compared with a test that treats questions as
independent; and coverage of intervals over runs, compared with a bootstrap that resamples runs as well as patients.
"""

import numpy as np

from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.metrics import Scores, paired_test, summarise_runs

RESAMPLES = 199


def main() -> None:
    parser = Parser(description="Check p-values and confidence intervals on simulated results.")
    parser.add_argument("--trials", type=int, default=1000, help="simulated trials per row (default: 1000)")
    trials = parser.parse_args().trials
    print(f"false alarms at 0.05, percent of {trials} trials\npatients  questions each  over patients  over questions")
    for n_patients, n_questions in ((10, 20), (30, 20), (100, 5)):
        rates = false_alarms(n_patients, n_questions, trials)
        print(f"{n_patients:8}{n_questions:16}{100 * rates[0]:15.1f}{100 * rates[1]:16.1f}", flush=True)
    print(f"coverage of 95 % intervals of the mean over runs, percent of {trials} trials")
    print("runs  SD of runs  SD of single answers  over runs  over patients  both  runs and patients resampled")
    for n_runs, sd_runs, sd_single in ((3, 0.03, 0.05), (3, 0.05, 0.05), (3, 0.05, 0.3), (5, 0.05, 0.05), (3, 0, 0.3)):
        shares = coverage(n_runs, sd_runs, sd_single, trials)
        cells = "".join(f"{100 * share:{width}.1f}" for share, width in zip(shares, (11, 15, 6, 29), strict=True))
        print(f"{n_runs:4}{sd_runs:12}{sd_single:22}{cells}", flush=True)


def false_alarms(n_patients: int, n_questions: int, trials: int) -> np.ndarray:
    """Share of trials with p <= 0.05, of a test over patients and of one over questions."""
    rng, alarms = np.random.default_rng(11), np.zeros(2)
    patients = np.repeat(np.arange(n_patients), n_questions).tolist()
    for _ in range(trials):
        share = np.repeat(rng.beta(0.3, 0.3, (2, n_patients)), n_questions, axis=1)
        a, b = (Scores.per_sample({"em": right}) for right in rng.random(share.shape) < share)
        tests = (paired_test("em", a, b, each, n_resamples=RESAMPLES) for each in (patients, range(len(patients))))
        alarms += [test.p is not None and test.p <= 0.05 for test in tests]
    return alarms / trials


def coverage(n_runs: int, sd_runs: float, sd_single: float, trials: int, n_patients: int = 100) -> np.ndarray:
    """Share of trials whose interval covers the truth: over runs, patients, both; and both resampled."""
    rng, covered, truth = np.random.default_rng(5), np.zeros(4), 0.5
    for _ in range(trials):
        patient_effects = rng.normal(0, 0.3, n_patients)
        run_effects = rng.normal(0, sd_runs, (n_runs, 1))
        runs = truth + run_effects + patient_effects + rng.normal(0, sd_single, (n_runs, n_patients))
        scores = [{"all": Scores.per_sample({"x": run})} for run in runs]
        summary = summarise_runs(lambda values: values["all"], "x", scores, range(n_patients), RESAMPLES)
        draws = [
            runs[rng.integers(n_runs, size=n_runs)][:, rng.integers(n_patients, size=n_patients)].mean()
            for _ in range(RESAMPLES)
        ]
        resampled = np.quantile(draws, [0.025, 0.975])
        intervals = (summary.over_runs, summary.over_patients, summary.over_both, resampled)
        covered += [low <= truth <= high for low, high in intervals]
    return covered / trials


if __name__ == "__main__":
    run_command(main)

"""Whether p-values and confidence intervals keep their promise, on simulated results: ``python -m bench.uncertainty``.

False alarm rate of the paired test for two systems that do not differ, compared with a test that treats questions as
independent; coverage of intervals over runs, compared with a bootstrap that resamples runs as well as patients;
coverage of intervals of yes-or-no questions, compared with the bootstrap alone; and how many of many groups have a gap
above zero if there is nothing to find.
"""

import numpy as np
from scipy.stats import norm

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.floors import gap_over
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.metrics import NO, YES, Scores, bootstrap_ci, paired_test, summarise_runs, verify_means

RESAMPLES = 199
# Patients with yes, patients with no, recordings of each, separation; without separation there is nothing to find.
QUESTIONS = (
    (5, 100, 1, 0.0),
    (5, 100, 1, 2.0),
    (5, 100, 3, 0.0),
    (5, 100, 3, 2.0),
    (30, 100, 3, 0.0),
    (30, 100, 3, 2.0),
)


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
    print(f"coverage of 95 % intervals of yes-or-no questions, percent of {trials} trials")
    print(
        "patients with  without  recordings  separation  balanced accuracy  bootstrap alone  AUROC  means of 15: both"
    )
    for n_yes, n_no, each, separation in QUESTIONS:
        design = (n_yes, n_no, each, separation)
        shares = [*question_coverage(*design, trials), *question_coverage(*design, trials, n_questions=15)[::2]]
        cells = "".join(f"{100 * share:{width}.1f}" for share, width in zip(shares, (19, 17, 7, 11, 11), strict=True))
        print(f"{n_yes:13}{n_no:9}{each:12}{separation:12.1f}{cells}", flush=True)
    print(f"groups whose gap is above zero by chance, percent of {trials} groups of 60 samples of 30 patients")
    for n_floors in (1, 2, 4):
        print(f"{n_floors} floors: {100 * gaps_by_chance(n_floors, trials):.1f}", flush=True)


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


def question_coverage(
    n_yes: int, n_no: int, each: int, separation: float, trials: int, n_questions: int = 1
) -> np.ndarray:
    """Share of trials whose interval covers the truth: balanced accuracy, by the bootstrap alone, and AUROC.

    separation: of the margins for yes and no, in standard deviations; half of their variance is between patients, who
    have ``each`` recordings. With several questions: of the means over them.
    """
    rng, covered, n = np.random.default_rng(3), np.zeros(3), n_yes + n_no
    truth = norm.cdf(separation / 2), norm.cdf(separation / 2), norm.cdf(separation / np.sqrt(2))
    patients = np.tile(np.repeat(np.arange(n), each), n_questions).tolist()
    names = [f"{k:02}" for k in range(n_questions) for _ in range(n * each)]
    for _ in range(trials):
        has = np.stack([rng.permutation(n) < n_yes for _ in range(n_questions)])
        centres = separation * (has - 0.5) + rng.normal(0, np.sqrt(0.5), n)
        margins = np.repeat(centres, each, axis=1) + rng.normal(0, np.sqrt(0.5), (n_questions, n * each))
        is_yes, says_yes = np.repeat(has, each, axis=1).ravel(), margins.ravel() > 0
        gold, said = ([YES if value else NO for value in values] for values in (is_yes, says_yes))
        answers = [(answer,) for answer in gold]
        rows, means = verify_means(names, answers, said, margins.ravel().tolist(), patients, n_resamples=RESAMPLES)
        found = rows[names[0]] if n_questions == 1 else means
        alone = bootstrap_ci(_balanced, _parts(is_yes, says_yes), patients, RESAMPLES) if n_questions == 1 else None
        ends = found["balanced_accuracy_ci95"], (alone.low, alone.high) if alone else (0, 0), found["auroc_ci95"]
        covered += [low <= value <= high for value, (low, high) in zip(truth, ends, strict=True)]
    return covered / trials


def _parts(is_yes: np.ndarray, says_yes: np.ndarray) -> dict[str, np.ndarray]:
    return {"yes": is_yes, "no": ~is_yes, "true yes": is_yes & says_yes, "true no": ~is_yes & ~says_yes}


def _balanced(means: dict[str, float]) -> float:
    return sum(means[f"true {each}"] / means[each] if means[each] else 0.5 for each in (YES, NO)) / 2


def gaps_by_chance(n_floors: int, trials: int) -> float:
    """Share of groups whose gap has an interval above zero, though the model is no better than its floors."""
    rng, above = np.random.default_rng(7), 0
    floors = [f"floor {k}" for k in range(n_floors)]
    patients = np.repeat(np.arange(30), 2).tolist()
    for _ in range(trials):
        right = {name: rng.random(60) < 0.5 for name in (WITH_ECG, *floors)}
        above += bootstrap_ci(gap_over(floors), right, patients, RESAMPLES).low > 0
    return above / trials


if __name__ == "__main__":
    run_command(main)

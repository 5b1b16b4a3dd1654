"""Several runs of one experiment on the same samples: mean, standard deviation and intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cardiolect.model.evaluation.alignment import Evaluated, on_common_samples
from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.floors import floors, gap_over
from cardiolect.model.evaluation.result import RESULT
from cardiolect.model.evaluation.scoring import main_score
from cardiolect.model.evaluation.verdict import seen_alarm
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import summarise_runs

_OF_EACH_RUN = {"seed", "output_dir", "checkpoint", "tokenizer_path", "cache_dir"}
COVERS = {
    "over_runs": "other seeds, these patients (Student's t over runs)",
    "over_patients": "other patients, these runs (patients resampled)",
    "over_both": "other seeds and other patients (both together)",
}


def several_runs(
    paths: Sequence[Path], resamples: int = 1000, seed: int = 0, metrics: str | None = None
) -> dict[str, Any]:
    """Summarise results (result.json or its folder) of the same samples and definition; JSON-ready, fractions of 1.

    ``runs``: one row per run, in the given order, with its ``folder``, training ``seed`` (None if unknown), a
    ``warning`` if training has seen patients, the main score with the ECG and under every floor that all runs have, and
    the signal-use ``gap``. ``scores`` (all scores with the ECG) and ``gap``: values, mean, SD and intervals from
    `utils.metrics.summarise_runs`. ``differ``: settings of training, other than seed and paths, in which the runs
    differ. ``same_checkpoint``: folders whose checkpoints have the same fingerprint. Raises `UserError` if the results
    are not comparable.
    """
    if len(paths) < 2:
        raise UserError(f"give at least two results, not {len(paths)}")
    if len({(path.parent if path.name == RESULT else path).resolve() for path in paths}) < len(paths):
        raise UserError("a result is given twice; give every run once")
    first, *others = [Evaluated.read(path, metrics) for path in paths]
    runs = [first]
    for other in others:
        mine, theirs = on_common_samples(first, other)
        missing = len(first.samples) - len(mine.samples), len(other.samples) - len(theirs.samples)
        if any(missing):
            raise UserError(
                f"{first.path} has {missing[0]} samples that {other.path} lacks, and lacks {missing[1]} that it has; "
                "evaluate all runs on the same samples"
            )
        runs.append(theirs)
    if len(modes := {run.result["settings"].get("answer_mode", "generate") for run in runs}) > 1:
        raise UserError(f"runs with ANSWER_MODE={' and '.join(sorted(modes))} cannot be summarised together")
    name = main_score(first.task, first.metrics)
    shared = [floor for floor in floors(first.conditions) if all(floor in run.conditions for run in runs)]
    scored = [run.scores([WITH_ECG, *shared]) for run in runs]
    patients = [sample.patients for sample in first.samples]

    def summary(score: str, conditions: Sequence[str], statistic) -> dict[str, Any]:
        kept = [{c: each[c] for c in conditions} for each in scored]
        return asdict(summarise_runs(statistic, score, kept, patients, resamples, seed))

    rows = []
    for run, each in zip(runs, scored, strict=True):
        values = {c: scores.values[name] for c, scores in each.items()}
        rows.append(
            {
                "folder": str(run.path if run.path.is_dir() else run.path.parent),
                "seed": run.result.get("checkpoint", {}).get("seed"),
                "warning": seen_alarm(run.result),
                "samples": len(run.samples),
                "score": values[WITH_ECG],
                "floors": {floor: values[floor] for floor in shared},
                **({"gap": gap_over(shared)(values)} if shared else {}),
            }
        )
    result = {
        "task": first.task,
        "metrics": first.metrics,
        "samples": len(first.samples),
        "patients": len({number for numbers in patients for number in numbers}),
        "score": name,
        "runs": rows,
        "differ": _differing(runs),
        "same_checkpoint": _same_checkpoint(runs, [row["folder"] for row in rows]),
        "scores": {
            score: summary(score, [WITH_ECG], lambda values: values[WITH_ECG])
            for score in (name, *(n for n in scored[0][WITH_ECG].formulas if n != name))
        },
    }
    if shared:
        result["gap"] = summary(name, [WITH_ECG, *shared], gap_over(shared))
    return {**result, "resamples": resamples, "seed": seed}


def _differing(runs: Sequence[Evaluated]) -> list[str]:
    """The settings of training in which runs differ, other than seed and paths."""
    trained = [run.result.get("checkpoint", {}).get("settings") or {} for run in runs]
    keys = {key for each in trained for key in each} - _OF_EACH_RUN
    return sorted(key.upper() for key in keys if len({repr(each.get(key)) for each in trained}) > 1)


def runs_table(summed: Mapping[str, Any]) -> str:
    """The runs, and every score with mean, SD and intervals, for a terminal; in percent."""
    rows, name = summed["runs"], summed["score"]
    shared = list(rows[0]["floors"])
    width = max(12, *(len(row["folder"]) + 2 for row in rows))
    lines = [
        f"{summed['task']}: {len(rows)} runs on {summed['samples']} samples of {summed['patients']} patients; "
        f"METRICS={summed['metrics']}; percent",
        f"{'':{width}}{'seed':>8}{'samples':>9}{name:>10}"
        + "".join(f"{CONDITIONS[floor].heading:>15}" for floor in shared)
        + (f"{'gap':>8}" if shared else ""),
    ]
    for row in rows:
        seed = "-" if row["seed"] is None else row["seed"]
        cells = f"{row['folder']:{width}}{seed:>8}{row['samples']:>9}{100 * row['score']:10.1f}"
        cells += "".join(f"{100 * row['floors'][floor]:15.1f}" for floor in shared)
        lines.append(cells + (f"{100 * row['gap']:+8.1f}" if shared else ""))
    main = summed["scores"][name]
    for label, key in (("mean", "mean"), ("SD", "sd")):
        cells = f"{label:{width}}{'':>17}{100 * main[key]:10.1f}"
        for floor in shared:
            values = [row["floors"][floor] for row in rows]
            cells += f"{100 * (np.mean(values) if key == 'mean' else np.std(values, ddof=1)):15.1f}"
        lines.append(cells + (f"{100 * summed['gap'][key]:+8.1f}" if shared else ""))
    lines.append("95 % intervals of the mean")
    columns = [(name, main), *([("gap", summed["gap"])] if shared else [])]
    lines.append(f"{'':52}" + "".join(f"{label:>18}" for label, _ in columns))
    lines += [
        f"{covers:52}" + "".join(f"{_interval(found[key]):>18}" for _, found in columns)
        for key, covers in COVERS.items()
    ]
    lines.append(f"{'':20}{'mean':>8}{'SD':>8}{'other seeds':>18}{'other patients':>18}{'both':>18}")
    lines += [
        f"{score:20}{100 * found['mean']:8.1f}{100 * found['sd']:8.1f}"
        + "".join(f"{_interval(found[key]):>18}" for key in COVERS)
        for score, found in summed["scores"].items()
    ]
    lines += [f"WARNING: {row['folder']}: {row['warning']}" for row in rows if row["warning"]]
    if summed["differ"]:
        lines.append(f"not runs of one experiment: their training differs in {', '.join(summed['differ'])}")
    seeds = [run["seed"] for run in rows]
    if len(set(seeds)) < len(seeds):
        lines.append(f"training seeds are not all different or known: {', '.join(map(str, seeds))}")
    for folders in summed["same_checkpoint"]:
        lines.append(f"the same checkpoint: {', '.join(folders)}; their spread is not that of training")
    return "\n".join(lines)


def _same_checkpoint(runs: Sequence[Evaluated], folders: Sequence[str]) -> list[list[str]]:
    by_fingerprint: dict[str, list[str]] = {}
    for run, folder in zip(runs, folders, strict=True):
        if fingerprint := run.result.get("checkpoint", {}).get("fingerprint"):
            by_fingerprint.setdefault(fingerprint, []).append(folder)
    return [found for found in by_fingerprint.values() if len(found) > 1]


def _interval(ends: Sequence[float | None]) -> str:
    low, high = ends
    return "-" if low is None or high is None else f"[{100 * low:.1f}, {100 * high:.1f}]"

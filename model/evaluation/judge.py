"""Lets a language model judge the reports or conversations of an evaluation: ``cardiolect judge RESULT_FOLDER``.

JUDGE_URL, JUDGE_MODEL and JUDGE_KEY name the judge. It is sent questions, references and answers, and nothing else.
Writes judge.json to RESULT_FOLDER. Verdicts are kept in RESULT_FOLDER/judge, so that another run does not request them
again.
"""

import argparse
import hashlib
import json
import random
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardiolect.model.evaluation.conditions import WITH_ECG
from cardiolect.model.evaluation.floors import floors as floors_of
from cardiolect.model.evaluation.floors import gap_over
from cardiolect.model.evaluation.result import RESULT, read_result
from cardiolect.model.evaluation.samples import PREDICTIONS, Sample
from cardiolect.model.prompt.tasks import TASKS
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import bootstrap_ci
from cardiolect.utils.metrics.ecgbench import ARENA, REPORT, Judge, JudgeEndpoint

JUDGED = "judge.json"
RUBRICS = {"report": REPORT, "arena": ARENA}
TASK_OF = {task.rubric: name for name, task in TASKS.items() if task.rubric}  # rubric -> task of its samples


@dataclass(frozen=True)
class Judged:
    """The unit of one request: a report, or all turns of a conversation."""

    name: str
    samples: tuple[Sample, ...]

    def item(self, condition: str, rubric: str) -> dict[str, Any]:
        """The request in the form that `Judge.score` takes."""
        turns = [
            {
                **({"question": sample.question} if sample.question else {}),
                "reference": sample.answers[0],
                "answer": sample.predictions[condition],
            }
            for sample in self.samples
        ]
        return {"id": self.name, **({"turns": turns} if rubric == "arena" else turns[0])}


def judge_result(
    folder: Path,
    endpoint: JudgeEndpoint,
    rubric: str | None = None,
    condition: str = WITH_ECG,
    floors: bool = False,
    limit: int = 0,
    threads: int = 4,
) -> dict[str, Any]:
    """Judge the samples of the result in ``folder``; returns the contents of judge.json.

    Scores are 0 to 100, axes 0 to 10. rubric: "report" or "arena", by default that of the result's task. floors: judge
    the floors as well. limit: the number of reports or conversations, drawn by the seed of the evaluation; 0 for all.
    Raises `UserError` if there is nothing to judge, or if no verdict could be had.
    """
    result, samples = read_result(folder)
    folder = folder if folder.is_dir() else folder.parent
    rubric = rubric or TASKS[result["task"]].rubric or "report"
    judged, incomplete = _units(folder, samples, rubric)
    seed = int(result["settings"].get("seed", 0))
    total = len(judged)
    if limit and limit < total:
        judged = [judged[i] for i in sorted(random.Random(seed).sample(range(total), limit))]
    available = [name for name in judged[0].samples[0].predictions if _has(judged, name)]
    if floors and condition != WITH_ECG:
        raise UserError(f"--floors goes with --condition {WITH_ECG}: the gap is that of the model with the ECG")
    if condition not in available:
        raise UserError(f"{folder}: condition {condition} is not in all samples; there are {', '.join(available)}")
    conditions = [condition, *(name for name in floors_of(available) if floors)]
    if floors and len(conditions) == 1:
        raise UserError(f"{folder}: has no floors to judge; evaluate with FLOORS=no_ecg,other_ecg")

    judge = Judge(RUBRICS[rubric], endpoint, folder / "judge" / "verdicts.jsonl", threads)
    items = {name: [unit.item(name, rubric) for unit in judged] for name in conditions}
    asked = judge.count_requests([item for each in items.values() for item in each])
    print(
        f"{len(judged):,} of {total:,} {_plural(rubric)} under {', '.join(conditions)}: {asked:,} requests", flush=True
    )
    found = {name: judge.score(each) for name, each in items.items()}
    if not found[condition]["items"]:
        reason = next(iter(found[condition]["failed"].values()))
        raise UserError(f"JUDGE_URL {endpoint.url}: none of {len(judged)} {_plural(rubric)} was judged: {reason}")

    patients = {unit.name: tuple(dict.fromkeys(p for s in unit.samples for p in s.patients)) for unit in judged}
    resamples = int(result["settings"].get("bootstrap_resamples", 1000))
    scored: dict[str, Any] = {}
    for name, scores in found.items():
        keys = ("score", "axes", "n", "judged", "malformed", "failed", "items")
        scored[name] = {key: scores[key] for key in keys if key in scores}
        if scores["items"]:
            interval = _interval({name: scores["items"]}, patients, lambda m: next(iter(m.values())), resamples, seed)
            scored[name] |= {"ci95": [interval["low"], interval["high"]], "patients": interval["n_patients"]}
    document = {
        "task": result["task"],
        "rubric": rubric,
        "judge": {
            **found[condition]["judge"],
            "served": sorted({model for scores in found.values() for model in scores["judge"]["served"]}),
        },
        "hash": found[condition]["hash"],
        "samples": len(judged),
        "of": total,
        "incomplete_conversations": incomplete,
        "predictions_sha256": hashlib.sha256((folder / PREDICTIONS).read_bytes()).hexdigest(),
        "conditions": scored,
    }
    if len(conditions) > 1:
        document["gap"] = _gap({name: scores["items"] for name, scores in found.items()}, patients, resamples, seed)
    return document


def _units(folder: Path, samples: Sequence[Sample], rubric: str) -> tuple[list[Judged], int]:
    """The units to judge, in the order of the samples, and the number of conversations left out for a missing turn."""
    samples = [sample for sample in samples if sample.task == TASK_OF[rubric]]
    if not samples:
        raise UserError(
            f"{folder / RESULT}: rubric {rubric} is for samples of task {TASK_OF[rubric]}, and there are none"
        )
    if rubric != "arena":
        return [Judged(sample.sample_id, (sample,)) for sample in samples], 0
    turns: dict[str, dict[int, Sample]] = defaultdict(dict)
    for sample in samples:
        name, _, turn = sample.sample_id.rpartition(":")
        if not name or not turn.isdecimal():
            raise UserError(f"{folder / PREDICTIONS}: sample {sample.sample_id} does not end in the number of its turn")
        turns[name][int(turn)] = sample
    whole = {name: [chat[k] for k in sorted(chat)] for name, chat in turns.items() if max(chat) == len(chat) - 1}
    if not whole:
        raise UserError(f"{folder / PREDICTIONS}: every conversation lacks a turn; evaluate without MAX_SAMPLES")
    return [Judged(name, tuple(chat)) for name, chat in whole.items()], len(turns) - len(whole)


def _has(judged: Sequence[Judged], condition: str) -> bool:
    return all(condition in sample.predictions for unit in judged for sample in unit.samples)


def _interval(
    scores: Mapping[str, Mapping[str, float]],
    patients: Mapping[str, tuple[int, ...]],
    statistic,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """A bootstrap interval over patients, for the units that are judged under every condition."""
    common = [name for name in patients if all(name in units for units in scores.values())]
    columns = {condition: np.array([units[name] for name in common]) for condition, units in scores.items()}
    return asdict(bootstrap_ci(statistic, columns, [patients[name] for name in common], resamples, seed))


def _gap(
    scores: Mapping[str, Mapping[str, float]],
    patients: Mapping[str, tuple[int, ...]],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The signal-use gap in the judge's score, for the units that are judged under every condition."""
    common = [name for name in patients if all(name in units for units in scores.values())]
    if not common:
        return {"value": None, "ci95": [None, None], "best_floor": None, "samples": 0}
    floors = floors_of(scores)
    found = _interval(scores, patients, gap_over(floors), resamples, seed)
    best = max(floors, key=lambda floor: sum(scores[floor][name] for name in common))
    return {"value": found["value"], "ci95": [found["low"], found["high"]], "best_floor": best, "samples": len(common)}


def judge_table(document: Mapping[str, Any]) -> str:
    """The scores for a terminal."""
    judge, conditions = document["judge"], document["conditions"]
    first = next(iter(conditions.values()))
    lines = [
        f"{document['task']}: {document['samples']:,} {_plural(document['rubric'])} of {first['patients']:,} patients; "
        "score 0 to 100, axes 0 to 10",
        _row("", list(conditions)),
        _row("score", [_number(each.get("score")) for each in conditions.values()]),
        _row("95 %, over patients", [_range(each.get("ci95")) for each in conditions.values()]),
        *(
            _row(axis, [_number(each.get("axes", {}).get(axis)) for each in conditions.values()])
            for axis in first["axes"]
        ),
    ]
    if failed := sum(len(each["failed"]) for each in conditions.values()):
        lines.append(f"{failed} not judged and not in the means; the same command requests them again")
    if document["incomplete_conversations"]:
        lines.append(f"{document['incomplete_conversations']} conversations lack a turn and are left out")
    if (gap := document.get("gap")) and gap["samples"]:
        lines.append(
            f"signal-use gap by the judge: {gap['value']:+.1f} points {_range(gap['ci95'])} against the best floor, "
            f"{gap['best_floor']}, over {gap['samples']} judged under all conditions"
        )
    lines.append(f"judge {judge['model']}, prompt {judge['prompt_sha256'][:12]} (our own wording)")
    return "\n".join(lines)


def _plural(rubric: str) -> str:
    return TASKS[TASK_OF[rubric]].title.lower()


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:24}" + "".join(f"{cell:>18}" for cell in cells)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _range(ends: Sequence[float | None] | None) -> str:
    return "-" if not ends or ends[0] is None else f"[{ends[0]:.1f}, {ends[1]:.1f}]"


def main(arguments: Sequence[str] | None = None) -> None:
    shape = argparse.RawDescriptionHelpFormatter
    parser = Parser("cardiolect judge", description=__doc__, formatter_class=shape)
    parser.add_argument("folder", type=Path, metavar="RESULT_FOLDER", help="OUTPUT_DIR of an evaluation")
    parser.add_argument("--rubric", choices=RUBRICS, help="default: that of the result's task")
    parser.add_argument("--condition", default=WITH_ECG, help=f"the answers to judge (default: {WITH_ECG})")
    parser.add_argument("--floors", action="store_true", help="also judge the floors and report the signal-use gap")
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="judge N, drawn by the evaluation's seed; 0: all"
    )
    parser.add_argument("--threads", type=int, default=4, help="requests at a time")
    given = parser.parse_args(arguments)
    if given.limit < 0:
        raise UserError(f"--limit {given.limit}: give a number of reports or conversations, or 0 for all")
    endpoint = JudgeEndpoint.from_environment()
    try:
        document = judge_result(
            given.folder, endpoint, given.rubric, given.condition, given.floors, given.limit, given.threads
        )
    except KeyboardInterrupt:
        print("stopped; the same command continues from here", file=sys.stderr)
        sys.exit(130)
    path = (given.folder if given.folder.is_dir() else given.folder.parent) / JUDGED
    try:
        path.write_text(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    print(judge_table(document), f"{path.name} is in {path.parent}", sep="\n")


if __name__ == "__main__":
    run_command(main)

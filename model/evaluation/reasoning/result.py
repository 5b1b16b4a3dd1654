"""result.json and scores.txt of chains; every score follows from predictions.jsonl."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from cardiolect.model.evaluation.conditions import CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.reasoning.floors import (
    FIXED,
    FIXED_ORACLE,
    FIXED_PATH,
    MEANINGS,
    NO_ECG_BY_TEXT,
    TEXT_ONLY,
)
from cardiolect.model.evaluation.reasoning.predictions import read_predictions, write_predictions
from cardiolect.model.evaluation.reasoning.scores import NAMES, AnsweredChain, score
from cardiolect.model.evaluation.reasoning.settings import REASONING
from cardiolect.model.evaluation.result import RESULT, differences, is_intact, versions
from cardiolect.model.evaluation.samples import PREDICTIONS
from cardiolect.utils.errors import UserError

SCORES = "scores.txt"
HEADINGS = {
    **{name: each.heading for name, each in CONDITIONS.items()},
    FIXED: "fixed chain",
    TEXT_ONLY: "text only",
    FIXED_PATH: "fixed path",
    NO_ECG_BY_TEXT: "no ECG + text",
    FIXED_ORACLE: "(oracle)",
}
_GIVEN = ("task", "checkpoint", "seen", "data", "floors", "predictions", "settings", "versions", "seconds")


class _Rules(BaseModel):
    """The settings of a result that its scores depend on."""

    metrics: str = Field(pattern="^(strict|published)$")
    bootstrap_resamples: int = Field(ge=10)
    seed: int = Field(ge=0)

    def score(self, answered: Sequence[AnsweredChain]) -> dict[str, Any]:
        return score(answered, self.metrics, self.bootstrap_resamples, self.seed)


def write_result(
    folder: Path, answered: Sequence[AnsweredChain], settings: Mapping[str, Any], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write predictions.jsonl, result.json and scores.txt; returns the result. provenance: other parts of it."""
    digest = write_predictions(folder / PREDICTIONS, answered)
    result = {
        "task": REASONING,
        **_Rules.model_validate(settings).score(answered),
        **provenance,
        "floors": {name: meaning for name, meaning in MEANINGS.items() if name in answered[0].predictions},
        "predictions": {"file": PREDICTIONS, "sha256": digest},
        "settings": dict(settings),
        "versions": versions(),
    }
    (folder / RESULT).write_text(json.dumps(result, indent=2) + "\n")
    (folder / SCORES).write_text(scores_table(result) + "\n")
    return result


def is_reasoning(path: Path) -> bool:
    """Whether a result.json, or that of a folder, is about chains; False if it cannot be read."""
    try:
        result = json.loads(_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(result, dict) and result.get("task") == REASONING


def read_result(path: Path) -> dict[str, Any]:
    """A result of chains. Raises `UserError` if predictions.jsonl is not the file that it was written with."""
    path = _file(path)
    result = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(result.get("predictions"), dict) or not is_intact(path.parent, result):
        raise UserError(
            f"{path}: was written with another {PREDICTIONS} than is in its folder; see run_eval.py --check"
        )
    return result


def check_result(path: Path) -> list[str]:
    """The parts of a result that do not follow from its predictions, one line each; empty if all of them do."""
    path = _file(path)
    result, answered = json.loads(path.read_text(encoding="utf-8")), read_predictions(path.parent / PREDICTIONS)
    found = []
    if not isinstance(result.get("predictions"), dict) or not is_intact(path.parent, result):
        found.append(f"{PREDICTIONS} is not the file that the result was written with (its SHA-256 differs)")
    try:
        rules = _Rules.model_validate(result.get("settings"))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: settings: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    again = json.loads(json.dumps(rules.score(answered)))
    found += differences("", {key: value for key, value in result.items() if key not in _GIVEN}, again)
    table = path.parent / SCORES
    if not table.is_file() or table.read_text(errors="replace") != scores_table({**result, **again}) + "\n":
        found.append(f"{SCORES} is missing, or is not the table of these predictions")
    return found


def _file(path: Path) -> Path:
    return path / RESULT if path.is_dir() else path


def scores_table(result: Mapping[str, Any]) -> str:
    """Scores under every condition, the gap over the floors, and Completion by diagnosis and grounding questions."""
    names = list(result["conditions"])
    lines = [
        f"reasoning: {result['chains']} chains of {result['recordings']} recordings, {result['patients']} patients; "
        f"METRICS={result['metrics']}; percent, depth of 4",
        *[f"{HEADINGS[name]}: {meaning}" for name, meaning in MEANINGS.items() if name in names],
        _row("", [HEADINGS[name] for name in names]),
    ]
    for key, label in NAMES.items():
        if key in result["steps"]:
            rows = [result["conditions"][name][key] for name in names]
            ends = [result["ci95"][name][key] for name in names]
            lines.append(_row(f"{label} ({result['steps'][key]})", [_figure(key, value) for value in rows]))
            lines.append(_row("  95 %, over patients", [_ends(key, each) for each in ends]))
    for key, what in (("gap", "the best floor"), ("gap_with_oracles", "the best floor or oracle")):
        if gap := result.get(key):
            lines.append(
                f"signal-use gap of Completion over {what}, {HEADINGS[gap['best_floor']]}: "
                f"{100 * gap['value']:+.1f} points {_ends('', gap['ci95'])}"
            )
    for title, groups in result["groups"].items():
        interval = WITH_ECG in names
        head = [HEADINGS[name] for name in names] + (["95 %"] if interval else [])
        lines += ["", _row(f"Completion by {title}", head)]
        for group, cell in groups.items():
            cells = [_figure("", cell["completion"][name]) for name in names]
            cells += [_ends("", cell["ci95"])] if interval else []
            lines.append(_row(f"{group.replace('_', ' ')} ({cell['n']})", cells))
    return "\n".join(lines)


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:42}" + "".join(f"{cell:>16}" for cell in cells)


def _figure(key: str, value: float) -> str:
    return f"{value:.2f}" if key == "depth" else f"{100 * value:.1f}"


def _ends(key: str, ends: Sequence[float | None]) -> str:
    if ends[0] is None:
        return "-"
    return f"[{_figure(key, ends[0])}, {_figure(key, ends[1])}]"

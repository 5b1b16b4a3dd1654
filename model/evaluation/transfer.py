"""Train on X, test on Y: several results as one grid, a row for each test set and a column for each checkpoint.

Cells of a row are answers to the same questions under the same floors, by the same definition of the scores.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from cardiolect.model.evaluation.conditions import CHOICES, CONDITIONS, WITH_ECG
from cardiolect.model.evaluation.floors import floors
from cardiolect.model.evaluation.paper_table import latex_rows, markdown_rows
from cardiolect.model.evaluation.result import read_result
from cardiolect.model.evaluation.table_rows import interval, points
from cardiolect.model.evaluation.tables import corpus_name, training_line
from cardiolect.model.evaluation.verdict import gaps, score_name, seen_alarm
from cardiolect.model.prompt.tasks import TASKS
from cardiolect.utils.charts import draw_grid
from cardiolect.utils.errors import UserError

EMPTY = "no result"
_SAME = {  # of the cells of a row: what, and what to do
    "samples": "are not about the same questions; evaluate both with the same TEST_DATA, MAX_SAMPLES and SEED, and if "
    "one checkpoint has seen some of the patients, name these in HELD_OUT of its training",
    "prompts": "asked with other texts around the questions; evaluate both with the same DATA_ROOT",
    "floors": "have other floors, so that their gaps cannot be compared; evaluate both with the same FLOORS",
}


def transfer(paths: Sequence[Path]) -> dict[str, Any]:
    """The grid of results (result.json or its folder); JSON-ready, fractions of 1.

    ``trained_on``, ``tested_on``: the labels of columns and rows. ``cells``: one for each result. ``empty``: pairs of
    a row and a column without one. Raises `UserError` if two results are of different tasks or METRICS, if two of a row
    are not of the same questions, two of a cell, or if a result does not say what its checkpoint was trained on.
    """
    read = [(path, read_result(path, intact=True)[0]) for path in paths]
    path, first = read[0]
    for other, result in read[1:]:
        for what, of_both in (
            ("tasks", (first["task"], result["task"])),
            ("METRICS", (first["metrics"]["name"], result["metrics"]["name"])),
        ):
            if len(set(of_both)) > 1:
                raise UserError(f"{path} and {other}: different {what}, {' and '.join(of_both)}, in one grid")
    cells: list[dict[str, Any]] = []
    for path, result in read:
        cell = _cell(path, result)
        for other in (each for each in cells if each["tested_on"] == cell["tested_on"]):
            names = f"{other['result']} and {cell['result']}"
            for key, words in _SAME.items():
                if other["same"][key] != cell["same"][key]:
                    raise UserError(f"{names}: both tested on {cell['tested_on']}, but they {words}")
            if other["checkpoint"] == cell["checkpoint"]:
                raise UserError(f"{names}: the same checkpoint, both tested on {cell['tested_on']}; give one of them")
        cells.append(cell)
    _tell_apart(cells)
    rows, columns = (list(dict.fromkeys(cell[key] for cell in cells)) for key in ("tested_on", "trained_on"))
    filled = {(cell["tested_on"], cell["trained_on"]) for cell in cells}
    return {
        "task": first["task"],
        "metrics": first["metrics"]["name"],
        "score": cells[0]["score"],
        "tested_on": rows,
        "trained_on": columns,
        "cells": cells,
        "empty": [[row, column] for row in rows for column in columns if (row, column) not in filled],
    }


def _tell_apart(cells: Sequence[dict[str, Any]]) -> None:
    """Add the checkpoint to the labels of columns that another checkpoint has too: a column is of one checkpoint."""
    checkpoints: dict[str, set[str]] = {}
    for cell in cells:
        checkpoints.setdefault(cell["trained_on"], set()).add(cell["checkpoint"])
    for cell in cells:
        if len(checkpoints[cell["trained_on"]]) > 1:
            cell["trained_on"] += f" (checkpoint {cell['checkpoint'][:8]})"


def _cell(path: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    found = gaps(result)
    if not found:
        raise UserError(f"{path}: has no floors and so no gap; evaluate it with FLOORS=no_ecg,other_ecg")
    gap = found[-1]  # of reports what they say, not their words
    row, trained = result["conditions"], _trained_on(path, result)
    data, asked = result["data"], [name for name in CHOICES if name in floors(result["conditions"])]
    return {
        "result": str(path),
        "tested_on": _tested_on(result),
        "trained_on": trained,
        "score": gap["of"],
        "value": row[WITH_ECG][gap["of"]],
        "ci95": result["ci95"][gap["of"]][WITH_ECG],
        "best_floor": gap["best_floor"],
        "floor": row[gap["best_floor"]][gap["of"]],
        "gap": gap["value"],
        "gap_ci95": gap["ci95"],
        "samples": result["samples"],
        "patients": result["patients"],
        "checkpoint": result["checkpoint"]["fingerprint"],
        "seed": result["checkpoint"].get("seed"),
        "warning": seen_alarm(result),
        "same": {"samples": data["texts_fingerprint"], "prompts": data["context_fingerprint"], "floors": asked},
    }


def _tested_on(result: Mapping[str, Any]) -> str:
    """The corpora of a test set, and the files of its questions."""
    names = ", ".join(dict.fromkeys(map(corpus_name, result["data"]["corpora"])))
    files = [Path(file) for file in result["settings"].get("test_data") or ()]
    return f"{names}: {', '.join('/'.join(file.parts[-2:]) for file in files)}" if files else f"{names}: test split"


def _trained_on(path: Path, result: Mapping[str, Any]) -> str:
    """The corpora of a checkpoint's training; if its stages had different ones, with the stages."""
    corpora = result.get("checkpoint", {}).get("corpora")
    if not corpora:
        raise UserError(
            f"{path}: does not say which corpora its checkpoint was trained on: an earlier release wrote it, or the "
            "checkpoint; evaluate again"
        )
    return training_line(corpora)


def _texts(grid: Mapping[str, Any]) -> list[list[str]]:
    """Head and rows as text: the score with its interval, then the gap with its own."""
    by_place = {(cell["tested_on"], cell["trained_on"]): cell for cell in grid["cells"]}
    rows = [["tested on", *(f"trained on {column}" for column in grid["trained_on"])]]
    for row in grid["tested_on"]:
        found = [by_place.get((row, column)) for column in grid["trained_on"]]
        rows.append([row, *(EMPTY if cell is None else "; gap ".join(_figures(cell)) for cell in found)])
    return rows


def _figures(cell: Mapping[str, Any]) -> tuple[str, str]:
    mark = "!" if cell["warning"] else ""
    return (
        f"{100 * cell['value']:.1f}{mark}{interval(cell['ci95'])}",
        f"{points(cell['gap'])}{interval(cell['gap_ci95'])}",
    )


def _notes(grid: Mapping[str, Any]) -> list[str]:
    notes = [
        f"{TASKS[grid['task']].units.capitalize()}, {score_name(grid['score'])} by METRICS={grid['metrics']}, percent, "
        "with 95 % intervals by bootstrap over patients. The gap is the score with the ECG above that of the best "
        "floor. Compare along a row: the questions of two rows differ."
    ]
    if grid["empty"]:
        missing = "; ".join(f"trained on {column}, tested on {row}" for row, column in grid["empty"])
        notes.append(f"{EMPTY}: {missing}")
    for cell in grid["cells"]:
        seed = "" if cell["seed"] is None else f", SEED={cell['seed']}"
        warning = f". WARNING (!): {cell['warning']}" if cell["warning"] else ""
        notes.append(
            f"trained on {cell['trained_on']}, tested on {cell['tested_on']}: {cell['samples']} samples of "
            f"{cell['patients']} patients, best floor {100 * cell['floor']:.1f} "
            f"({CONDITIONS[cell['best_floor']].heading}); checkpoint {cell['checkpoint']}{seed}; {cell['result']}"
            f"{warning}"
        )
    return notes


def grid_table(grid: Mapping[str, Any], style: str) -> str:
    """The grid as markdown, latex or csv; CSV has a line for each cell, in fractions of 1."""
    if style == "csv":
        return _csv(grid)
    rows, notes = _texts(grid), _notes(grid)
    if style == "latex":
        return "\n".join([*latex_rows(rows, 1), *(f"% {note}" for note in notes)])
    return "\n".join([*markdown_rows(rows), "", *(f"- {note}" for note in notes)])


def _csv(grid: Mapping[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = ["tested_on", "trained_on", "score", "value", "low", "high", "gap", "gap_low", "gap_high", "best_floor"]
    keys += ["floor", "samples", "patients", "checkpoint", "result", "warning"]
    writer.writerow(keys)
    for cell in grid["cells"]:
        ends = dict(zip(("low", "high", "gap_low", "gap_high"), (*cell["ci95"], *cell["gap_ci95"]), strict=True))
        writer.writerow([{**cell, **ends}[key] for key in keys])
    for row, column in grid["empty"]:
        writer.writerow([row, column, EMPTY, *[""] * (len(keys) - 3)])
    return text.getvalue().rstrip("\n")


def grid_figure(grid: Mapping[str, Any]) -> Figure:
    """The grid as a picture, coloured by the gap; a cell without a result is hatched."""
    texts, colours = {}, {}
    for cell in grid["cells"]:
        place = grid["tested_on"].index(cell["tested_on"]), grid["trained_on"].index(cell["trained_on"])
        score, gap = _figures(cell)
        texts[place], colours[place] = f"{score}\ngap {gap}", 100 * cell["gap"]
    title = f"{score_name(grid['score']).capitalize()} (%) and signal-use gap (points)"
    return draw_grid(grid["tested_on"], grid["trained_on"], texts, colours, title, EMPTY)

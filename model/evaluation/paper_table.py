"""The scores of one or several results as a table for a paper: LaTeX, Markdown or CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cardiolect.model.evaluation.conditions import GENERATED, WITH_ECG
from cardiolect.model.evaluation.reasoning import result as reasoning
from cardiolect.model.evaluation.reasoning.scores import NAMES
from cardiolect.model.evaluation.result import RESULT, read_result
from cardiolect.model.evaluation.table_rows import interval, points
from cardiolect.model.evaluation.tables import QUESTION_MEANS, corpora_line
from cardiolect.model.evaluation.verdict import gaps, score_name, seen_alarm
from cardiolect.model.prompt.tasks import TASKS

REPORT_SCORES = {"content_f1": "content F1", "rougeL": "ROUGE-L", "meteor": "METEOR", "sacrebleu": "sacreBLEU"}
_LATEX = {"\\": r"\textbackslash{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"}, "~": r"\textasciitilde{}"}


@dataclass(frozen=True)
class Score:
    """A score of one result. values, ends: by condition, fractions of 1; ends are of 95 % intervals over patients."""

    label: str
    count: int
    values: Mapping[str, float]
    ends: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    gap: Mapping[str, Any] | None = None
    unit: float = 100


@dataclass(frozen=True)
class Rows:
    """The scores of a result, and the line that must go with them."""

    task: str
    name: str
    scores: list[Score]
    note: str


def paper_table(paths: Sequence[Path], style: str) -> str:
    """The table of results (result.json or its folder) in a style of `STYLES`; percent, and fractions of 1 in CSV.

    Each row is a score of a result: with the ECG, under every floor, and the signal-use gap, with 95 % intervals over
    patients. Notes say what was scored and by which checkpoint, and repeat the warnings of the results. Questions,
    reports and chains have a table each, but in CSV. Raises `UserError` for what is not an intact result.
    """
    results = [_rows(path) for path in paths]
    if style == "csv":
        return _csv(results)
    tasks = dict.fromkeys(each.task for each in results)
    return "\n\n".join(STYLES[style]([each for each in results if each.task == task]) for task in tasks)


def table_of(result: Mapping[str, Any], name: str, style: str) -> str:
    """The table of one evaluation that was read already, called ``name`` in it; reasoning chains excepted."""
    return STYLES[style]([_evaluated(result, name)])


def _rows(path: Path) -> Rows:
    folder = path.parent if path.name == RESULT else path
    name = "/".join(folder.resolve().parts[-2:])
    if not reasoning.is_reasoning(path):
        return _evaluated(read_result(path, intact=True)[0], name)
    result = reasoning.read_result(path)
    sizes = f"{result['chains']} chains of {result['recordings']} recordings, {result['patients']} patients"
    return _with_note(result, name, _reasoning_scores(result), sizes, result["metrics"])


def _evaluated(result: Mapping[str, Any], name: str) -> Rows:
    sizes = f"{result['samples']} samples of {result['records']} recordings, {result['patients']} patients"
    scores = _question_scores(result) if TASKS[result["task"]].exact_match else _report_scores(result)
    return _with_note(result, name, scores, sizes, result["metrics"]["name"])


def _with_note(result: Mapping[str, Any], name: str, scores: list[Score], sizes: str, definition: str) -> Rows:
    checkpoint = result.get("checkpoint", {})
    made = [f"checkpoint {checkpoint['fingerprint']}"] if "fingerprint" in checkpoint else []
    made += [f"SEED={checkpoint['seed']}"] if checkpoint.get("seed") is not None else []
    asked = corpora_line(result.get("data", {}).get("corpora", ()))
    sizes += f" of {asked}" if asked else ""
    note = "; ".join([f"{name}: {result['task']}, {sizes}", f"METRICS={definition}", *made])
    if alarm := seen_alarm(result):
        note += f". WARNING: {alarm}"
    return Rows(result["task"], name, scores, note)


def _conditions(result: Mapping[str, Any], key: str) -> dict[str, float]:
    return {
        name: scores[key]
        for name, scores in result["conditions"].items()
        if name != GENERATED and scores.get(key) is not None
    }


def _question_scores(result: Mapping[str, Any]) -> list[Score]:
    (gap,) = gaps(result) or (None,)
    count = result.get("in_exact_match", result["samples"])
    found = [Score(score_name("em"), count, _conditions(result, "em"), result.get("ci95", {}).get("em", {}), gap)]
    means = {name: each for name, each in result.get("verify_means", {}).items() if name != GENERATED}
    for key, label in QUESTION_MEANS.items():
        if values := {name: each[key] for name, each in means.items() if key in each}:
            ends = {name: means[name][f"{key}_ci95"] for name in values}
            found.append(Score(f"{label}, mean over questions", means[WITH_ECG]["counted"], values, ends))
    return found


def _report_scores(result: Mapping[str, Any]) -> list[Score]:
    gap_of = {gap["of"]: gap for gap in gaps(result)}
    return [
        Score(label, result["samples"], values, result.get("ci95", {}).get(key, {}), gap_of.get(key))
        for key, label in REPORT_SCORES.items()
        if (values := _conditions(result, key))
    ]


def _reasoning_scores(result: Mapping[str, Any]) -> list[Score]:
    found = []
    for key in (key for key in NAMES if key in result["steps"]):
        values = {name: scores[key] for name, scores in result["conditions"].items()}
        ends = {name: result["ci95"][name][key] for name in values}
        gap = result.get("gap") if key == "completion" else None
        found.append(Score(NAMES[key], result["steps"][key], values, ends, gap, unit=1 if key == "depth" else 100))
    return found


def _columns(results: Sequence[Rows]) -> list[str]:
    """All conditions of the results, in the order of tables."""
    used = {name for rows in results for score in rows.scores for name in score.values}
    return [name for name in reasoning.HEADINGS if name in used]


def _cells(results: Sequence[Rows]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table as text."""
    columns = _columns(results)
    head = ["result", "score", "n", *(reasoning.HEADINGS[name] for name in columns), "gap"]
    rows = []
    for each in results:
        for score in each.scores:
            digits = 1 if score.unit == 100 else 2
            cells = [
                f"{score.unit * score.values[name]:.{digits}f}{interval(score.ends.get(name), score.unit, digits)}"
                if name in score.values
                else "-"
                for name in columns
            ]
            gap = f"{points(score.gap['value'])}{interval(score.gap['ci95'])}" if score.gap else "-"
            rows.append([each.name, score.label, str(score.count), *cells, gap])
    return head, rows


def _markdown(results: Sequence[Rows]) -> str:
    head, rows = _cells(results)
    return "\n".join([*markdown_rows([head, *rows]), "", _LEGEND, "", *(f"- {each.note}" for each in results)])


def _latex(results: Sequence[Rows]) -> str:
    head, rows = _cells(results)
    return "\n".join([*latex_rows([head, *rows], 2), *(f"% {note}" for note in (_LEGEND, *(r.note for r in results)))])


def markdown_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table whose first row is its head."""
    lines = [
        " | ".join(cell.replace("|", "\\|") for cell in row) for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])
    ]
    return [f"| {line} |" for line in lines]


def latex_rows(rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    """The lines of a table whose first row is its head, and whose first columns, so many, are texts.

    Rows with the same first cell belong together, and have it once.
    """
    head, *rows = rows
    lines = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{{'l' * texts}{'r' * (len(head) - texts)}}}"]
    lines += ["\\toprule", " & ".join(map(_escaped, head)) + r" \\", "\\midrule"]
    for before, row in zip([None, *rows], rows, strict=False):
        first = "" if before and before[0] == row[0] else row[0]
        if before and first:
            lines.append("\\midrule")
        lines.append(" & ".join(map(_escaped, [first, *row[1:]])) + r" \\")
    return [*lines, "\\bottomrule", "\\end{tabular}"]


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _csv(results: Sequence[Rows]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["result", "score", "n", "condition", "value", "low", "high", "note"])
    for each in results:
        for score in each.scores:
            values = {reasoning.HEADINGS[name]: (score.values[name], score.ends.get(name)) for name in score.values}
            if score.gap:
                values[f"gap over {reasoning.HEADINGS[score.gap['best_floor']]}"] = (
                    score.gap["value"],
                    score.gap["ci95"],
                )
            for condition, (value, ends) in values.items():
                low, high = ends or (None, None)
                writer.writerow([each.name, score.label, score.count, condition, value, low, high, each.note])
    return text.getvalue().rstrip("\n")


_LEGEND = (
    "Percent (depth: of 4), with 95 % intervals by bootstrap over patients. The gap is the score with the ECG above "
    "that of the best floor."
)
STYLES = {"latex": _latex, "markdown": _markdown, "csv": _csv}

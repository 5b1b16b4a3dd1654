"""Tables of answers that are numbers, for scores.txt and the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from cardiolect.model.evaluation.table_rows import interval, row


def number_figures(found: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Figure of one quantity -> its label and the factor by which it is printed: errors in units, shares in percent."""
    measurable = f"of {found['measurable']}"
    return {
        "median_error": (f"median error, {found['unit']}", 1),
        "close": (f"within {found['within']:g} {found['unit']}, {measurable}", 100),
        "answered": (f"answered with a number, {measurable}", 100),
        "sensitivity": (f'"not measurable" if so, of {found["n"] - found["measurable"]}', 100),
        "specificity": (f'not "not measurable" otherwise, {measurable}', 100),
    }


def numbers_note(result: Mapping[str, Any]) -> str:
    """How questions for numbers count; "" without any."""
    if "numbers" not in result:
        return ""
    n = sum(found["n"] for found in result["numbers"].values())
    apart = result["samples"] - result.get("in_exact_match", result["samples"])
    text = f"{n} answers are numbers, " + (
        "which no other score counts" if apart else "and exact match, which wants the very number, is of these alone"
    )
    if left_out := result["numbers_left_out"]:
        text += f"; {left_out} more ask for no known quantity or have a right answer that cannot be read"
    return f"{text}; the median error is of what is answered with a number"


def number_rows(result: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Lines with every figure of every quantity and its interval; none without questions for numbers.

    names: the conditions, in the order of the columns.
    """
    lines = [note] if (note := numbers_note(result)) else []
    for quantity, found in result.get("numbers", {}).items():
        lines.append(f"{quantity} ({found['n']})")
        for figure, (label, scale) in number_figures(found).items():
            rows = [found["conditions"][name] for name in names]
            if all(each[figure] is None for each in rows):
                continue
            lines.append(row(f"  {label}", [_cell(each[figure], scale) for each in rows]))
            ends = [interval(each[f"{figure}_ci95"], scale).strip() or "-" for each in rows]
            lines.append(row("    95 %, over patients", ends))
    return lines


def _cell(value: float | None, scale: float) -> str:
    return "-" if value is None else f"{scale * value:.1f}"

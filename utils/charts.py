"""Charts of scores. Figures are independent of any display and of matplotlib's global state."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from cardiolect.utils.errors import UserError

_BAR, _GAP = 0.17, 0.14  # inches


def draw_scores(
    groups: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str],
    path: str | Path | None = None,
    title: str = "",
    intervals: Mapping[str, Mapping[str, Sequence[float | None]]] | None = None,
) -> Figure:
    """Horizontal bars of scores with their floors, in percent; the first group is on top.

    groups: score -> condition -> fraction in 0..1; missing conditions leave no gap. colours: condition -> colour, in
    the order of the bars. intervals: score -> condition -> ends, drawn as whiskers if there are any. If ``path`` is
    given, the figure is also saved there. Raises `UserError` for conditions without a colour and if there are no
    scores.
    """
    for score, values in groups.items():
        if unknown := values.keys() - colours.keys():
            raise UserError(f"{score}: unknown condition {min(unknown)!r}; known are {', '.join(colours)}")
    if not any(groups.values()):
        raise UserError("there are no scores to draw")
    bars = sum(len(values) for values in groups.values())
    figure = Figure(figsize=(8, 0.9 + _BAR * bars + _GAP * len(groups)), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    top, centres = 0.0, []
    for group, values in groups.items():
        first = top
        for condition in (name for name in colours if name in values):
            percent = 100 * values[condition]
            axes.barh(top, percent, height=0.9, color=colours[condition])
            ends = [100 * end for end in (intervals or {}).get(group, {}).get(condition, ()) if end is not None]
            if ends:
                axes.plot(ends, (top, top), color="#222222", lw=1, marker="|", markersize=4)
            place = max(percent, 0, *ends), top
            axes.annotate(f"{percent:.1f}", place, (3, 0), textcoords="offset points", va="center", fontsize=7)
            top += 1
        centres.append((first + top - 1) / 2)
        top += _GAP / _BAR
    axes.set(yticks=centres, yticklabels=list(groups), xlim=(0, 104), ylim=(top - _GAP / _BAR, -1), xlabel="score (%)")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.grid(axis="x", color="#dddddd", lw=0.6)
    axes.set_axisbelow(True)
    used = [name for name in colours if any(name in values for values in groups.values())]
    handles = [Line2D([], [], color=colours[name], lw=0, marker="s", markersize=8, label=name) for name in used]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(used)), frameon=False, fontsize=8)
    if title:
        axes.set_title(title, pad=8)
    if path is not None:
        figure.savefig(path)
    return figure


def draw_grid(
    rows: Sequence[str],
    columns: Sequence[str],
    texts: Mapping[tuple[int, int], str],
    values: Mapping[tuple[int, int], float],
    title: str,
    empty: str,
) -> Figure:
    """A heat map: test sets in rows, training sets in columns; equal distances from 0 are equally dark.

    texts, values: ``(row, column)`` -> what stands in the cell, and the number that colours it; other cells are hatched
    and say ``empty``.
    """
    size = 2.2 + 2.5 * len(columns), 1.4 + 0.8 * len(rows)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    axes = figure.add_subplot(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    largest = max(map(abs, values.values()), default=0.0) or 1.0
    colours = colormaps["PuOr_r"]
    for row in range(len(rows)):
        for column in range(len(columns)):
            value = values.get((row, column))
            colour = "#ffffff" if value is None else colours(0.5 + 0.26 * value / largest)
            cell = Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor="#bbbbbb", lw=0.8)
            cell.set_hatch("///" if value is None else "")
            axes.add_patch(cell)
            box = {"facecolor": "#ffffff", "edgecolor": "none", "pad": 2} if value is None else None
            axes.text(column, row, texts.get((row, column), empty), ha="center", va="center", fontsize=8, bbox=box)
    axes.set(xticks=range(len(columns)), yticks=range(len(rows)))
    axes.set_xlabel("trained on", fontsize=9)
    axes.set_ylabel("tested on", fontsize=9)
    axes.set_xticklabels([fill(label, 30) for label in columns], fontsize=8)
    axes.set_yticklabels([fill(label, 26) for label in rows], fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=10, pad=8)
    return figure


def draw_reliability(bins: Sequence[Mapping[str, Any]], colour: str = "#0072B2") -> Figure:
    """Accuracy over confidence in percent: the ``bins`` of `utils.metrics.calibration` with their intervals."""
    figure = Figure(figsize=(4.2, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlim=(0, 102), ylim=(0, 102), aspect="equal")
    axes.plot((0, 100), (0, 100), color="#999999", lw=0.8, ls="--")
    for each in bins:
        low, high = (100 * end for end in each["accuracy_ci95"])
        sure, right = 100 * each["confidence"], 100 * each["accuracy"]
        axes.plot((sure, sure), (low, high), color=colour, lw=1)
        axes.plot(sure, right, color=colour, marker="o", markersize=4)
    axes.set(xlabel="confidence (%)", ylabel="right (%)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def draw_selective(
    curves: Mapping[str, Sequence[Sequence[float]]], colours: Sequence[str] = ("#0072B2", "#D55E00")
) -> Figure:
    """Accuracy over the share of questions that is answered, in percent.

    curves: label -> ``(share, accuracy)`` pairs, the ``curve`` of `utils.metrics.selective`, no more than colours.
    """
    figure = Figure(figsize=(4.2, 4), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlim=(0, 102), ylim=(0, 102))
    for (label, curve), colour in zip(curves.items(), colours, strict=False):
        axes.plot([100 * x for x, _ in curve], [100 * y for _, y in curve], color=colour, lw=1.5, label=label)
    axes.set(xlabel="answered (%)", ylabel="right (%)")
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure

"""Plots of ECGs. Figures are independent of any display and of matplotlib's global state."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cardiolect.utils.errors import UserError

MM_PER_SECOND, MM_PER_MILLIVOLT = 25.0, 10.0
_MM_PER_INCH = 25.4

_ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"), ("II",))
_RHYTHM_SECONDS = 10.0
_COLUMNS = 4
_PULSE = ((0.0, 0.0), (1.5, 0.0), (1.5, 10.0), (6.5, 10.0), (6.5, 0.0), (8.0, 0.0))  # mm: 1 mV for 0.2 s
_LEFT, _RIGHT, _TOP, _BOTTOM = 15.0, 5.0, 15.0, 10.0  # mm of paper around the traces
_REACH = (10.0, 30.0)  # minimum and maximum mm of a row above and below its baseline

_PAPER, _FINE_LINE, _BOLD_LINE = "#fffafa", "#f9d9d9", "#efaaaa"
_INK, _OVERLAY = "#111111", "#1f7aff"
# Towards Okabe & Ito's sky blue: lightness falls evenly, and with any colour vision it differs from the red grid.
_SHADES = LinearSegmentedColormap.from_list("shading", [_PAPER, "#91cdf0"])
_SHADING_CAPTION = "shaded: where the answer depended on the ECG"


def draw_ecg_paper(
    signal: np.ndarray,
    fs: float,
    leads: Sequence[str],
    title: str = "",
    overlay: np.ndarray | None = None,
    labels: tuple[str, str] = ("original", "reconstruction"),
    shading: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Figure:
    """A 12-lead ECG on paper of 25 mm/s and 10 mm/mV: three rows of four leads over a rhythm strip of lead II.

    signal, overlay: millivolts ``(12, T)`` with rows in the order of ``leads``; the overlay is drawn over the signal in
    blue, and a legend names both with ``labels``. NaN leaves a gap.
    shading: starts and ends in seconds of the recording, and weights, each ``(n,)``. Time is shaded behind grid and
    traces, in proportion to its weight per second relative to the maximum. Overlapping spans add up.

    At its own size the figure is true to scale in print. The columns are the four quarters of the rhythm strip below
    them, 2.5 s each of 10 s; only the first 10 s of a longer signal are drawn, which is said at the bottom. Every
    sample of a short one stands above the same time of the strip, too. Leads of NaN alone are marked "not recorded".
    Rows are taller if voltages are high; beyond 3 mV from the baseline, a trace runs into its neighbours.

    Raises `UserError` if shapes, leads or sampling rate are not those of a 12-lead ECG, or the shading is invalid.
    """
    traces = [_check_signal(signal, fs, leads)]
    if overlay is not None:
        traces.append(_check_signal(overlay, fs, leads))
        if overlay.shape != signal.shape:
            raise UserError(f"the overlay has shape {overlay.shape}, the signal {signal.shape}; they must agree")
    shades = None if shading is None else _shades(*shading)
    index = {lead: row for row, lead in enumerate(leads)}
    span = round(min(signal.shape[1], _RHYTHM_SECONDS * fs))
    starts = [round(i * span / _COLUMNS) for i in range(_COLUMNS + 1)]

    # Each row gets as many whole 5 mm squares as its voltages need, so that baselines lie on bold lines.
    windows = [
        [(lead, *((starts[c], starts[c + 1] - starts[c]) if len(row) > 1 else (0, span))) for c, lead in enumerate(row)]
        for row in _ROWS
    ]
    reaches = [_reach([t[index[lead], s : s + n] for t in traces for lead, s, n in row]) for row in windows]
    height = _TOP + _BOTTOM + sum(up + down for up, down in reaches)
    width = _LEFT + _RHYTHM_SECONDS * MM_PER_SECOND + _RIGHT

    figure = Figure(figsize=(width / _MM_PER_INCH, height / _MM_PER_INCH), dpi=200, facecolor=_PAPER)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height), aspect="equal")
    _draw_grid(axes, width, height)
    baseline = height - _TOP
    for row, (up, down) in zip(windows, reaches, strict=True):
        baseline -= up
        if shades is not None:
            _draw_shades(axes, (baseline - down, baseline + up), row, shades, fs)
        _draw_row(axes, baseline, row, traces, index, fs)
        baseline -= down
    _write(axes, _LEFT - 10, height - 8, title, size=11, weight="bold")
    part = f"    first {_RHYTHM_SECONDS:g} s of {signal.shape[1] / fs:.4g} s" if signal.shape[1] > span else ""
    _write(axes, _LEFT - 10, 4, f"25 mm/s    10 mm/mV{part}", size=8)
    _write(axes, width - 5, 4, f"{fs:g} Hz", size=8, ha="right")
    if shades is not None:
        _write(axes, width / 2, 4, _SHADING_CAPTION, size=8, ha="center")
    if overlay is not None:
        handles = [Line2D([], [], color=c, lw=1.2, label=s) for c, s in zip((_INK, _OVERLAY), labels, strict=True)]
        axes.legend(
            handles=handles,
            loc="upper right",
            bbox_to_anchor=(1 - 5 / width, 1 - 4.5 / height),
            ncols=2,
            fontsize=9,
            frameon=False,
            borderaxespad=0,
        )
    return figure


def _check_signal(signal: np.ndarray, fs: float, leads: Sequence[str]) -> np.ndarray:
    wanted = {lead for row in _ROWS for lead in row}
    if set(leads) != wanted or len(leads) != len(wanted):
        raise UserError(f"ECG paper needs each of the leads {' '.join(sorted(wanted))} once, not {' '.join(leads)}")
    if signal.ndim != 2 or signal.shape[0] != len(leads) or signal.shape[1] < 2:
        raise UserError(f"an ECG to draw has shape (12, T), not {signal.shape}")
    if not fs > 0:
        raise UserError(f"the sampling rate must be positive, not {fs}")
    return np.asarray(signal, dtype=np.float64)


def _shades(starts: np.ndarray, ends: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges in seconds ``(k + 1,)``, and the weight per second between them relative to the maximum ``(k,)``."""
    starts, ends, weights = (np.asarray(x, dtype=np.float64) for x in (starts, ends, weights))
    if not starts.shape == ends.shape == weights.shape == (len(starts),):
        raise UserError("shading takes equal numbers of starts, ends and weights")
    if not (np.isfinite([starts, ends, weights]).all() and (starts < ends).all() and (weights >= 0).all()):
        raise UserError("shading takes spans that end after they start, and weights of 0 or more")
    edges = np.unique([starts, ends])
    steps = np.zeros(len(edges))  # change of the weight per second at each edge
    np.add.at(steps, np.searchsorted(edges, starts), weights / (ends - starts))
    np.add.at(steps, np.searchsorted(edges, ends), -weights / (ends - starts))
    density = np.cumsum(steps)[:-1].clip(min=0)
    return edges, density / density.max(initial=np.finfo(float).tiny)


def _reach(segments: Sequence[np.ndarray]) -> tuple[float, float]:
    """Millimetres above and below the baseline that the segments need, in whole squares of 5 mm."""
    voltages = np.concatenate(segments) * MM_PER_MILLIVOLT
    voltages = voltages[np.isfinite(voltages)]
    if len(voltages) == 0:
        return 15.0, 15.0
    # 4 mm above the highest peak leave room for the row's labels, 2 mm separate it from the row below.
    up, down = max(voltages.max(), MM_PER_MILLIVOLT) + 4, -voltages.min() + 2
    return tuple(float(np.clip(5 * np.ceil(reach / 5), *_REACH)) for reach in (up, down))


def _draw_grid(axes: Axes, width: float, height: float) -> None:
    # The lines pass through (0, 0); widths and paddings are multiples of 5 mm, so every baseline is on a bold line.
    for step, color, line_width in ((1, _FINE_LINE, 0.3), (5, _BOLD_LINE, 0.5)):
        vertical = [[(x, 0), (x, height)] for x in np.arange(0, width + step, step)]
        horizontal = [[(0, y), (width, y)] for y in np.arange(0, height + step, step)]
        axes.add_collection(LineCollection(vertical + horizontal, colors=color, linewidths=line_width, zorder=0))
    axes.set_axis_off()


def _draw_row(
    axes: Axes,
    baseline: float,
    row: Sequence[tuple[str, int, int]],
    traces: Sequence[np.ndarray],
    index: Mapping[str, int],
    fs: float,
) -> None:
    line_widths = (0.7,) if len(traces) == 1 else (1.1, 0.6)  # the signal stays visible behind a close overlay
    pulse = np.array(_PULSE)
    axes.plot(_LEFT - 10 + pulse[:, 0], baseline + pulse[:, 1], color=_INK, lw=0.7, solid_joinstyle="miter")
    for c, (lead, start, count) in enumerate(row):
        x = _LEFT + start / fs * MM_PER_SECOND
        time = np.arange(count) / fs * MM_PER_SECOND
        heights = [trace[index[lead], start : start + count] * MM_PER_MILLIVOLT for trace in traces]
        for height, color, line_width in zip(heights, (_INK, _OVERLAY), line_widths, strict=False):
            axes.plot(x + time, baseline + height, color=color, lw=line_width)
        if c:
            axes.plot((x, x), (baseline - 3, baseline + 3), color=_INK, lw=0.7)
        under_label = np.concatenate([height[time < 10] for height in heights])
        peak = under_label[np.isfinite(under_label)].max(initial=8)
        _write(axes, x + 1.5, baseline + min(peak + 2, _REACH[1] - 4), lead, size=9, weight="bold")
        if not np.isfinite(traces[0][index[lead]]).any():
            width = count / fs * MM_PER_SECOND
            _write(axes, x + 1.5, baseline + 2, "not recorded", size=min(8, max(3, 0.4 * width)))


def _draw_shades(
    axes: Axes,
    band: tuple[float, float],
    row: Sequence[tuple[str, int, int]],
    shades: tuple[np.ndarray, np.ndarray],
    fs: float,
) -> None:
    """Shade each column of a row for its own window of time, under the grid."""
    edges, density = shades
    for _, start, count in row:
        window = np.clip(edges, start / fs, (start + count) / fs)
        inside = np.diff(window) > 0
        if inside.any():
            at = np.append(window[:-1][inside], window[1:][inside][-1])
            x = _LEFT + at * MM_PER_SECOND
            axes.pcolormesh(x, band, density[None, inside], cmap=_SHADES, vmin=0, vmax=1, zorder=-1)


def _write(axes: Axes, x: float, y: float, text: str, size: float, **style: str) -> None:
    halo = [patheffects.withStroke(linewidth=2.5, foreground=_PAPER)]
    # A title may be a user's text, in which a dollar sign does not start a formula.
    axes.text(
        x, y, text, fontsize=size, color=_INK, va="baseline", path_effects=halo, zorder=5, parse_math=False, **style
    )

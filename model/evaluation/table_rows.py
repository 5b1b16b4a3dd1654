"""Rows and cells of the tables for a terminal, in percent."""

from collections.abc import Sequence


def points(value: float) -> str:
    """A difference of fractions in percentage points."""
    return f"{100 * value:+.1f}"


def interval(ends: Sequence[float | None] | None, scale: float = 100, digits: int = 1) -> str:
    """A 95 % interval over patients in percentage points, or in other units by ``scale``; empty if there is none."""
    if ends is None or ends[0] is None:
        return ""
    return f" [{scale * ends[0]:.{digits}f}, {scale * ends[1]:.{digits}f}]"


def row(label: str, cells: Sequence[str | float | None]) -> str:
    texts = [c if isinstance(c, str) else "-" if c is None else f"{100 * c:.1f}" for c in cells]
    return f"{label:44}" + "".join(f"{text:>15}" for text in texts)

"""The time column of a table: which column it is, what its cells say, and the sampling rate that follows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.readers.channels import FileError

_NAMES = {"time", "times", "timestamp", "timestamps", "elapsed", "datetime", "date", "clock"}
_NAMES |= {"zeit", "uhrzeit", "zeitstempel", "datum", "temps", "tempo", "tiempo", "hora", "tid", "tijd"}
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # how many are in a second
_UNITS |= dict.fromkeys(("sec", "secs", "second", "seconds", "sek", "sekunden", "segundos"), 1.0)
_UNITS |= dict.fromkeys(("msec", "msecs", "millisecond", "milliseconds", "millis"), 1e3)
_UNITS |= dict.fromkeys(("µs", "μs", "usec", "microsecond", "microseconds"), 1e6)
_LONG_UNITS = dict.fromkeys(("min", "mins", "minute", "minutes", "minuten"), 1 / 60)
_LONG_UNITS |= dict.fromkeys(("h", "hours", "hour", "stunden"), 1 / 3600) | dict.fromkeys(("days", "day"), 1 / 86400)
_IN_A_SECOND = _UNITS | _LONG_UNITS
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:[.,]\d+|:\d{3})?)(?!\d)\s*([ap]m)?", re.IGNORECASE)
_FORMAT = re.compile(r"\[?(h+:)?m+:s+.*", re.IGNORECASE)

PLAUSIBLE_HZ = (40, 20_000)
_ASSUMED_HZ = (40, 5000)  # spans less than a factor of 1000, so at most one unit of time gives such a rate
_MIN_SAMPLES = 20
_HALF_DAY = 43_200
_SINCE_1970 = 1e9  # no row has such a number, a time in seconds or parts of them has
_LONGEST_TIME = 60  # characters


@dataclass(frozen=True)
class Rate:
    """What a time column says: the rate in Hz lies from ``low`` to ``high``.

    best: the likeliest, None if the times are too coarse; assumed_unit: of the times, if the file does not state it.
    """

    low: float
    high: float
    best: float | None
    assumed_unit: str = ""

    def __str__(self) -> str:
        return f"{self.best:.6g} Hz" if self.best is not None else f"{self.low:.4g} to {self.high:.4g} Hz"

    def allows(self, fs: float) -> bool:
        return self.low * (1 - 1e-4) <= fs <= self.high * (1 + 1e-4)


def is_time_name(name: str) -> bool:
    """Whether a column's name says that it contains times ("Elapsed time", "t [ms]", "seconds")."""
    words = _words(name)
    return any(word in _NAMES for word in words) or (
        bool(words) and all(word == "t" or word in _UNITS for word in words)
    )


def is_time_unit(cell: str) -> bool:
    """Whether a cell is a unit or a format of times ("ms", "(sec)", "hh:mm:ss.mmm")."""
    words = _words(cell)
    return bool(_FORMAT.match(cell)) or (len(words) == 1 and words[0] in _IN_A_SECOND)


def rates(cells: Sequence[str], name: str, first_line: int) -> list[Rate]:
    """The rates that a time column may mean: none if it tells nothing, several if its unit is not stated.

    cells: as in the file; name: of the column, with its unit if that is stated; first_line: the line of the first cell.
    Raises `FileError` if the time goes back, or jumps: samples are missing there.
    """
    times, unit = _parse(cells, name)
    if times is None or len(times) < _MIN_SAMPLES or not np.isfinite(times).all():
        return []
    low, high = _steps_per_unit(times, first_line)
    if high == 0:
        return []
    if unit:
        return [_rate(low * _IN_A_SECOND[unit], high * _IN_A_SECOND[unit])]
    numbers_rows = abs(low - 1) < 1e-9 and abs(times[0]) < _SINCE_1970
    if numbers_rows or (not name and (times == np.round(times)).all()):
        return []
    found = [(low * _IN_A_SECOND[each], high * _IN_A_SECOND[each], each) for each in ("s", "ms", "us", "ns", "days")]
    return [_rate(*each) for each in found if _ASSUMED_HZ[0] <= each[1] and each[0] <= _ASSUMED_HZ[1]]


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def _parse(cells: Sequence[str], name: str) -> tuple[np.ndarray | None, str]:
    """Times and their unit, "" if it is not stated; None if the cells are no times."""
    try:
        times = np.array([float(cell.replace(",", ".")) for cell in cells])
    except ValueError:
        return _clock_times(cells), "s"
    units = [word for word in _words(name) if word in _IN_A_SECOND]
    return times, units[-1] if units else ""


def _clock_times(cells: Sequence[str]) -> np.ndarray | None:
    """Seconds from times of day, with or without a date, or from elapsed times; midnight is passed."""
    times = np.empty(len(cells))
    for row, cell in enumerate(cells):
        found = _CLOCK.search(cell[:_LONGEST_TIME])
        if not found:
            return None
        hours, minutes, seconds, half = found.groups()
        if hours is None and seconds.isdigit():  # hours and minutes, or minutes and seconds
            return None
        hour = int(hours or 0)
        if half:
            hour = hour % 12 + 12 * (half.lower() == "pm")
        times[row] = 3600 * hour + 60 * int(minutes) + float(seconds.replace(",", ".").replace(":", "."))
    return times + 2 * _HALF_DAY * np.concatenate([[0], np.cumsum(np.diff(times) < -_HALF_DAY)])


def _steps_per_unit(times: np.ndarray, first_line: int) -> tuple[float, float]:
    """The least and the greatest number of samples per unit of time; zeros if the time stands still."""
    steps = np.diff(times)
    if not (steps > 0).any():
        return 0.0, 0.0
    if (steps < 0).any():
        line = first_line + int(np.argmax(steps < 0)) + 1
        raise FileError(f"the time goes back in line {line}; split the file there")
    typical, mean = float(np.median(steps[steps > 0])), float(steps.mean())
    # Times that were rounded, or taken once per packet, step unevenly although no sample is missing: 960 Hz in whole
    # milliseconds steps by 1, and by 2 in 4 % of the samples.
    regular = np.mean(np.abs(steps - typical) < 0.01 * typical) > 0.99
    longest = 1.6 * typical if regular else mean + 2.5 * float(np.percentile(steps[steps > 0], 99))
    if (jumps := steps > longest).any():
        line = first_line + int(np.argmax(jumps)) + 1
        raise FileError(f"samples are missing before line {line}, where the time jumps; split the file there")
    resolution = float(np.abs(steps - typical).max())
    samples, span = len(steps), float(times[-1] - times[0])
    return samples / (span + resolution), samples / (span - resolution) if span > resolution else np.inf


def _rate(low: float, high: float, unit: str = "") -> Rate:
    """The likeliest rate is the one whole number between the limits, or their middle if they are close."""
    margin = 1e-5 * low
    first, last = np.ceil(low - margin), np.floor(min(high, 1e9) + margin)
    best = first if first == last else float(low + high) / 2 if high < low * 1.0002 else None
    return Rate(low, high, best, unit)

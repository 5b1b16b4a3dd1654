"""Checks a WFDB header strictly: where wfdb's own parser cannot read a field, it silently uses a default."""

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cardiolect.data_provider.readers.channels import FileError, mv_per_unit

# Bytes per sample of the formats with a fixed size; FLAC formats (508, 516, 524) check themselves while decoding.
_BYTES_PER_SAMPLE = {
    "8": 1.0,
    "16": 2.0,
    "24": 3.0,
    "32": 4.0,
    "61": 2.0,
    "80": 1.0,
    "160": 2.0,
    "212": 1.5,
    "310": 4 / 3,
    "311": 4 / 3,
}
_FORMAT = re.compile(r"^(?P<fmt>\d+)(x(?P<per_frame>\d+))?(:\d+)?(\+(?P<offset>\d+))?$")
_GAIN = re.compile(r"^(?P<gain>-?\d+\.?\d*(e[+-]?\d+)?)(\(-?\d+\))?(?P<slash>/(?P<unit>.*))?$")


@dataclass(frozen=True)
class SignalLine:
    """One signal in the header: its name, its file, its samples per frame and the factor from the file's unit to mV.

    If the amplitude is unknown, which matters for ECG leads only, mv_per_unit is None and unit_problem says why.
    """

    name: str
    file_name: str
    fmt: str
    per_frame: int
    offset: int
    mv_per_unit: float | None
    unit_problem: str
    checksum: int


@dataclass(frozen=True)
class Header:
    """fs: frames per second in Hz; n_frames: None if the length follows from the file size."""

    fs: float
    n_frames: int | None
    signals: tuple[SignalLine, ...]


def read_header(path: Path) -> Header:
    """Parse ``path`` (.hea) and check it against the sizes of its signal files. Raises `FileError` and `OSError`."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise FileError("the header is empty")
    n_signals, fs, n_frames = _record_line(lines[0])
    if len(lines) - 1 != n_signals:
        raise FileError(f"the header declares {n_signals} signals but describes {len(lines) - 1}")
    header = Header(fs, n_frames, tuple(_signal_line(line) for line in lines[1:]))
    _check_file_sizes(header, path.parent)
    return header


def count_samples(path: Path) -> int | None:
    """Samples of all signals, from the header or file sizes; None if only decompressing FLAC would tell."""
    header, folder = read_header(path), path.parent
    if header.n_frames is not None:
        return header.n_frames * sum(line.per_frame for line in header.signals)
    files = {line.file_name: line.fmt for line in header.signals}
    if not set(files.values()) <= set(_BYTES_PER_SAMPLE):
        return None
    return sum(int((folder / name).stat().st_size / _BYTES_PER_SAMPLE[fmt]) for name, fmt in files.items())


def _record_line(line: str) -> tuple[int, float, int | None]:
    fields = line.split()
    if "/" in fields[0]:
        raise FileError("a multi-segment record; convert it to a single segment")
    if len(fields) < 3 or not fields[1].isdecimal():
        raise FileError(f"the record line cannot be parsed: '{line[:60]}'")
    rate = fields[2].split("/")[0]
    try:
        fs = float(rate)
    except ValueError:
        fs = math.nan
    if not math.isfinite(fs) or fs <= 0:
        raise FileError(f"the sampling rate '{rate[:20]}' is not a positive number")
    length = fields[3] if len(fields) > 3 else "0"
    if not length.isdecimal():
        raise FileError(f"the number of samples '{length[:20]}' is not a number")
    return int(fields[1]), fs, int(length) or None


def _signal_line(line: str) -> SignalLine:
    fields = line.split(maxsplit=8)  # file, format, gain, resolution, zero, first value, checksum, block size, name
    form = _FORMAT.match(fields[1]) if len(fields) > 1 else None
    gain = _GAIN.match(fields[2]) if len(fields) > 2 else None
    if form is None or gain is None or not all(re.fullmatch(r"-?\d+", number) for number in fields[3:8]):
        raise FileError(f"a signal line cannot be parsed: '{line[:60]}'")
    if len(fields) < 9:  # a truncated header ends like this as well
        raise FileError(f"a signal has no name: '{line[:60]}'")
    if "/" in fields[0] or "\\" in fields[0]:
        raise FileError(f"the signal file '{fields[0][:60]}' is not in the record's folder")
    mv_per_unit, problem = _scale(gain)
    return SignalLine(
        name=fields[8],
        file_name=fields[0],
        fmt=form["fmt"],
        per_frame=int(form["per_frame"] or 1),
        offset=int(form["offset"] or 0),
        mv_per_unit=mv_per_unit,
        unit_problem=problem,
        checksum=int(fields[6]),
    )


def _scale(match: re.Match) -> tuple[float | None, str]:
    """mV per physical unit from the gain field, ``"1000.0(0)/mV"``; or None and the reason."""
    if float(match["gain"]) == 0:
        return None, "is uncalibrated (gain 0)"
    # In the WFDB standard a missing unit means mV; an empty one after the slash is undefined.
    unit = match["unit"] if match["slash"] else "mV"
    try:
        return mv_per_unit(unit), ""
    except FileError as error:
        return None, f"has {error}"


def _check_file_sizes(header: Header, folder: Path) -> None:
    by_file: dict[str, list[SignalLine]] = defaultdict(list)
    for signal in header.signals:
        by_file[signal.file_name].append(signal)
    for name, signals in by_file.items():
        try:
            size = (folder / name).stat().st_size
        except (OSError, ValueError):  # ValueError: a null byte in the name
            raise FileError(f"its signal file {name} is missing") from None
        bytes_each = _BYTES_PER_SAMPLE.get(signals[0].fmt)
        if size == 0:
            raise FileError(f"its signal file {name} is empty")
        if any(signal.fmt != signals[0].fmt for signal in signals):
            raise FileError(f"its signals in {name} have different formats")
        if bytes_each is None or header.n_frames is None:
            continue
        needed = signals[0].offset + math.ceil(header.n_frames * sum(s.per_frame for s in signals) * bytes_each)
        if size < needed:
            raise FileError(f"its signal file {name} is truncated: {size} of {needed} bytes")

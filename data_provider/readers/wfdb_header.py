"""Parses a WFDB header strictly: the only parser of headers, since wfdb's own stops in silence at what it cannot read.

The fields are those of header(5) in the WFDB Applications Guide; dates and times are not read.
"""

import math
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath

from cardiolect.data_provider.readers.channels import FileError, mv_per_unit

MAX_HEADER_BYTES = 1_000_000
MAX_LINE = 2000  # characters; header(5) allows 255
DEFAULT_HZ = 250.0  # header(5): where the record line ends after the number of signals
# Bytes per sample of the formats with a fixed size; FLAC formats check themselves while decoding.
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
FLAC_FORMATS = ("508", "516", "524")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"  # what scanf reads as a floating point number
_RATE = re.compile(rf"(?P<fs>{_NUMBER})(?:/(?:{_NUMBER})?)?(?:\({_NUMBER}\))?")  # counter frequency, base counter
_SIGNAL_LINE = re.compile(
    r"(?P<file>\S+|\S.{0,250}?\.(?:dat|mat))\s+"  # with blanks only if it ends in a suffix
    r"(?P<fmt>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?\s+"
    rf"(?P<gain>{_NUMBER})(?:\((?P<baseline>[+-]?\d+)(?:\.0*)?\))?(?P<slash>/(?P<unit>\S*))?"
    r"(?:\s+(?P<rest>.*))?"
)
_INTEGER = re.compile(r"[+-]?\d+")
_SIGNAL_SUFFIXES = (".dat", ".mat")


class MissingSignalsError(FileError):
    """A signal file that the header names is not there."""


class MultiSegmentError(FileError):
    """The header describes segments, each a record of its own."""


@dataclass(frozen=True)
class SignalLine:
    """One signal in the header: its name, its file, how its samples are stored and what they mean.

    offset: bytes before the first sample, samples in FLAC. skew: frames by which the signal is late.
    gain and baseline: a sample s is (s - baseline) / gain units. If the amplitude is unknown, which matters for ECG
    leads only, mv_per_unit is None and unit_problem says why. first_value and checksum: None
    if the line has none.
    """

    name: str
    file_name: str
    fmt: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    unit: str
    mv_per_unit: float | None
    unit_problem: str
    first_value: int | None
    checksum: int | None


@dataclass(frozen=True)
class Header:
    """fs: frames per second in Hz; n_frames: None if only the FLAC file tells; notes: what was assumed."""

    fs: float
    n_frames: int | None
    signals: tuple[SignalLine, ...]
    notes: tuple[str, ...] = ()

    def by_file(self) -> dict[str, list[int]]:
        """Name of each signal file -> the rows of its signals, in file order."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, signal in enumerate(self.signals):
            rows[signal.file_name].append(row)
        return dict(rows)


def read_header(path: Path) -> Header:
    """Parse ``path`` (.hea) and check it against its signal files. Raises `FileError` and `OSError`."""
    lines = [line for line in text_lines(path) if not line.startswith("#")]
    if not lines:
        raise FileError("the header is empty")
    if any(len(line) > MAX_LINE for line in lines):
        raise FileError(f"a line of the header is longer than {MAX_LINE} characters")
    record, described = lines[0], lines[1:]
    name, fields = _record_fields(record, path.stem)
    _check_segments(name, described, path.stem)
    if not fields or not fields[0].isdecimal():
        raise FileError(f"the record line cannot be parsed: '{record[:60]}'")
    if int(fields[0]) != len(described):
        raise FileError(f"the header declares {fields[0]} signals but describes {len(described)}")
    if not described:
        raise FileError("the header declares no signals")
    fs, n_frames, notes = _rate_and_length(fields[1:])
    signals, moved = _locate([_signal_line(line) for line in described], path.parent)
    header = Header(fs, n_frames, signals, notes + moved)
    return _with_length(header, path.parent)


def text_lines(path: Path) -> list[str]:
    """The lines of a header, comments included, stripped and without empty ones. Raises `FileError` and `OSError`."""
    with path.open("rb") as file:
        raw = file.read(MAX_HEADER_BYTES + 1)
    if len(raw) > MAX_HEADER_BYTES:
        raise FileError(f"the header is larger than {MAX_HEADER_BYTES // 1_000_000} MB")
    try:
        text = raw.decode("utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    # Not splitlines: in text of a Windows code page, it would take an ellipsis for the end of a comment.
    return [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]


def count_samples(path: Path) -> int | None:
    """Samples of all signals, from the header or file sizes; None if only decompressing FLAC would tell."""
    header = read_header(path)
    return None if header.n_frames is None else header.n_frames * sum(line.per_frame for line in header.signals)


def _record_fields(line: str, stem: str) -> tuple[str, list[str]]:
    """The record's name, which may have blanks if it is that of the file, and the fields after it."""
    if line.startswith(f"{stem} "):
        return stem, line[len(stem) :].split()
    name, *fields = line.split()
    return name, fields


def _check_segments(name: str, described: list[str], stem: str) -> None:
    """Refuse a multi-segment record, ``name/segments``. A folder before a record's name looks alike."""
    folder, _, last = name.rpartition("/")
    if not folder or not last.isdecimal():
        return
    segments = [line.split()[0] for line in described if len(line.split()) == 2]
    if last == stem and len(segments) < len(described):
        return
    named = next((segment for segment in segments if segment != "~" and not segment.endswith("_layout")), "")
    example = f", such as {named[:40]}" if named else ""
    raise MultiSegmentError(
        f"a multi-segment record ({int(last)} segments): name one of its segments{example}, or join them into a single "
        "segment with WFDB's xform"
    )


def _rate_and_length(fields: list[str]) -> tuple[float, int | None, tuple[str, ...]]:
    """Frames per second, frames if given, and notes, from the fields after the number of signals."""
    if not fields:
        return DEFAULT_HZ, None, (f"its header gives no sampling rate, which means {DEFAULT_HZ:g} Hz in WFDB",)
    match = _RATE.fullmatch(fields[0])
    fs = float(match["fs"]) if match else math.nan
    if not math.isfinite(fs) or fs <= 0:
        raise FileError(f"the sampling rate '{fields[0][:20]}' is not a positive number")
    length = fields[1] if len(fields) > 1 else "0"
    if re.fullmatch(r"\d{1,2}(:\d{1,2}){1,2}(\.\d*)?|\[.*", length):  # a time of day in its place
        return fs, None, ("its header gives no number of samples",)
    if not re.fullmatch(r"\d+(\.0*)?", length):
        raise FileError(f"the number of samples '{length[:20]}' is not a number")
    return fs, int(length.partition(".")[0]) or None, ()


def _signal_line(line: str) -> SignalLine:
    match = _SIGNAL_LINE.fullmatch(line)
    if match is None:
        raise FileError(f"a signal line cannot be parsed: '{line[:60]}'")
    numbers, name = _numbers_and_name(match["rest"] or "")
    if not name:  # a truncated header ends like this as well
        raise FileError(f"a signal has no name: '{line[:60]}'")
    # With fields left out, a number that cannot be read would pass for a name, and any other number for the gain.
    doubtful = re.match(r"[+-]?\d", name) or re.search(r"\s-?\d+\s", name)
    if len(numbers) < 5 and (doubtful or not (match["baseline"] or match["slash"])):
        raise FileError(f"a signal line cannot be parsed, some of its nine fields are missing: '{line[:60]}'")
    _, zero, first_value, checksum, _ = [*numbers, *[None] * (5 - len(numbers))]
    if int(match["per_frame"] or 1) < 1:
        raise FileError(f"signal {name[:20]} has no samples in a frame")
    factor, problem = _scale(match)
    return SignalLine(
        name=name,
        file_name=match["file"],
        fmt=match["fmt"],
        per_frame=int(match["per_frame"] or 1),
        skew=int(match["skew"] or 0),
        offset=int(match["offset"] or 0),
        gain=float(match["gain"]),
        baseline=int(match["baseline"] or zero or 0),  # header(5): the ADC zero where it is not given
        unit=match["unit"] or "mV",
        mv_per_unit=factor,
        unit_problem=problem,
        first_value=first_value,
        checksum=checksum,
    )


def _numbers_and_name(text: str) -> tuple[list[int], str]:
    """Up to five integers (resolution, zero, first value, checksum, block size), of which some software omits the last,
    and the name of the signal, which may have blanks.
    """
    numbers: list[int] = []
    while len(numbers) < 5:
        word, *left = text.split(maxsplit=1)[:2] or [""]
        if not _INTEGER.fullmatch(word):
            break
        numbers.append(int(word))
        text = left[0] if left else ""
    return numbers, text.strip()


def _scale(match: re.Match) -> tuple[float | None, str]:
    """mV per physical unit from the gain field, ``"1000.0(0)/mV"``; or None and the reason."""
    gain = float(match["gain"])
    if gain == 0 or not math.isfinite(gain):
        return None, f"is uncalibrated (gain {match['gain'][:20]})"
    # In the WFDB standard a missing unit means mV; an empty one after the slash is undefined.
    unit = match["unit"] if match["slash"] else "mV"
    try:
        return mv_per_unit(unit), ""
    except FileError as error:
        return None, f"has {error}"


def _locate(signals: list[SignalLine], folder: Path) -> tuple[tuple[SignalLine, ...], tuple[str, ...]]:
    """The signals with the names that their files have in the record's own folder, and notes on names that differ.

    A header may name a folder of another machine, leave out the suffix, or have the case of another file system.
    """
    found: dict[str, str] = {}
    for given in dict.fromkeys(signal.file_name for signal in signals):
        name = PureWindowsPath(given).name  # both separators
        wanted = [name, *(name + suffix for suffix in _SIGNAL_SUFFIXES)]
        file = next((each for each in wanted if name and _is_file(folder / each)), None)
        if file is None:
            beside = {each.name for each in folder.iterdir() if each.name.lower() in map(str.lower, wanted)}
            file = beside.pop() if len(beside) == 1 else None
        if file is None or not _is_file(folder / file):
            where = "is not in the record's folder" if name != given else "is missing"
            raise MissingSignalsError(f"its signal file {name[:60]} {where}")  # a folder may name a patient
        found[given] = file
    notes = []
    for given, file in found.items():
        name = PureWindowsPath(given).name
        if given != file:
            notes.append(f"its header names {name[:60]}{' elsewhere' if name != given else ''}, read from {file}")
    renamed = [
        signal if found[signal.file_name] == signal.file_name else replace(signal, file_name=found[signal.file_name])
        for signal in signals
    ]
    return tuple(renamed), tuple(notes)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return False


def _with_length(header: Header, folder: Path) -> Header:
    """The header with its frames from the sizes of the signal files, if it does not say, and notes on these sizes.

    Raises `FileError` if a file is too short or is not described as a whole.
    """
    lengths, notes = [header.n_frames] if header.n_frames is not None else [], []
    for name, rows in header.by_file().items():
        signals = [header.signals[row] for row in rows]
        fmt, size = signals[0].fmt, (folder / name).stat().st_size
        if size == 0:
            raise FileError(f"its signal file {name} is empty")
        if rows != list(range(rows[0], rows[0] + len(rows))):
            raise FileError(f"its signals in {name} are not listed one after the other")
        if any(signal.fmt != fmt for signal in signals):
            raise FileError(f"its signals in {name} have different formats")
        if any(signal.offset not in (0, signals[0].offset) for signal in signals):
            raise FileError(f"its signals in {name} start at different bytes")
        if fmt in FLAC_FORMATS:
            continue
        if fmt not in _BYTES_PER_SAMPLE:
            raise FileError(f"wfdb cannot read signals of format {fmt[:10]}; use format 16")
        per_frame = sum(signal.per_frame for signal in signals)
        if header.n_frames is None:
            lengths.append(int((size - signals[0].offset) / (_BYTES_PER_SAMPLE[fmt] * per_frame) + 1e-6))
            continue
        needed = signals[0].offset + math.ceil(header.n_frames * per_frame * _BYTES_PER_SAMPLE[fmt] - 1e-6)
        if size < needed:
            raise FileError(f"its signal file {name} is truncated: {size} of {needed} bytes")
        if size > needed:
            notes.append(f"{name} has {size - needed} bytes more than its header describes")
    if header.n_frames is None and len(set(lengths)) > 1:
        raise FileError("its signal files have different lengths and the header gives none")
    return replace(header, n_frames=lengths[0] if lengths else None, notes=(*header.notes, *notes))

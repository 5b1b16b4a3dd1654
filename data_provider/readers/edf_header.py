"""The header of EDF, EDF+ and BDF files (Kemp et al. 1992, Kemp and Olivan 2003; BioSemi), checked strictly.

Software writes it with decimal commas, in latin-1, and with fields of other signals that are not numbers; what a lead
needs must be there.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from cardiolect.data_provider.readers.channels import FileError

_BYTES = 256  # of the general part, and of each signal's
# Offset of a field of all signals, in bytes per signal before it; and its width.
_LABEL, _UNIT, _LIMITS, _SAMPLES = (0, 16), (96, 8), ((104, 8), (112, 8), (120, 8), (128, 8)), (216, 8)


@dataclass(frozen=True)
class Signal:
    """A signal of the file. limits: physical minimum and maximum, digital minimum and maximum, as text."""

    label: str
    unit: str
    limits: tuple[str, str, str, str]
    per_record: int

    def calibration(self) -> tuple[float, float]:
        """Units per step, and the unit's value of step 0. Raises `FileError` if the limits give none."""
        try:
            low, high, digital_low, digital_high = (float(text.replace(",", ".")) for text in self.limits)
        except ValueError:
            raise FileError(f"limits that are not numbers ({', '.join(self.limits)})") from None
        spans = (high - low, digital_high - digital_low)
        if not all(span and math.isfinite(span) for span in spans):
            raise FileError(f"limits that give no scale ({', '.join(self.limits)})")
        per_step = (high - low) / (digital_high - digital_low)
        return per_step, low - digital_low * per_step


@dataclass(frozen=True)
class Header:
    """kind: "EDF", "EDF+C", "EDF+D", "BDF", ...; seconds of a data record; records: how many whole ones there are."""

    kind: str
    n_bytes: int
    bytes_per_sample: int
    seconds: float
    records: int
    signals: tuple[Signal, ...]
    notes: tuple[str, ...]

    @property
    def samples_per_record(self) -> int:
        return sum(signal.per_record for signal in self.signals)

    def is_annotations(self, row: int) -> bool:
        """Whether a signal holds time stamps and texts instead of samples."""
        return self.signals[row].label == f"{self.kind[:3]} Annotations"


def read_header(path: Path) -> Header:
    """Raises `FileError` if a field that is needed does not parse, or the file has fewer records than declared."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(_BYTES)
        n_bytes, records, count = (_integer(head[at:stop]) for at, stop in ((184, 192), (236, 244), (252, 256)))
        if count < 1 or n_bytes != _BYTES * (count + 1) or size < n_bytes:
            raise FileError("its EDF header does not match its number of signals")
        fields = file.read(_BYTES * count)
    is_bdf = head[:1] == b"\xff"
    try:
        seconds = float(_text(head[244:252]))
    except ValueError:
        seconds = 0.0
    signals = tuple(_signal(fields, row, count) for row in range(count))
    kind = _text(head[192:236])[:5]
    base = "BDF" if is_bdf else "EDF"
    kind = kind if kind in (f"{base}+C", f"{base}+D") else base
    record_bytes = sum(signal.per_record for signal in signals) * (3 if is_bdf else 2)
    if seconds <= 0 or record_bytes < 1:
        raise FileError("its EDF header gives no duration of a data record, or records without samples")
    notes = []
    if records <= 0:  # -1 until a recorder closes the file; some write 0
        records, rest = divmod(size - n_bytes, record_bytes)
        notes.append("the recording was not closed: its length is that of the file")
        if rest:
            notes.append("its last data record is incomplete and left out")
    if records < 1 or size < n_bytes + records * record_bytes:
        raise FileError(f"truncated: {size} of {n_bytes + max(records, 1) * record_bytes} bytes")
    if (rest := size - n_bytes - records * record_bytes) and not notes:
        notes.append(f"{rest} bytes after its last data record are not read")
    return Header(kind, n_bytes, 3 if is_bdf else 2, seconds, records, signals, tuple(notes))


def _signal(fields: bytes, row: int, count: int) -> Signal:
    def field(place: tuple[int, int]) -> bytes:
        before, width = place
        return fields[before * count + row * width : before * count + (row + 1) * width]

    low, high, digital_low, digital_high = (_text(field(place)) for place in _LIMITS)
    per_record = _integer(field(_SAMPLES))
    if per_record < 0:
        raise FileError("its EDF header does not parse")
    return Signal(_text(field(_LABEL)), _text(field(_UNIT)), (low, high, digital_low, digital_high), per_record)


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip(" \0")


def _integer(field: bytes) -> int:
    try:
        return int(_text(field))
    except ValueError:
        raise FileError("its EDF header does not parse") from None

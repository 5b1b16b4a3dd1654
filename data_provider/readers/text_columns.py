"""Which columns of a text table may be leads, which one is the time, and what they are called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cardiolect.data_provider.readers.channels import FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import canonical_lead
from cardiolect.data_provider.readers.tables import same_scale
from cardiolect.data_provider.readers.text_head import Head, last_is_empty, split_unit, voltage
from cardiolect.data_provider.readers.text_table import is_number
from cardiolect.data_provider.readers.time_column import is_time_name, is_time_unit

_INDEX = re.compile(r"(|#|n|no|index|idx|samples?[ _]?(no|number|index|#)?|unnamed: 0)\.?", re.IGNORECASE)
_FEWEST_NUMBERED = 7  # V1 to V6 are leads, V1 to V7 are the names that R gives to columns without any


@dataclass(frozen=True)
class Column:
    """A column that may be a lead. place: from 0; name: without unit; file_name: as it stands there; unit: or ""."""

    place: int
    name: str
    file_name: str
    unit: str


@dataclass(frozen=True)
class Columns:
    """others: all that may be leads; time and time_name: place of the times, name with unit; None and "" if none."""

    others: list[Column]
    time: int | None
    time_name: str


def find_columns(head: Head, leads: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> Columns:
    """Sort the columns of a table. Names in the file count, unless they are no leads and a layout gives ``leads``.

    rows: the cells of the first rows. Raises `FileError` if there are no names, or if the names in the file and in the
    layout are different leads.
    """
    columns = [_column(head, place) for place in range(len(rows[0]))]
    timed = [column.place for column in columns if _is_time(column, head)]
    timed.sort(key=lambda place: not (":" in rows[0][place] or is_number(rows[0][place])))  # dates last
    others = [column for column in columns if column.place not in timed]
    if head.names is not None and others and others[0].place == 0 and _INDEX.fullmatch(others[0].name):
        timed, others = timed or [0] * (not others[0].name), others[1:]
    named = any(canonical_lead(column.name) for column in others) and not _only_numbered(others)
    if head.names is None and leads and len(leads) == len(columns) - 1:
        # An index or times, before the leads; or what a delimiter at the ends of lines makes.
        timed, others = ([], others[:-1]) if last_is_empty(rows) else ([0], others[1:])
    if leads and not named and len(leads) in (len(others), len(columns)):
        covered = others if len(leads) == len(others) else columns
        others = [replace(column, name=lead, file_name=lead) for column, lead in zip(covered, leads, strict=True)]
        if head.names is None and not timed:
            timed = [column.place for column in others if is_time_name(column.name)]
    elif head.names is None or (not named and _only_numbered(others)):
        raise without_names(len(columns))
    elif leads and len(leads) == len(others):
        _compare(others, leads)
    time = timed[0] if timed else None
    if time is None:
        return Columns(others, None, "")
    name = next((column.file_name for column in others if column.place == time), columns[time].file_name)
    return Columns(others, time, f"{name} {head.units[time] if head.units else ''}".strip())


def without_names(width: int) -> FileError:
    """The error of a table whose columns are not named anywhere."""
    return FileError(f"{width} columns without names; give their leads in the layout next to it")


def _column(head: Head, place: int) -> Column:
    file_name = head.names[place] if head.names else ""
    name, unit = split_unit(file_name)
    below = voltage(head.units[place]) if head.units else ""
    if unit and below and canonical_lead(name) and not same_scale(mv_per_unit(unit), mv_per_unit(below)):
        raise FileError(
            f"states two units for lead {canonical_lead(name)}, {unit} and {below[:20]}; correct one of them"
        )
    return Column(place, name, file_name, unit or below)


def _is_time(column: Column, head: Head) -> bool:
    unit = head.units[column.place] if head.units else ""
    return canonical_lead(column.name) is None and (is_time_name(column.file_name) or is_time_unit(unit))


def _only_numbered(columns: Sequence[Column]) -> bool:
    """Whether names are V1, V2, V3, ... or 0, 1, 2, ... beyond any lead's: they stand for no names, in R and pandas."""
    parts = [re.fullmatch(r"(\D*)(\d+)", column.name.strip()) for column in columns]
    found = [(part[1], int(part[2])) for part in parts if part]
    if len(found) < max(_FEWEST_NUMBERED, len(columns)):
        return False
    stem, first = found[0]
    return found == [(stem, first + n) for n in range(len(found))]


def _compare(columns: Sequence[Column], leads: Sequence[str]) -> None:
    for column, lead in zip(columns, leads, strict=True):
        ours, theirs = canonical_lead(column.name), canonical_lead(lead)
        if ours and theirs and ours != theirs:
            raise FileError(f"calls column {column.place + 1} {ours}, and the layout next to it {theirs}; correct one")

"""CSV and other text tables: one row per sample, one column per lead, named in the file or in the layout beside it.

Rate and unit are taken from the file where it states them, by a time column and by units, else from the layout. Where
both state them, they must agree.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.layout import Layout, find_layout, lacks
from cardiolect.data_provider.readers.lead_names import canonical_lead, find_leads
from cardiolect.data_provider.readers.tables import Meaning, same_scale, table_channels
from cardiolect.data_provider.readers.text_head import Head, read_head, split_unit, voltage
from cardiolect.data_provider.readers.text_table import MISSING, TextTable, is_number, read_text_table
from cardiolect.data_provider.readers.time_column import PLAUSIBLE_HZ, Rate, is_time_name, is_time_unit, rates

KINDS = {"\t": "TSV", ",": "CSV", ";": "CSV"}
_INDEX = re.compile(r"(|#|n|no|index|idx|samples?[ _]?(no|number|index|#)?|unnamed: 0)\.?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


class Columns(NamedTuple):
    """Columns that may be leads: place in the table, name without unit, name in the file, unit or "".

    time and time_name: place of the time column, its name and unit; None and "" if there is none.
    """

    places: list[int]
    names: list[str]
    file_names: list[str]
    units: list[str]
    time: int | None
    time_name: str


def read(path: Path) -> Channels:
    """The columns that are leads; others are not converted. Empty cells are gaps."""
    table, layout = read_text_table(path), find_layout(path)
    first_row = next(table.rows())
    head = read_head(table.head, first_row)
    columns = _columns(head, layout, table.width)
    found = find_leads(columns.names)
    places = [columns.places[row] for row in found.rows.values()]
    values, times, notes = _numbers(table, places, columns.time)
    if layout is not None and layout.samples is not None and len(values) != layout.samples:
        raise FileError(f"has {len(values)} of {layout.samples} samples")
    fs, rate_notes = _rate(path, layout, head, rates(times, columns.time_name, table.first_line), times)
    meaning = _meaning(path, layout, head, columns, found.rows.values(), fs)
    if head.skipped:
        notes.append(f"{head.skipped} lines above the table were passed over")
    by_row = dict(zip(found.rows.values(), values.T, strict=True))
    return table_channels(by_row, meaning, KINDS.get(table.delimiter, "text table"), [*notes, *rate_notes])


def _columns(head: Head, layout: Layout | None, width: int) -> Columns:
    """Which columns may be leads. Names in the file count more than the layout's, unless they only number columns."""
    leads = layout.leads if layout else None
    file_names = head.names or [""] * width
    units = [voltage(unit) for unit in head.units or [""] * width]
    split = [split_unit(name) for name in file_names]
    for place, (name, unit) in enumerate(split):
        if unit and units[place] and not same_scale(mv_per_unit(unit), mv_per_unit(units[place])):
            raise FileError(f"states two units for {name.strip()[:20]}, {unit} and {units[place]}; correct one of them")
    timed = [place for place, name in enumerate(file_names) if _is_time(name, units[place])]
    others = [place for place in range(width) if place not in timed]
    others = [place for place in others if place or head.names is None or not _INDEX.fullmatch(file_names[0])]
    if head.names is None and leads and len(leads) == width - 1:
        timed, others = [0], others[1:]
    time = timed[0] if timed else 0 if file_names[0] == "" and head.names else None
    named = any(canonical_lead(split[place][0]) for place in others) and not _only_numbered(
        [split[place][0] for place in others]
    )
    if leads and len(leads) in (width, len(others)):
        covered = others if len(leads) == len(others) else list(range(width))
        if not named:
            time = None if time in covered and not is_time_name(leads[covered.index(time)]) else time
            return Columns(
                covered, leads, leads, [split[p][1] or units[p] for p in covered], time, _time_name(head, time)
            )
        for place, lead in zip(covered, leads, strict=True):
            ours, theirs = canonical_lead(split[place][0]), canonical_lead(lead)
            if ours and theirs and ours != theirs:
                raise FileError(f"calls column {place + 1} {ours}, and the layout next to it {theirs}; correct one")
    if head.names is None or (not named and _only_numbered([split[place][0] for place in others])):
        raise FileError(f"{width} columns without names; give their leads in the layout next to it")
    return Columns(
        others,
        [split[place][0] for place in others],
        [file_names[place] for place in others],
        [split[place][1] or units[place] for place in others],
        time,
        _time_name(head, time),
    )


def _is_time(name: str, unit: str) -> bool:
    return canonical_lead(name) is None and (is_time_name(name) or (bool(unit) and is_time_unit(unit)))


def _time_name(head: Head, time: int | None) -> str:
    """Name and unit of the time column."""
    if time is None:
        return ""
    return f"{head.names[time] if head.names else ''} {head.units[time] if head.units else ''}".strip()


def _only_numbered(names: Sequence[str]) -> bool:
    """Whether names are V1, V2, V3, ... or 0, 1, 2, ... beyond any lead's: they stand for no names, in R and pandas."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name.strip()) for name in names]
    if len(parts) < 7 or not all(parts):
        return False
    numbers = [int(part[2]) for part in parts]
    return len({part[1] for part in parts}) == 1 and numbers == list(range(numbers[0], numbers[0] + len(parts)))


def _numbers(table: TextTable, places: list[int], time: int | None) -> tuple[np.ndarray, list[str], list[str]]:
    """Values ``(T, leads)`` of the columns at ``places``, the cells of the time column, and notes."""
    kinds: dict[int, type] = dict.fromkeys(places, float)
    if time is not None:
        kinds[time] = str
    try:
        frame = pd.read_csv(
            io.StringIO(table.body),
            sep=table.delimiter or r"\s+",
            header=None,
            usecols=list(kinds),
            dtype=kinds,
            quotechar=table.quote,
            skipinitialspace=True,
            skip_blank_lines=False,
            na_values={place: MISSING for place in places},
            decimal=_decimal_mark(table, places),
        )
    except (ValueError, TypeError, pd.errors.ParserError):
        raise FileError(_first_bad_cell(table, places)) from None
    values = frame[places].to_numpy(dtype=float)
    notes = []
    if not table.whole:
        notes.append("the last line has no line break, so the file may have been cut off there")
        if places[-1:] and table.width - 1 in places and not _ends_like_others(table):
            values[-1, places.index(table.width - 1)] = np.nan
            notes.append("its last number was left out, as digits may be missing")
    return values, [] if time is None else frame[time].fillna("").tolist(), notes


def _decimal_mark(table: TextTable, places: list[int]) -> str:
    """Point or comma, by the cells of the leads. Raises `FileError` where a comma may separate thousands."""
    if "," not in table.body or (table.delimiter == "," and table.quote not in table.body):
        return "."
    cells = [row[place] for row in table.rows() for place in places if "," in row[place]]
    if not cells:
        return "."
    if all(map(_THOUSANDS.fullmatch, cells)) or any("." in cell for cell in cells):
        raise FileError("the commas in its numbers may separate thousands or decimals; write decimal points only")
    return ","


def _first_bad_cell(table: TextTable, places: list[int]) -> str:
    for number, row in enumerate(table.rows()):
        for place in places:
            if row[place] and not is_number(row[place]):
                return f"line {table.first_line + number} has no number in column {place + 1}"
    return "has a cell that is not a number"


def _ends_like_others(table: TextTable) -> bool:
    """Whether the last number has as many decimals as all before it, so that no digit of it is missing.

    Raises `FileError` if only the last one has fewer.
    """
    forms = [re.sub(r"\d", "0", re.sub(r"^[+-]?\d*", "", row[-1])) for row in table.rows()]
    forms = [form.replace("+", "-") for form in forms]
    others = set(forms[:-1])
    if len(others) != 1 or others == {""}:
        return False
    if forms[-1] not in others:
        raise FileError("its last line is cut off")
    return True


def _rate(
    path: Path, layout: Layout | None, head: Head, by_time: list[Rate], times: list[str]
) -> tuple[float, list[str]]:
    """The sampling rate, and where it is from unless a layout says it. Raises `FileError` where two sources differ."""
    stated = layout.sampling_rate if layout else None
    for rate in head.rates:
        if stated is not None and not same_scale(rate, stated):
            place = "the layout next to it" if layout else "another line"
            raise FileError(f"states {rate:g} Hz above its table, and {place} {stated:g} Hz; correct one of them")
        stated = rate
    if stated is None:
        best = [rate for rate in by_time if rate.best is not None]
        if not best:
            problem = "no sampling rate (its times are too coarse, or of an unknown unit)" if times else ""
            unit = head.unit or any(head.units or ()) or any(split_unit(name)[1] for name in head.names or ())
            raise lacks(path, problem or ("no sampling rate" if unit else "neither sampling rate nor unit"))
        unit = best[0].assumed_unit
        note = f"the sampling rate is that of the time column{f', taken for {unit}' if unit else ''}"
        return float(best[0].best), [note]
    if by_time and not any(rate.allows(stated) for rate in by_time):
        said = next((r for r in by_time if PLAUSIBLE_HZ[0] <= r.high), by_time[0])
        place = "the layout next to it states" if layout else "a line above the table states"
        raise FileError(
            f"its time column means {said.best or said.low:.6g} Hz, and {place} {stated:g} Hz; correct one of them"
        )
    return stated, [] if layout else ["the sampling rate is that stated above the table"]


def _meaning(
    path: Path, layout: Layout | None, head: Head, columns: Columns, leads: Sequence[int], fs: float
) -> Meaning:
    """What the numbers mean, by the file's units or the layout. Raises `FileError` where they differ."""
    units = [unit or head.unit for unit in columns.units]
    for row in leads:
        if layout is None and not units[row]:
            raise lacks(path, "no unit")
        factor = layout.scale * mv_per_unit(layout.unit) if layout else 0
        if layout is not None and units[row] and not same_scale(mv_per_unit(units[row]), factor):
            raise FileError(
                f"states {units[row][:20]} for lead {columns.names[row]}, and the layout next to it "
                f"{f'{layout.scale:g} ' if layout.scale != 1 else ''}{layout.unit}; correct one of them"
            )
    if layout is not None:
        return Meaning(columns.names, layout.unit, fs, layout.scale, columns.file_names)
    return Meaning(columns.names, units, fs, 1.0, columns.file_names)

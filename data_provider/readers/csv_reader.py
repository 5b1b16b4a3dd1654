"""CSV and other text tables: one row per sample, one column per lead, named in the file or in the layout next to it.

Rate and unit are taken from the file where it states them, by a time column and by units, else from the layout. Where
both state them, they must agree.
"""

import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.layout import Layout, find_layout, lacks
from cardiolect.data_provider.readers.lead_names import canonical_lead, find_leads
from cardiolect.data_provider.readers.tables import Meaning, same_scale, table_channels
from cardiolect.data_provider.readers.text_columns import Column, find_columns, without_names
from cardiolect.data_provider.readers.text_head import Head, read_head, split_unit
from cardiolect.data_provider.readers.text_table import MISSING, TextTable, is_number, read_text_table
from cardiolect.data_provider.readers.time_column import PLAUSIBLE_HZ, Rate, rates

FIRST_ROWS = 20  # that tell an index or an empty column
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


def read(path: Path) -> Channels:
    """The columns that are leads; others are not converted. Empty cells are gaps."""
    table, layout = read_text_table(path), find_layout(path)
    first_rows = list(itertools.islice(table.rows(), FIRST_ROWS))
    head = read_head(table.head, first_rows)
    columns = find_columns(head, layout.leads if layout else None, first_rows)
    names = [column.name for column in columns.others]
    rows = list(find_leads(names).rows.values())
    values, times, notes = _numbers(table, [columns.others[row].place for row in rows], columns.time)
    if head.names is None and columns.time is not None and not _increase(times):
        raise without_names(table.width)
    if layout is not None and layout.samples is not None and len(values) != layout.samples:
        raise FileError(f"has {len(values)} of {layout.samples} samples")
    by_time = rates(times, columns.time_name, table.first_line)
    has_unit = bool(layout and layout.unit) or _states_units(head)
    fs, rate_notes = _rate(path, layout.sampling_rate if layout else None, head, by_time, bool(times), has_unit)
    units, scale = _units(path, layout, head, columns.others, rows)
    if head.skipped:
        notes.append(f"lines above the table that were passed over: {head.skipped}")
    meaning = Meaning(names, units, fs, scale, [column.file_name for column in columns.others])
    return table_channels(dict(zip(rows, values.T, strict=True)), meaning, table.kind, [*notes, *rate_notes])


def _increase(cells: Sequence[str]) -> bool:
    """Whether cells are times of day, or numbers that increase."""
    try:
        return bool((np.diff([float(cell.replace(",", ".")) for cell in cells]) > 0).all())
    except ValueError:
        return all(":" in cell for cell in cells)


def _numbers(table: TextTable, places: list[int], time: int | None) -> tuple[np.ndarray, list[str], list[str]]:
    """Values ``(T, leads)`` of the columns at ``places``, the cells of the time column, and notes."""
    kinds: dict[int, type] = dict.fromkeys(places, float)
    if time is not None:
        kinds[time] = str
    decimal = _decimal_mark(table, places)
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
            decimal=decimal,
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
    has_comma = False
    for row in table.rows():
        for cell in (row[place] for place in places if "," in row[place]):
            has_comma = True
            if not _THOUSANDS.fullmatch(cell) and "." not in cell:
                return ","
    if has_comma:
        raise FileError("the commas in its numbers may separate thousands or decimals; write decimal points only")
    return "."


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
    forms: set[str] = set()
    form = None
    for row in table.rows():
        if form is not None:
            forms.add(form)
        form = re.sub(r"\d", "0", re.sub(r"^[+-]?\d*", "", row[-1])).replace("+", "-")
    if len(forms) != 1 or forms == {""}:
        return False
    if form not in forms:
        raise FileError("its last line is cut off")
    return True


def _rate(
    path: Path, laid_out: float | None, head: Head, by_time: list[Rate], has_times: bool, has_unit: bool
) -> tuple[float, list[str]]:
    """The sampling rate, and where it is from unless a layout says it. Raises `FileError` where two sources differ.

    laid_out: the rate in the layout; has_unit: whether file or layout state a unit.
    """
    stated = laid_out or (head.rates[0] if head.rates else None)
    if stated is None:
        best = [rate for rate in by_time if rate.best is not None]
        if best and not PLAUSIBLE_HZ[0] <= best[0].low <= PLAUSIBLE_HZ[1]:
            raise FileError(f"its time column means {best[0]}; correct the unit of time")
        if not best:
            missing = "times that tell no sampling rate" if has_times else "no sampling rate"
            if not has_unit:
                missing = f"{missing}, and no unit" if has_times else "neither sampling rate nor unit"
            raise lacks(path, missing, "sampling_rate" if has_unit else "")
        unit = best[0].assumed_unit
        note = f"the sampling rate is that of the time column{f', taken for {unit}' if unit else ''}"
        return float(best[0].best or 0), [note]
    agree = [same_scale(rate, stated) for rate in head.rates]
    if laid_out and agree and not any(agree):  # one of several may be the recorder's, before the file was resampled
        raise FileError(
            f"states {head.rates[0]:g} Hz above its table, and the layout next to it {stated:g} Hz; correct one of them"
        )
    if not laid_out and not PLAUSIBLE_HZ[0] <= stated <= PLAUSIBLE_HZ[1]:
        raise FileError(f"states {stated:g} Hz above its table; give the rate in a layout next to it")
    if not laid_out and not all(agree):
        raise FileError(f"states {stated:g} Hz and {head.rates[1]:g} Hz above its table; correct one of them")
    if by_time and not any(rate.allows(stated) for rate in by_time):
        place = "the layout next to it states" if laid_out else "a line above the table states"
        raise FileError(f"its time column means {by_time[0]}, and {place} {stated:g} Hz; correct one of them")
    return stated, [] if laid_out else ["the sampling rate is that stated above the table"]


def _states_units(head: Head) -> bool:
    return bool(head.unit or any(head.units or ()) or any(split_unit(name)[1] for name in head.names or ()))


def _units(
    path: Path, layout: Layout | None, head: Head, columns: Sequence[Column], rows: Sequence[int]
) -> tuple[str | list[str], float]:
    """Units of the columns and scale, by the layout or the file. Raises `FileError` where the two differ.

    rows: those of the columns that are leads.
    """
    laid_out = layout if layout is not None and layout.unit is not None else None
    for column in (columns[row] for row in rows):
        unit = column.unit or head.unit
        lead = canonical_lead(column.name) or column.name
        if laid_out is not None:
            if unit and not same_scale(mv_per_unit(unit), laid_out.scale * mv_per_unit(laid_out.unit)):
                ours = f"{laid_out.scale:g} {laid_out.unit}" if laid_out.scale != 1 else laid_out.unit
                raise FileError(f"states {unit} for lead {lead}, and the layout next to it {ours}; correct one of them")
        elif not unit:
            raise lacks(path, f"no unit for lead {lead}" if any(each.unit for each in columns) else "no unit", "unit")
        elif not column.unit and head.has_scale:
            raise lacks(path, "a gain or scale above its table, so a number is not sure to be a unit", "unit")
    if laid_out is not None:
        return laid_out.unit, laid_out.scale
    return [column.unit or head.unit for column in columns], 1.0

"""What the lines above a table of numbers say: names, units, sampling rate."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cardiolect.data_provider.readers.channels import FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import canonical_lead
from cardiolect.data_provider.readers.text_table import is_number
from cardiolect.data_provider.readers.time_column import is_time_name, is_time_unit

_NO_VOLTAGE = {"adu", "raw", "count", "counts", "lsb", "bit", "bits", "au", "a.u.", "nu", "digits", "digital"}
_VOLTAGE = r"(?:milli|micro|nano)volts?|[muµμn]v"
_NAME_AND_UNIT = re.compile(
    rf"(.*?\S)\s*(?:[\[(]\s*({_VOLTAGE}|volts?|v|{'|'.join(map(re.escape, sorted(_NO_VOLTAGE)))})\s*[\])]"
    rf"|[\s_./,:-]+(?:in[\s_]+)?\(?({_VOLTAGE})[)._]?)",  # R writes "I (mV)" as I..mV., Matlab as I_mV_
    re.IGNORECASE,
)
_RATE = re.compile(
    r"\b(?:sampl[a-z]*?[\s_-]?(?:rate|freq(?:uency)?)|abtast(?:rate|frequenz)|fs|sfreq)\b"
    r"[\s\"'=:;,]{0,9}(?:[\[(]?(k?hz)[\])]?)?[\s\"'=:;,]{0,9}(\d+(?:[.,]\d+)?)(?![\d:/-])\s?(k?hz|[a-z]+)?",
    re.IGNORECASE,
)
_BARE_RATE = re.compile(r"(?:sampling|frequency|rate)()\W{1,9}(\d+(?:[.,]\d+)?)\s?(k?hz)\b", re.IGNORECASE)
_SCALE = re.compile(
    r"\b(?:gain|scal\w*|resolution|factor|lsb|adc|amplification|conversion)\b(?!.*mm/mv)", re.IGNORECASE
)
_INTERVAL = re.compile(r"(\d+(?:[.,]\d+)?)\s*(s|ms|sec|msec)\b", re.IGNORECASE)
_UNIT = re.compile(
    rf"\b(?:units?|einheit(?:en)?)\b[\s\"'=:;,(\[]+({_VOLTAGE}|volts?|v)\b(?!\s*/|\s+per\b)", re.IGNORECASE
)

LONGEST_LINE = 2000
_MANY_LEADS = 2


@dataclass(frozen=True)
class Head:
    """names and units: of every column, None if there are none; "" where a column has none.

    rates: in Hz, as stated above the table; unit: stated there for all columns, or ""; has_scale: whether a gain or
    scale is mentioned there; skipped: how many lines are neither names nor units nor LabChart's.
    """

    names: list[str] | None
    units: list[str] | None
    rates: tuple[float, ...]
    unit: str
    has_scale: bool
    skipped: int


def read_head(lines: Sequence[Sequence[str]], rows: Sequence[Sequence[str]]) -> Head:
    """What the lines above a table say. lines: their cells; rows: the cells of the first rows of numbers.

    The names are in the line that names most leads, else in the last line that has a cell for every column.
    """
    width, rest = len(rows[0]), []
    rates: list[float] = []
    units = None
    for cells in lines:
        if cells[0].endswith("="):
            kind, cells = _of_labchart(cells, width)
            rates += [1 / float(period) for period in cells if kind == "period"]
        else:
            kind = ""
        fitted = _fitted(cells, rows)
        if kind == "units" or (not kind and fitted and _are_units(fitted)):
            units = fitted and [cell.strip("()[] ") for cell in fitted]
        elif kind in ("", "names"):
            rest.append(cells)
    fitting = [fitted for cells in rest if (fitted := _fitted(cells, rows))]
    names = max(reversed(fitting), key=_count_leads) if fitting else None
    for cells in rest:
        if _fitted(cells, rows) is None and _count_leads(cells)[0] > _MANY_LEADS:
            raise FileError(
                f"names {len(cells)} columns, and its rows have {width} cells; where commas are between cells, "
                "decimals need points"
            )
    texts = [" ".join(cells)[:LONGEST_LINE] for cells in rest if names is None or _fitted(cells, rows) != names]
    rates += [rate for text in texts for rate in _stated_rates(text)]
    stated = {found[1] for text in texts if (found := _UNIT.search(text))}
    if len({mv_per_unit(unit) for unit in stated}) > 1:
        raise FileError(f"states several units above its table ({', '.join(sorted(stated))}); correct them")
    return Head(
        names, units, tuple(dict.fromkeys(rates)), next(iter(stated), ""), any(map(_SCALE.search, texts)), len(texts)
    )


def split_unit(name: str) -> tuple[str, str]:
    """A column's name without its unit, and the unit: "I [mV]", "V1_uV" and "aVF..mV." have one; "" if it has none."""
    found = _NAME_AND_UNIT.fullmatch(name.strip())
    if not found:
        return name, ""
    return found[1].rstrip(" _./,:-"), voltage(found[2] or found[3])


def voltage(unit: str) -> str:
    """A unit, or "" if it stands for numbers as the converter gave them, whose unit is unknown."""
    return "" if unit.strip().lower() in _NO_VOLTAGE else unit.strip()


def _of_labchart(cells: Sequence[str], width: int) -> tuple[str, list[str]]:
    """A line that LabChart writes above its columns: what it states, and the cells; times stand before the columns."""
    key, rest = cells[0].lower(), list(cells[1:])
    timed = width == len(cells)
    if key == "interval=" and (found := _INTERVAL.search(" ".join(rest))):
        period = float(found[1].replace(",", ".")) * (1e-3 if found[2].lower().startswith("m") else 1)
        return "period", [f"{period:.9g}"] if period else []
    if key == "channeltitle=":
        return "names", ["time", *rest] if timed else rest
    if key in ("range=", "unitname="):
        units = [cell.split()[-1] if cell else "" for cell in rest]
        return "units", ["", *units] if timed else units
    return "other", rest


def _stated_rates(text: str) -> list[float]:
    """Rates in Hz: "Sampling rate: 500 Hz", "fs=500", "Sample frequency (kHz);1"."""
    found = []
    bare = _BARE_RATE.match(text)  # from the start of the line on: others are the mains', or a filter's
    for before, number, after in [*_RATE.findall(text), *([bare.groups()] if bare else [])]:
        unit = before.lower() or after.lower()
        if unit in ("", "hz", "khz", "samples", "sps"):
            found.append(float(number.replace(",", ".")) * (1000 if unit == "khz" else 1))
    return [rate for rate in found if rate > 1]


def last_is_empty(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the last column is what a delimiter at the ends of lines makes."""
    return not any(row[-1] for row in rows)


def _fitted(cells: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Cells of a line for each column, None if it has too many or too few.

    An index column may have no name (R), and a delimiter at the ends of lines makes an empty column.
    """
    cells, missing = list(cells), len(rows[0]) - len(cells)
    if missing == 1 and len(cells) > 1 and last_is_empty(rows):
        return [*cells, ""]
    if missing == 1 and len(cells) > 1 and _is_index([row[0] for row in rows]):
        return ["", *cells]
    if missing == -1 and not cells[-1]:
        return cells[:-1]
    return cells if missing == 0 else None


def _is_index(cells: Sequence[str]) -> bool:
    """Whether cells count rows, or are no numbers: names or times of rows."""
    if all(cell.isdecimal() for cell in cells):
        return all(int(cell) == int(cells[0]) + row for row, cell in enumerate(cells))
    return not any(map(is_number, cells))


def _are_units(cells: Sequence[str]) -> bool:
    """Whether most cells are units of voltage or of time, or stand for none."""
    filled = [cell.strip("()[] ") for cell in cells if cell]
    known = [_is_voltage(cell) or cell.lower() in _NO_VOLTAGE or is_time_unit(cell) for cell in filled]
    return 2 * sum(known) > len(filled) and not any(canonical_lead(cell) for cell in filled)


def _is_voltage(cell: str) -> bool:
    try:
        mv_per_unit(cell)
    except FileError:
        return False
    return True


def _count_leads(cells: Sequence[str]) -> tuple[int, int]:
    """How many leads a line names, then how many times: a title of one cell names neither."""
    return sum(canonical_lead(split_unit(cell)[0]) is not None for cell in cells), sum(map(is_time_name, cells))

"""Tables in text files: encoding, delimiter, quotes, and where the rows of numbers begin."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cardiolect.data_provider.readers.channels import FileError, NoLeadsError

KINDS = {"\t": "TSV", ",": "CSV", ";": "CSV"}
_OTHER_KIND = "text table"
TEXT_TABLES = {*KINDS.values(), _OTHER_KIND}
MAX_BYTES = 500_000_000
MAX_HEAD_LINES = 200  # lines that may precede the numbers
MAX_HEAD = 4_000_000  # characters in those lines
LONGEST_NAME = 200
MAX_LEADS = 64  # a table of fewer rows and more columns has a row per lead
MISSING = ("-", "--", "---")  # rdsamp's mark of an invalid sample; pandas knows "", "NaN", "NA" and their like

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|[+-]?inf|nan|na|n/a|null|none|-{1,3}", re.IGNORECASE)
_TIME = re.compile(r"\[?(\d{1,4}[-./]\d{1,2}[-./]\d{1,4}[ t]?)?\s*\d{1,2}:\d{2}(:\d{2})?.*", re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_COMMENT = re.compile(r"^\s*(#|%|//)+\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")


@dataclass(frozen=True)
class TextTable:
    """A text of rows that have the same number of cells.

    head: the cells of each line above the numbers, without comment marks; body: the rows of numbers, line breaks "\\n",
    the last one included; first_line: number of the body's first line in the file, from 1; delimiter: "" for blanks;
    quote: the character around cells, '"' unless it is "'"; width: cells in a row; whole: whether the file ends in a
    line break; kind: the format.
    """

    head: list[list[str]]
    body: str
    first_line: int
    delimiter: str
    quote: str
    width: int
    whole: bool
    kind: str

    def rows(self) -> Iterator[list[str]]:
        """The cells of every row of the body, without quotes and blanks around them."""
        for line in io.StringIO(self.body):
            yield _cells(line, self.delimiter, self.quote)


def read_text_table(path: Path) -> TextTable:
    """Find the table in a text file. Raises `FileError` if there is none or a row has too many or too few cells."""
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 1_000_000} MB; convert it to WFDB or NPY")
    text = _decoded(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n").replace("\N{MINUS SIGN}", "-")
    text = text.rstrip("\x1a")
    whole = text.endswith("\n")
    if (end := _end_of_line(text, MAX_HEAD_LINES)) > MAX_HEAD:
        raise NoLeadsError("contains no table of numbers: its lines are too long")
    lines = text[:end].split("\n")
    last = max((number for number, line in enumerate(lines) if line.strip()), default=0)
    lines = lines[: last + 1]
    # Lines in the middle of the sample tell most about the table: above are names, below may be a broken end.
    numbers = [line for line in lines[-40:] if line.strip() and not _COMMENT.match(line)]
    quote = "'" if any(line.count("'") > line.count('"') for line in numbers[-3:]) else '"'
    delimiter, width = _shape(numbers, quote)
    parts = [_cells(line, delimiter, quote) for line in lines]
    fits = [len(cells) == width and _is_data(cells) and not _COMMENT.match(lines[i]) for i, cells in enumerate(parts)]
    start = next((i for i in range(len(fits)) if all(fits[i : i + 3])), None)
    if start is None:
        raise NoLeadsError("contains no table of numbers")
    if _counts_up(parts[start]):  # the column numbers that pandas writes in place of names
        start += 1
    while start and len(parts[start - 1]) == width > 1 and not any(parts[start - 1]):
        start -= 1  # the first samples of all leads are missing
    head = [_head_cells(line, delimiter, quote, width) for line in lines[:start] if line.strip()]
    body = _without_comments(text[_end_of_line(text, start) :].rstrip(" \n") + "\n", delimiter, width)
    table = TextTable(head, body, start + 1, delimiter, quote, width, whole, KINDS.get(delimiter, _OTHER_KIND))
    _check_rows(table)
    return _upright(table)


def is_number(cell: str) -> bool:
    """Whether a cell is a number with a decimal point or comma, or a mark of a missing one."""
    return _NUMBER.fullmatch(cell) is not None


def _decoded(data: bytes) -> str:
    """Text in UTF-8, UTF-16 or, as its numbers are the same there, any encoding that extends ASCII."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data[:1000]:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8-sig":
            raise FileError("is not a text, or a UTF-16 text that was cut off") from None
        text = data.decode("latin-1")
    if "\0" in text or _CONTROL.search(text[:100_000].rstrip("\x1a")):
        raise NoLeadsError("contains no table of numbers: it is not a text")
    return text


def _end_of_line(text: str, number: int) -> int:
    """The place after the first ``number`` lines, the end of the text if it has fewer."""
    place = 0
    for _ in range(number):
        place = text.find("\n", place) + 1
        if place == 0:
            return len(text)
    return place


def _cells(line: str, delimiter: str, quote: str) -> list[str]:
    if not delimiter:
        return [cell.strip("'\"") for cell in line.split()]
    if quote and quote in line:
        reader = csv.reader([line], delimiter=delimiter, quotechar=quote, skipinitialspace=True)
        try:
            return [cell.strip() for cell in next(reader, [])]
        except csv.Error:
            return []
    return [cell.strip() for cell in line.rstrip("\n").split(delimiter)]


def _head_cells(line: str, delimiter: str, quote: str, width: int) -> list[str]:
    line = _COMMENT.sub("", line)
    cells = _cells(line, delimiter, quote)
    if not delimiter and len(apart := re.split(r"\s{2,}", line.strip())) == width:  # names may contain a blank
        cells = apart
    return [cell.strip().strip("'\"").strip()[:LONGEST_NAME] for cell in cells]


def _shape(lines: list[str], quote: str) -> tuple[str, int]:
    """Delimiter and cells per row: the first delimiter that makes most lines rows of numbers of one width."""
    for delimiter in ("\t", ";", ",", "|", ""):
        if delimiter and not all(delimiter in _QUOTED.sub("", line) for line in lines[-3:-1]):
            continue
        rows = [_cells(line, delimiter, quote) for line in lines]
        data = Counter(len(cells) for cells in rows if _is_data(cells))
        if data and (most := data.most_common(1)[0])[0] > 1 and most[1] >= len(lines) / 2:
            return delimiter, most[0]
    raise NoLeadsError("contains no table of numbers")


def _is_data(cells: list[str]) -> bool:
    """More numbers and times than other text; cells may be empty, but not all."""
    filled = [cell for cell in cells if cell]
    return 2 * sum(is_number(cell) or bool(_TIME.fullmatch(cell)) for cell in filled) > len(filled)


def _counts_up(cells: list[str]) -> bool:
    """Whether a row is 0, 1, 2, ... or 1, 2, 3, ..., which no ECG is; an index may stand before it."""
    counted = cells[1:] if cells[:1] == [""] else cells
    return len(counted) > 5 and any(counted == [str(n + first) for n in range(len(counted))] for first in (0, 1))


def _without_comments(body: str, delimiter: str, width: int) -> str:
    """The body without lines, and cells after the last column, that begin with # (LabChart's comments)."""
    if "#" not in body:
        return body
    lines = (line for line in io.StringIO(body) if not line.lstrip().startswith("#"))
    mark = f"{delimiter or ' '}#"
    return "".join(
        f"{line[: line.index(mark)]}\n" if mark in line and len(_cells(line, delimiter, "")) > width else line
        for line in lines
    )


def _upright(table: TextTable) -> TextTable:
    """The table with a row per sample, if it has one per lead, with the lead's name in front or not."""
    if not 1 < table.body.count("\n") <= MAX_LEADS < table.width:
        return table
    columns = list(zip(*table.rows(), strict=True))
    head = [] if all(map(is_number, columns[0])) else [list(columns[0])]
    body = "".join("\t".join(column) + "\n" for column in columns[len(head) :])
    return replace(table, head=[*table.head, *head], body=body, delimiter="\t", width=len(columns[0]))


def _check_rows(table: TextTable) -> None:
    """Refuse rows of another length: pandas fills them with NaN, which would pass for a gap."""
    delimiter, width = table.delimiter, table.width
    quoted = table.quote in table.body
    for number, line in enumerate(io.StringIO(table.body)):
        if not delimiter:
            found = len(line.split())
        elif quoted:
            found = len(_cells(line, delimiter, table.quote))
        else:
            found = line.count(delimiter) + 1 if line != "\n" else 0
        if found != width:
            place = f"line {table.first_line + number} has {found} of {width} cells"
            raise FileError(f"has rows of unequal length ({place}); it may be truncated or hold several tables")

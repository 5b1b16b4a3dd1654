"""CSV files: one row per sample, one column per lead, named in a header row or in the layout next to the file."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.layout import need_layout
from cardiolect.data_provider.readers.tables import table_channels

MAX_BYTES = 500_000_000


def read(path: Path) -> Channels:
    """The columns that are leads; others, such as time, are ignored. Empty cells are gaps."""
    layout = need_layout(path)
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 1_000_000} MB; convert it to WFDB or NPY")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = csv.Sniffer().sniff(first, delimiters=",;\t ").delimiter
        has_header = not _are_numbers(first.strip().split(delimiter))
        frame = pd.read_csv(io.StringIO(text), sep=delimiter, header=0 if has_header else None, skip_blank_lines=False)
    except (csv.Error, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise FileError(f"not a table of numbers ({str(error)[:80]})") from None
    names = [str(name).strip().strip('"') for name in frame.columns] if has_header else layout.leads
    if names is None or len(names) != frame.shape[1]:
        raise FileError(f"{frame.shape[1]} columns without names; give their leads in the layout next to it")
    # pandas fills short rows with NaN, which would pass for a gap, and a truncated number is still a number.
    if not text.endswith("\n") or text.count(delimiter) != (len(frame) + has_header) * (frame.shape[1] - 1):
        raise FileError("has rows of unequal length or no line break at its end; it may be truncated")
    if layout.samples is not None and len(frame) != layout.samples:
        raise FileError(f"has {len(frame)} of {layout.samples} samples")
    try:
        values = frame.to_numpy(dtype=float)
    except ValueError as error:
        raise FileError(f"has a cell that is not a number ({str(error)[:60]})") from None
    return table_channels(np.ascontiguousarray(values.T), names, layout.unit, layout.scale, layout.sampling_rate, "CSV")


def _are_numbers(cells: list[str]) -> bool:
    try:
        [float(cell) for cell in cells if cell]
    except ValueError:
        return False
    return True

"""The two codings of samples in SCP-ECG (EN 1064, sections 2, 5 and 6): Huffman codes and differences."""

from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.readers.channels import FileError

DEFAULT_TABLE = 19999  # instead of a number of tables
MAX_CODES = 10_000  # of all tables; the standard's has 19


class _Code(NamedTuple):
    """What a prefix means: a value of its own, more bits that hold it, or that another table follows."""

    more_bits: int
    value: int
    switches: bool


class Table(NamedTuple):
    """Codes by prefix, a string of 0 and 1 in the order in which they are sent; and the lengths of prefixes, sorted."""

    codes: dict[str, _Code]
    lengths: list[int]


def default_table() -> Table:
    """The table of the standard: 0, 100, 101, 1100, ... for 0, 1, -1, 2, ... -8; 8 or 16 bits follow two prefixes."""
    codes = {"0": _Code(0, 0, False), "1111111110": _Code(8, 0, False), "1111111111": _Code(16, 0, False)}
    for size in range(1, 9):
        codes["1" * size + "00"] = _Code(0, size, False)
        codes["1" * size + "01"] = _Code(0, -size, False)
    return _table(codes)


def read_tables(body: bytes) -> list[Table]:
    """The tables of section 2, without its header. Raises `FileError`."""
    try:
        count = _unsigned(body, 0, 2)
        if count == DEFAULT_TABLE:
            return [default_table()]
        tables, at, left = [], 2, MAX_CODES
        for _ in range(count):
            codes: dict[str, _Code] = {}
            n_codes = _unsigned(body, at, 2)
            at += 2
            left -= n_codes
            if left < 0:
                raise FileError(f"its Huffman tables have more than {MAX_CODES} codes; the file is damaged")
            for _ in range(n_codes):
                prefix_bits, all_bits, holds_data = body[at], body[at + 1], body[at + 2]
                value = int.from_bytes(body[at + 3 : at + 5], "little", signed=True)
                code = _unsigned(body, at + 5, 4)
                at += 9
                if not 1 <= prefix_bits <= 32 or not 0 <= all_bits - prefix_bits <= 32:
                    raise FileError(f"its Huffman table has a code of {prefix_bits} and {all_bits} bits")
                prefix = f"{code % (1 << prefix_bits):0{prefix_bits}b}"[::-1]  # the first bit is the lowest
                codes[prefix] = _Code(all_bits - prefix_bits, value, not holds_data)
            tables.append(_table(codes))
    except IndexError:
        raise FileError("its Huffman tables are cut off") from None
    if not tables or not all(table.codes for table in tables):
        raise FileError("its Huffman tables are empty")
    return tables


def decode(data: bytes, count: int, tables: list[Table]) -> np.ndarray:
    """The first ``count`` values in ``data``, int64. Raises `FileError` if there are fewer, or a code is unknown."""
    bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
    if count > len(bits):  # a value takes at least a bit: nothing is allocated for more
        raise FileError(f"its samples are cut off: {len(data)} bytes cannot hold {count}")
    values = np.empty(count, np.int64)
    table, at, done = tables[0], 0, 0
    while done < count:
        for length in table.lengths:
            if code := table.codes.get(bits[at : at + length]):
                break
        else:
            raise FileError(f"its samples are cut off or damaged: only {done} of {count} can be decoded")
        at += length
        if code.switches:
            if not 1 <= code.value <= len(tables):
                raise FileError(f"its samples switch to Huffman table {code.value} of {len(tables)}")
            table = tables[code.value - 1]
            continue
        value = code.value
        if code.more_bits:
            if at + code.more_bits > len(bits):
                raise FileError(f"its samples are cut off: only {done} of {count} can be decoded")
            more = int(bits[at : at + code.more_bits], 2)
            value += more - (1 << code.more_bits if more >> (code.more_bits - 1) else 0)
            at += code.more_bits
        values[done] = value
        done += 1
    return values


def undo_differences(values: np.ndarray, order: int) -> np.ndarray:
    """Amplitudes from differences of the given order, 0, 1 or 2; the first ``order`` values are amplitudes.

    Amplitudes are 16-bit and wrap around: writers that computed differences in 16 bits meant it so.
    """
    if order == 2 and len(values) > 1:
        slopes = np.cumsum(np.concatenate([[values[1] - values[0]], values[2:]]))
        values = np.concatenate([values[:1], slopes])
    return np.cumsum(values).astype(np.int16).astype(np.int64) if order else values


def _table(codes: dict[str, _Code]) -> Table:
    return Table(codes, sorted({len(prefix) for prefix in codes}))


def _unsigned(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "little")

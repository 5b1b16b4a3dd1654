"""Variables of a MATLAB file, version 5 (MathWorks, "MAT-File Format"): matrices of numbers, and structs of them.

SciPy's reader allocates what a file declares before it finds that the data are missing; this one reads no more than is
there.
"""

import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from cardiolect.data_provider.readers.channels import FileError

MAX_BYTES = 50_000_000  # decompressed
_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_STRUCT, _NUMERIC = 2, range(6, 16)  # classes of matrices: double to uint64
_COMPLEX = 0x0800

Variable = np.ndarray | dict[str, np.ndarray]


def variables(data: bytes) -> dict[str, Variable]:
    """Name -> numbers as they are shaped in the file, or the numeric fields of a struct of one element.

    Variables of other kinds are left out. Raises `FileError` on a damaged file or one that decompresses to too much.
    """
    if len(data) < _HEADER_BYTES or data[126:128] not in (b"IM", b"MI"):
        raise FileError("its MATLAB header is cut off or damaged")
    order = "<" if data[126:128] == b"IM" else ">"
    found: dict[str, Variable] = {}
    left = MAX_BYTES
    try:
        for kind, content in _elements(data[_HEADER_BYTES:], order):
            if kind == _COMPRESSED:
                unpack = zlib.decompressobj()
                content = unpack.decompress(content, left + 1)
                left -= len(content)
                if left < 0:
                    raise FileError(f"decompresses to more than {MAX_BYTES // 10**6} MB")
                if not unpack.eof:
                    raise FileError("truncated: a compressed variable is cut off")
                kind, content = next(_elements(content, order))
            if kind == _MATRIX:
                name, value = _matrix(content, order)
                if value is not None:
                    found[name] = value
    except (struct.error, zlib.error, StopIteration):
        raise FileError("truncated or damaged: one of its variables cannot be read") from None
    return found


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of every element in ``data``."""
    at = 0
    while at < len(data):
        (kind,) = struct.unpack_from(f"{order}I", data, at)
        if kind >> 16:  # up to four bytes, beside their tag
            kind, size, start, stop = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            (size,) = struct.unpack_from(f"{order}I", data, at + 4)
            start = at + 8
            stop = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise FileError("truncated: one of its variables is cut off")
        yield kind, data[start : start + size]
        at = stop


def _matrix(data: bytes, order: str) -> tuple[str, Variable | None]:
    """Name and value of a matrix; None for one of text, of cells or of several structs."""
    elements = _elements(data, order)
    (flags,) = struct.unpack_from(f"{order}I", next(elements)[1])
    _, dims = next(elements)
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    name = next(elements)[1].decode("latin-1")
    class_ = flags & 0xFF
    if class_ in _NUMERIC and not flags & _COMPLEX:
        kind, content = next(elements)
        dtype = np.dtype(_DTYPES.get(kind, "u1")).newbyteorder(order)
        if kind not in _DTYPES or math.prod(shape) * dtype.itemsize != len(content) or min(shape, default=0) < 0:
            raise FileError("a variable does not have the size that it declares; the file is damaged")
        return name, np.frombuffer(content, dtype).reshape(shape, order="F")
    if class_ == _STRUCT and math.prod(shape) == 1:
        (width,) = struct.unpack(f"{order}i", next(elements)[1])
        names = next(elements)[1]
        if width < 1:
            raise FileError("its struct has fields without names; it is damaged")
        fields = [names[i : i + width].split(b"\0")[0].decode("latin-1") for i in range(0, len(names), width)]
        values = {field: _field(next(elements)[1], order) for field in fields}
        return name, {field: value for field, value in values.items() if isinstance(value, np.ndarray)}
    return name, None


def _field(data: bytes, order: str) -> Variable | None:
    """The value of a field of a struct, None if it is itself a struct: nesting ends here."""
    (flags,) = struct.unpack_from(f"{order}I", next(_elements(data, order))[1]) if data else (0,)
    return _matrix(data, order)[1] if flags & 0xFF in _NUMERIC else None

"""XLI, the compression of Philips' ECG files: LZW over second differences of 16-bit samples, a block for each lead.

A block begins with its length in bytes (32 bits), 16 bits that are not needed here, and the second difference at the
third sample, negated (16 bits), all little-endian. LZW codes of 10 bits follow, most significant bit first; 1023 ends
them. They unpack to all high bytes and then all low bytes of as many 16-bit numbers as there are samples: the first two
samples, then 64 minus the second differences, each one sample ahead of its place.
"""

import numpy as np

from cardiolect.data_provider.readers.channels import FileError

_HEADER = 8
_CODE_BITS = 10
_END = 1023  # no code of a string; the table is full before it
_MAX_BLOCKS = 32
_BIAS = 64


def unpack(data: bytes, n_samples: int) -> tuple[list[np.ndarray], list[int]]:
    """The blocks of a file, one for each lead: int64 steps ``(n_samples,)``; and which lack a proper end.

    A block's codes end with its bytes, but for up to two bytes. Raises `FileError`.
    """
    leads, odd, place = [], [], 0
    while place < len(data):
        header = data[place : place + _HEADER]
        size = int.from_bytes(header[:4], "little")
        block = data[place + _HEADER : place + _HEADER + size]
        if len(header) < _HEADER or not size or len(block) < size:
            raise FileError(f"block {len(leads) + 1} of its compressed samples is cut off")
        if len(leads) == _MAX_BLOCKS:
            raise FileError(f"contains more than {_MAX_BLOCKS} blocks of compressed samples")
        try:
            raw, used = _lzw(block, 2 * n_samples)
        except IndexError:
            raise FileError(f"block {len(leads) + 1} of its compressed samples is damaged") from None
        if len(raw) != 2 * n_samples:
            raise FileError(f"block {len(leads) + 1} of its compressed samples does not unpack to {n_samples} samples")
        if not size - 2 <= used <= size:
            odd.append(len(leads))
        leads.append(_integrate(raw, int.from_bytes(header[6:], "little", signed=True)))
        place += _HEADER + size
    return leads, odd


def _lzw(block: bytes, limit: int) -> tuple[bytes, int]:
    """The unpacked bytes, if they exceed ``limit``, the first of them; and how many bytes their codes take, with the
    code that ends them: 0 if that is missing. IndexError on an unknown code.
    """
    n_codes = min(8 * len(block) // _CODE_BITS, limit + 2)  # a code unpacks to at least a byte
    block = block[: n_codes * _CODE_BITS // 8 + 1]
    bits = np.unpackbits(np.frombuffer(block, np.uint8))[: n_codes * _CODE_BITS].reshape(-1, _CODE_BITS)
    codes = (bits @ (1 << np.arange(_CODE_BITS)[::-1])).tolist()
    table = [bytes([value]) for value in range(256)]
    out, last = bytearray(), b""
    for number, code in enumerate(codes, start=1):
        if code == _END:
            return bytes(out), -(-number * _CODE_BITS // 8)
        if len(out) > limit:
            break
        if last and len(table) < _END:
            # The string that a code refers to may be the one that it completes: it then starts as the last one does.
            table.append(last + (table[code][:1] if code < len(table) else last[:1]))
        last = table[code]
        out += last
    return bytes(out), 0


def _integrate(raw: bytes, third: int) -> np.ndarray:
    """Samples from the bytes of a block. Raises `FileError` if they leave the range of 16 bits."""
    high, low = np.frombuffer(raw, np.uint8).reshape(2, -1)
    numbers = (high.astype(np.uint16) << 8 | low).view(np.int16).astype(np.int64)
    if len(numbers) < 3:
        return numbers
    bends = np.concatenate([[-third], _BIAS - numbers[2:-1]])
    slopes = numbers[1] - numbers[0] + np.concatenate([[0], np.cumsum(bends)])
    samples = numbers[0] + np.concatenate([[0], np.cumsum(slopes)])
    if np.abs(samples).max() > 1 << 15:
        raise FileError("its compressed samples leave the range of 16 bits; the file is damaged")
    return samples

"""Writes ISHNE Holter files as Badilini 1998 lays them out."""

import binascii
import struct
from pathlib import Path

import numpy as np

CODES = range(5, 17)  # I to V6


def write_ishne(
    path: Path, steps: np.ndarray, *, codes=CODES, nanovolts=1000, fs=500, comment=b"", stated=None
) -> Path:
    """steps ``(leads, T)`` of ``nanovolts``."""
    n_leads, n_samples = steps.shape
    block = bytearray(512)
    place = 522 + len(comment)
    struct.pack_into("<iiiih", block, 0, len(comment), n_samples if stated is None else stated, 522, place, 1)
    block[18:24] = b"Nobody"
    struct.pack_into("<h", block, 146, n_leads)
    struct.pack_into("<12h", block, 148, *(list(codes) + [-9] * 12)[:12])
    struct.pack_into("<12h", block, 196, *([nanovolts] * n_leads + [-9] * 12)[:12])
    struct.pack_into("<H", block, 262, fs)
    header = bytes(block) + comment
    checksum = struct.pack("<H", binascii.crc_hqx(header, 0xFFFF))
    path.write_bytes(b"ISHNE1.0" + checksum + header + steps.T.astype("<i2").tobytes())
    return path

"""Writes SCP-ECG files as EN 1064 lays them out, with every compression that it knows."""

import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cardiolect.data_provider.record import LEADS

CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))


@dataclass(frozen=True)
class Beats:
    """A reference beat that is subtracted at every fiducial, and zones around them that are not thinned out.

    Samples count from 0; before is the reference's part before the fiducial, its length is that of `reference`.
    """

    reference: np.ndarray  # (leads, samples), steps
    before: int
    fiducials: Sequence[int]
    zones: Sequence[tuple[int, int]] = ()


def write_scp(
    path: Path,
    steps: np.ndarray,
    leads: Sequence[str] = LEADS,
    *,
    interval: int = 2000,
    nanovolts: int = 1000,
    order: int = 2,
    huffman: bool = True,
    table: bytes | None = None,
    beats: Beats | None = None,
    thin: int = 1,
    starts: Sequence[int] | None = None,
    protocol: int = 20,
) -> Path:
    """steps ``(leads, T)``: integers of ``nanovolts`` each, one every ``interval`` us. table: body of section 2."""
    n_leads, length = steps.shape
    starts = starts or [0] * n_leads
    residual = steps.astype(int)
    if beats:
        for fiducial in beats.fiducials:
            first = fiducial - beats.before
            residual[:, first : first + beats.reference.shape[1]] -= beats.reference
    if thin > 1:
        residual = np.stack([_thinned(values, beats.zones, thin) for values in residual])
    code = _encoder(table) if huffman else lambda values: np.asarray(values, "<i2").tobytes()
    sections = {3: bytes([n_leads, (1 if beats else 0) | 4 | (n_leads << 3 & 0xFF)])}
    for lead, start in zip(leads, starts, strict=True):
        sections[3] += struct.pack("<IIB", start + 1, start + length, CODES[lead])
    if huffman:
        sections[2] = table or struct.pack("<H", 19999)
    if beats:
        milliseconds = beats.reference.shape[1] * interval // 1000
        sections[4] = struct.pack("<HHH", milliseconds, beats.before + 1, len(beats.fiducials))
        for fiducial in beats.fiducials:
            first = fiducial - beats.before
            sections[4] += struct.pack("<HIII", 0, first + 1, fiducial + 1, first + beats.reference.shape[1])
        zones = beats.zones or [(0, 0)] * len(beats.fiducials)
        sections[4] += b"".join(struct.pack("<II", start + 1, stop) for start, stop in zones)
        sections[5] = _samples(beats.reference, nanovolts, interval, order, 0, code)
    sections[6] = _samples(residual, nanovolts, interval * thin, order, int(thin > 1), code)
    path.write_bytes(assemble(sections, protocol))
    return path


def assemble(sections: dict[int, bytes], protocol: int = 20) -> bytes:
    """A record of sections without their headers; checksums are filled in."""
    numbers = [0, *sorted(sections)]
    bodies = {number: body + b"\0" * (len(body) % 2) for number, body in sections.items()}
    bodies[0] = bytes(10 * len(numbers))
    index, pointers = 7, b""
    for number in numbers:
        pointers += struct.pack("<HII", number, 16 + len(bodies[number]), index)
        index += 16 + len(bodies[number])
    bodies[0] = pointers
    record = b"".join(_section(number, bodies[number], protocol) for number in numbers)
    sized = struct.pack("<I", len(record) + 6) + record
    return struct.pack("<H", binascii.crc_hqx(sized, 0xFFFF)) + sized


def _section(number: int, body: bytes, protocol: int) -> bytes:
    mark = b"SCPECG" if number == 0 else bytes(6)
    whole = struct.pack("<HIBB", number, 16 + len(body), protocol, protocol) + mark + body
    return struct.pack("<H", binascii.crc_hqx(whole, 0xFFFF)) + whole


def _samples(steps: np.ndarray, nanovolts: int, interval: int, order: int, bimodal: int, code) -> bytes:
    coded = []
    for values in steps:
        differences = np.concatenate([values[:order], np.diff(values, order)]) if order else values
        data = code(differences.tolist())
        coded.append(data + b"\0" * (len(data) % 2))
    sizes = struct.pack(f"<{len(coded)}H", *map(len, coded))
    return struct.pack("<HHBB", nanovolts, interval, order, bimodal) + sizes + b"".join(coded)


def _thinned(values: np.ndarray, zones: Sequence[tuple[int, int]], thin: int) -> np.ndarray:
    """All samples of the zones, and the mean of every ``thin`` of those between them."""
    parts, at = [], 0
    for start, stop in [*zones, (len(values), len(values))]:
        parts.append(values[at:start].reshape(-1, thin).mean(axis=1).round().astype(int))
        parts.append(values[start:stop])
        at = stop
    return np.concatenate(parts)


def _encoder(table: bytes | None):
    prefixes: dict[int, str] = {}
    more: list[tuple[int, str]] = [(8, "1111111110"), (16, "1111111111")]
    if table is None:
        prefixes = {0: "0"} | {
            sign * n: "1" * n + "0" + ("0" if sign > 0 else "1") for n in range(1, 9) for sign in (1, -1)
        }
    else:  # one table
        more = []
        for at in range(4, len(table), 9):
            prefix_bits, all_bits, _, value, base = struct.unpack_from("<BBBhI", table, at)
            prefix = f"{base:0{prefix_bits}b}"[::-1]
            if all_bits > prefix_bits:
                more.append((all_bits - prefix_bits, prefix))
            else:
                prefixes[value] = prefix

    def code(values: Sequence[int]) -> bytes:
        bits = ""
        for value in values:
            if value in prefixes:
                bits += prefixes[value]
            else:
                size, prefix = next((s, p) for s, p in more if -(1 << (s - 1)) <= value < 1 << (s - 1))
                bits += prefix + f"{value % (1 << size):0{size}b}"
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big") if bits else b""

    return code

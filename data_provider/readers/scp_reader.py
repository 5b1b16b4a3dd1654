"""SCP-ECG files (EN 1064, ISO 11073-91064; protocols 1.0 to 2.x and the rhythm of 3.0).

Section 0 tells where the others are, 2 holds Huffman tables, 3 names the leads, 4 the beats, 5 a reference beat and 6
the rhythm, from which the reference beat may have been subtracted, and which may have been thinned out between the QRS
complexes ("bimodal"). Section 1 holds the patient and is not read.
"""

import binascii
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.lead_names import find_leads
from cardiolect.data_provider.readers.scp_huffman import Table, decode, read_tables, undo_differences

MAX_BYTES = 50_000_000
MAX_SAMPLES = 3_000_000  # of all leads; decoding them takes seconds
MAX_THINNING = 16  # samples that one between the QRS complexes stands for; the standard knows 4
_HEADER_BYTES = 16
_CONVERT = "export it as DICOM or aECG"
# Names of the lead codes of section 3; codes without one are of other leads, calibration and electrodes.
_NAMES = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF", 65: "-aVR", 16: "X", 17: "Y", 18: "Z"}
_NAMES |= {n: f"V{n - 2}" for n in range(3, 10)} | {n: f"V{n - 8}R" for n in range(10, 16)}
_NAMES |= {66: "V8", 67: "V9", 68: "V8R", 69: "V9R"}


@dataclass(frozen=True)
class _Lead:
    """start, stop: its samples among those of the recording, counted from 0; stop is not part of it."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class _Beat:
    """Where the reference beat was subtracted, and where nothing was thinned out; counted from 0, stops excluded."""

    is_reference: bool
    start: int
    fiducial: int
    stop: int
    protected: tuple[int, int]


def read(path: Path) -> Channels:
    """The rhythm of all leads; leads that were recorded one after the other keep their place in time."""
    if path.stat().st_size > MAX_BYTES:
        raise FileError(f"larger than {MAX_BYTES // 10**6} MB, too large for an ECG in SCP-ECG")
    return _File(path.read_bytes()).channels()


class _File:
    """The sections of a file, verified when they are asked for."""

    def __init__(self, data: bytes):
        if len(data) < 6 + _HEADER_BYTES:
            raise FileError(f"truncated: {len(data)} bytes are no SCP-ECG record")
        (size,) = struct.unpack_from("<I", data, 2)
        if size > len(data):
            raise FileError(f"truncated: {len(data)} of {size} bytes")
        self._data = data
        self._notes: list[str] = []
        if size < len(data):
            self._notes.append(f"{len(data) - size} bytes after the record that it states are not read")
        self._verified: dict[int, bytes] = {}
        protocol = data[15]
        self._version = protocol / 10 if 10 <= protocol < 100 else None
        (length,) = struct.unpack_from("<I", data, 10)
        self._places: dict[int, tuple[int, int]] = {}
        for at in range(6 + _HEADER_BYTES, min(6 + length, len(data)) - 9, 10):
            section, n_bytes, index = struct.unpack_from("<HII", data, at)
            if n_bytes > _HEADER_BYTES and index > 0:
                self._places[section] = (index - 1, n_bytes)

    def channels(self) -> Channels:
        if 3 not in self._places or 6 not in self._places:
            long_term = ", only a long-term one (section 12), which is not supported" if 12 in self._places else ""
            raise FileError(f"an SCP-ECG file without a rhythm recording{long_term}; {_CONVERT}")
        rhythm = self._section(6)
        if len(rhythm) < 6 + 2 * len(self._leads):
            raise FileError("its rhythm section is cut off")
        nanovolts, interval, differences, bimodal = struct.unpack_from("<HHBB", rhythm)
        if nanovolts == 0:
            raise FileError("is uncalibrated: the value of a step is 0 nV")
        if interval == 0 or differences > 2:
            raise FileError(f"its rhythm has a sample every {interval} us and differences of order {differences}")
        found = find_leads([lead.name for lead in self._leads])
        thinned = bool(bimodal) and (self._version or 0) < 3
        full_interval = self._reference_interval if thinned else interval
        step = self._thinning(full_interval, interval) if thinned else 1
        first = min(self._leads[row].start for row in found.rows.values())
        last = max(self._leads[row].stop for row in found.rows.values())
        if (last - first) * len(found.rows) > MAX_SAMPLES:
            raise FileError(f"declares {last - first} samples a lead, more than it may hold; it is damaged or no ECG")
        if any((self._leads[row].start, self._leads[row].stop) != (first, last) for row in found.rows.values()):
            self._notes.append("leads start or end at different times; where one was not recorded, it is masked")
        millivolts = {}
        for name, row in found.rows.items():
            lead = self._leads[row]
            values = np.full(last - first, np.nan)
            values[lead.start - first : lead.stop - first] = self._rhythm(row, step) * nanovolts * 1e-6
            millivolts[name] = values
        if step > 1:
            self._notes.append(f"between QRS complexes, one sample of {step} is stored; the others are interpolated")
        kind = "SCP-ECG" if self._version is None else f"SCP-ECG {self._version:.1f}"
        scales = dict.fromkeys(found.rows, f"{nanovolts / 1000:g} uV")
        fs = _rate(full_interval)
        return Channels(millivolts, fs, kind, found.names, found.ignored, scales, tuple(self._notes))

    def _section(self, number: int) -> bytes:
        """A section without its header. Raises `FileError` if it is damaged."""
        if number in self._verified:
            return self._verified[number]
        start, length = self._places[number]
        whole = self._data[start : start + length]
        if len(whole) < length:
            raise FileError(f"truncated: its section {number} lies beyond its end")
        checksum, stored_number, stored_length = struct.unpack_from("<HHI", whole)
        if stored_number != number or not _HEADER_BYTES <= stored_length <= length:
            raise FileError(f"its section {number} is not where the file says; it is damaged")
        whole = whole[:stored_length]
        if checksum == 0:
            self._notes.append(f"the checksum of section {number} is not filled in")
        elif checksum not in _checksums(whole[2:]):
            raise FileError(f"its section {number} does not match its checksum; the file is damaged")
        self._verified[number] = whole[_HEADER_BYTES:]
        return self._verified[number]

    @cached_property
    def _tables(self) -> list[Table] | None:
        """Huffman tables, None if samples are plain 16-bit numbers."""
        return read_tables(self._section(2)) if 2 in self._places else None

    @cached_property
    def _definition(self) -> bytes:
        body = self._section(3)
        if len(body) < 2 or len(body) < 2 + 9 * body[0]:
            raise FileError("its list of leads is cut off")
        return body

    @cached_property
    def _leads(self) -> list[_Lead]:
        leads = []
        for at in range(2, 2 + 9 * self._definition[0], 9):
            start, end, code = struct.unpack_from("<IIB", self._definition, at)
            if not 1 <= start <= end:
                raise FileError(f"lead code {code} has samples {start} to {end}")
            leads.append(_Lead(_NAMES.get(code, f"code {code}"), start - 1, end))
        return leads

    @property
    def _subtracted(self) -> bool:
        return bool(self._definition[1] & 1) and (self._version or 0) < 3

    @cached_property
    def _beat_list(self) -> bytes:
        if 4 not in self._places or len(body := self._section(4)) < 6:
            raise FileError("was compressed with a reference beat, but does not say where the beats are")
        return body

    @cached_property
    def _beats(self) -> list[_Beat]:
        body = self._beat_list
        (count,) = struct.unpack_from("<H", body, 4)
        if len(body) < 6 + 22 * count:
            raise FileError("its list of beats is cut off")
        beats = []
        for n in range(count):
            kind, start, fiducial, end = struct.unpack_from("<HIII", body, 6 + 14 * n)
            protected_start, protected_end = struct.unpack_from("<II", body, 6 + 14 * count + 8 * n)
            protected = (max(protected_start - 1, 0), protected_end)
            beats.append(_Beat(kind == 0, start - 1, fiducial - 1, end, protected))
        return beats

    @property
    def _reference_interval(self) -> int:
        """Microseconds between samples of the reference beat, and of the rhythm before it was thinned out."""
        if 5 not in self._places or len(body := self._section(5)) < 6:
            raise FileError("was compressed with a reference beat that it does not hold")
        return int.from_bytes(body[2:4], "little")

    @cached_property
    def _reference(self) -> tuple[int, np.ndarray]:
        """The sample of the reference beat that is put on a fiducial point, from 0; and its nV ``(leads, samples)``."""
        milliseconds, fiducial = struct.unpack_from("<HH", self._beat_list)
        interval = self._reference_interval
        body = self._section(5)
        nanovolts, _, differences = struct.unpack_from("<HHB", body)
        if not interval or not nanovolts or differences > 2:
            raise FileError("its reference beat has no rate or no unit")
        n_samples = round(milliseconds * 1000 / interval)
        if n_samples * len(self._leads) > MAX_SAMPLES:
            raise FileError(f"its reference beat has {n_samples} samples; it is damaged")
        beats = [self._decoded(body, row, n_samples, differences) for row in range(len(self._leads))]
        return fiducial - 1, np.stack(beats) * float(nanovolts)

    def _thinning(self, full_interval: int, interval: int) -> int:
        step = round(interval / full_interval) if full_interval else 0
        if not 1 <= step <= MAX_THINNING or abs(step * full_interval - interval) > step:
            raise FileError(f"its rhythm was thinned out from a sample every {full_interval} us to {interval} us")
        return step

    def _rhythm(self, row: int, step: int) -> np.ndarray:
        """The samples of a lead in steps of the rhythm section, thinned parts filled and reference beats added."""
        rhythm, lead = self._section(6), self._leads[row]
        nanovolts, _, differences = struct.unpack_from("<HHB", rhythm)
        if step == 1:
            values = self._decoded(rhythm, row, lead.stop - lead.start, differences).astype(float)
        else:
            zones = _protected_zones(lead, self._beats)
            if any((stop - start) % step for start, stop in _between(lead, zones) if stop < lead.stop - lead.start):
                raise FileError(f"one of {step} samples is stored in parts that are no multiple of {step}; {_CONVERT}")
            stored = _stored_positions(lead, zones, step)
            kept = self._decoded(rhythm, row, len(stored), differences)
            values = np.interp(np.arange(lead.stop - lead.start), stored, kept)
            for start, stop in _between(lead, zones):  # a zone's samples must not reach into the thinned ones
                inside = (stored >= start) & (stored < stop)
                values[start:stop] = np.interp(np.arange(start, stop), stored[inside], kept[inside])
        if self._subtracted:
            self._add_beats(values, lead, row, nanovolts)
        return values

    def _add_beats(self, values: np.ndarray, lead: _Lead, row: int, nanovolts: int) -> None:
        at_fiducial, reference = self._reference
        for beat in self._beats:
            if beat.is_reference:
                shift = beat.fiducial - at_fiducial  # where the reference beat begins in the recording
                start = max(beat.start, lead.start, shift)
                stop = min(beat.stop, lead.stop, shift + reference.shape[1])
                if stop > start:
                    part = reference[row, start - shift : stop - shift] / nanovolts
                    values[start - lead.start : stop - lead.start] += part

    def _decoded(self, body: bytes, row: int, count: int, differences: int) -> np.ndarray:
        """Samples of one lead of section 5 or 6."""
        n_leads = len(self._leads)
        if len(body) < 6 + 2 * n_leads:
            raise FileError("its samples are cut off")
        sizes = struct.unpack_from(f"<{n_leads}H", body, 6)
        start = 6 + 2 * n_leads + sum(sizes[:row])
        data = body[start : start + sizes[row]]
        if len(data) < sizes[row]:
            raise FileError("its samples are cut off")
        if self._tables is not None:
            values = decode(data, count, self._tables)
        elif len(data) < 2 * count:
            raise FileError(f"its samples are cut off: lead {self._leads[row].name} has {len(data) // 2} of {count}")
        else:
            values = np.frombuffer(data, "<i2", count).astype(np.int64)
        return undo_differences(values, differences)


def _checksums(data: bytes) -> tuple[int, int]:
    """The CRC of the standard, and as some writers store it, with its bytes exchanged."""
    computed = binascii.crc_hqx(data, 0xFFFF)
    return computed, (computed & 0xFF) << 8 | computed >> 8


def _rate(interval: int) -> float:
    """Hz of a sample every ``interval`` us: the whole number that has this interval when rounded (512: 1953)."""
    whole = round(1e6 / interval)
    return float(whole) if whole and round(1e6 / whole) == interval else 1e6 / interval


def _protected_zones(lead: _Lead, beats: list[_Beat]) -> list[tuple[int, int]]:
    """Parts of a lead, counted from its own start, in which every sample is stored; sorted, without overlap."""
    zones: list[tuple[int, int]] = []
    for start, stop in sorted(beat.protected for beat in beats):
        start, stop = max(start, lead.start) - lead.start, min(stop, lead.stop) - lead.start
        start = max(start, zones[-1][1]) if zones else start
        if stop > start:
            zones.append((start, stop))
    return zones


def _between(lead: _Lead, zones: list[tuple[int, int]]) -> list[tuple[int, int]]:
    edges = [0, *(edge for zone in zones for edge in zone), lead.stop - lead.start]
    return [(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True) if stop > start]


def _stored_positions(lead: _Lead, zones: list[tuple[int, int]], step: int) -> np.ndarray:
    """Where the stored samples lie on the lead: all in a zone; else the mean of every ``step``, amid them."""
    parts = [np.arange(start, stop, dtype=float) for start, stop in zones]
    for start, stop in _between(lead, zones):
        starts = np.arange(start, stop, step, dtype=float)
        parts.append((starts + np.minimum(starts + step, stop) - 1) / 2)
    return np.sort(np.concatenate(parts))

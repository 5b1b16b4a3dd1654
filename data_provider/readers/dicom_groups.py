"""The multiplex groups of a DICOM waveform file (PS3.3 C.10.9.1): which are the recording, and what they hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pydicom

from cardiolect.data_provider.readers.channels import FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import canonical_lead

MIN_RHYTHM_SECONDS = 2.0  # anything shorter is a beat, whatever its label
# Lead codes of SCP-ECG and MDC: "5.6.3-9-1", "2:1" and 131073 are all lead I (PS3.16 CID 3001; 131072 is 2 << 16).
_LEAD_OF_CODE = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"} | {n: f"V{n - 2}" for n in range(3, 9)}
_CODE = re.compile(r"^(?:5\.6\.3-9-|2:)(\d+)$")
_MDC_NUMBER = 131072
_BEAT = re.compile(r"beat|median|average|template|representative", re.IGNORECASE)
_DTYPES = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4", "SV": "i8", "UV": "u8"}


@dataclass(frozen=True)
class Scale:
    """What a stored number means: step: in the file's unit, "2.5 uV"; the last three in mV or bits."""

    step: str
    mv_per_step: float
    mv_at_zero: float
    sign_bits: int | None

    def millivolts(self, raw: np.ndarray) -> np.ndarray:
        """Raw samples ``(T,)`` in mV; negative ones that the writer did not extend to all bits become negative."""
        values = raw.astype(float)
        bits = self.sign_bits
        if bits and raw.size and raw.min() >= 0 and 1 << (bits - 1) <= raw.max() < 1 << bits:
            values[raw >= 1 << (bits - 1)] -= 1 << bits
        return values * self.mv_per_step + self.mv_at_zero


@dataclass(frozen=True)
class Group:
    """Channels that were sampled together. offset: ms after the start of the file."""

    item: pydicom.Dataset
    names: tuple[str, ...]
    fs: float
    n_samples: int
    offset: float
    label: str
    is_original: bool
    is_big_endian: bool

    @property
    def seconds(self) -> float:
        return self.n_samples / self.fs if self.fs > 0 else 0.0

    @property
    def leads(self) -> frozenset[str]:
        return frozenset(filter(None, map(canonical_lead, self.names)))

    @property
    def is_rhythm(self) -> bool:
        return self.label.strip().upper().startswith("RHYTHM")

    @property
    def rank(self) -> tuple[bool, bool]:
        """Of two groups with the same leads and time, the one that ranks higher is meant."""
        return self.is_original, self.is_rhythm

    def raw(self) -> np.ndarray:
        """Stored numbers ``(T, channels)``."""
        dtype, shape = self._dtype(), (self.n_samples, len(self.names))
        if int(self.item.NumberOfWaveformChannels) != shape[1]:
            raise FileError(f"declares {self.item.NumberOfWaveformChannels} channels and describes {shape[1]}")
        data = self.item.get("WaveformData")
        if data is None:
            raise FileError("its samples are not in the file")
        needed = shape[0] * shape[1] * dtype.itemsize
        if len(data) < needed:
            raise FileError(f"truncated: a waveform has {len(data)} of {needed} bytes")
        return np.frombuffer(data, dtype, shape[0] * shape[1]).reshape(shape)

    @property
    def more_bytes(self) -> int:
        """Bytes of samples beyond those that the group states and one that makes their number even."""
        needed = self.n_samples * len(self.names) * self._dtype().itemsize
        return len(self.item.WaveformData) - needed - needed % 2

    def padding(self) -> int | None:
        """The number that stands for no sample, None if the file states none."""
        value = self.item.get("WaveformPaddingValue")
        if isinstance(value, bytes):
            return int(np.frombuffer(value, self._dtype(), 1)[0]) if len(value) >= self._dtype().itemsize else None
        return None if value is None else int(value)

    def scale(self, column: int, lead: str) -> Scale:
        channel = self.item.ChannelDefinitionSequence[column]
        sensitivity = _number(channel, "ChannelSensitivity", 0.0)
        correction = _number(channel, "ChannelSensitivityCorrectionFactor", 1.0)
        baseline = _number(channel, "ChannelBaseline", 0.0)
        units = channel.get("ChannelSensitivityUnitsSequence")
        if not sensitivity * correction or not units:
            raise FileError(f"lead {lead} is uncalibrated (no channel sensitivity, or none with a unit)")
        unit = str(units[0].get("CodeValue") or units[0].get("CodeMeaning", ""))
        try:
            factor = mv_per_unit(unit)
        except FileError as error:
            raise FileError(f"lead {lead} has {error}") from None
        bits = int(channel.get("WaveformBitsStored") or 0)
        is_signed_part = self._dtype().kind == "i" and 0 < bits < 8 * self._dtype().itemsize and baseline == 0
        step = sensitivity * correction
        return Scale(f"{step:g} {unit}", step * factor, baseline * factor, bits if is_signed_part else None)

    def most_skew(self) -> float:
        """By how many samples a channel was sampled later than the first, at most."""
        skews = [
            _number(channel, "ChannelSampleSkew", 0.0) + _number(channel, "ChannelTimeSkew", 0.0) * self.fs
            for channel in self.item.ChannelDefinitionSequence
        ]
        return max(skews, default=0.0) - min(skews, default=0.0)

    def _dtype(self) -> np.dtype:
        coding, bits = str(self.item.WaveformSampleInterpretation), int(self.item.WaveformBitsAllocated)
        dtype = np.dtype(_DTYPES.get(coding, "u1")).newbyteorder(">" if self.is_big_endian else "<")
        if coding not in _DTYPES or bits != 8 * dtype.itemsize:
            raise FileError(f"its samples are coded as {coding[:10]} in {bits} bits; only plain numbers are supported")
        return dtype


def groups_of(dataset: pydicom.Dataset) -> list[Group]:
    """The groups that contain ECG leads. Raises `FileError` if there are none."""
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    groups = []
    for item in dataset.WaveformSequence:
        group = Group(
            item,
            tuple(_name(channel) for channel in item.ChannelDefinitionSequence),
            float(item.SamplingFrequency),
            int(item.NumberOfWaveformSamples),
            _number(item, "MultiplexGroupTimeOffset", 0.0),
            str(item.get("MultiplexGroupLabel") or ""),
            str(item.get("WaveformOriginality") or "ORIGINAL").upper() == "ORIGINAL",
            syntax == pydicom.uid.ExplicitVRBigEndian,
        )
        if group.leads:
            groups.append(group)
    if not groups:
        raise FileError("its waveforms are not ECG leads")
    return groups


def choose(groups: Sequence[Group]) -> tuple[list[Group], list[str]]:
    """The groups of one time, rate and length that make up the recording, and notes on what was left out.

    Median beats do not count. Of several recordings, the one with the most leads is meant, then an original one, one
    labelled RHYTHM, the longest. Raises `FileError` if that leaves several.
    """
    kept = [group for group in groups if not _BEAT.search(group.label)]
    if not kept:
        raise FileError("contains only median beats; export the rhythm recording")
    by_time: dict[tuple, list[Group]] = {}
    for group in kept:
        by_time.setdefault((group.fs, group.n_samples, group.offset), []).append(group)
    recordings = [_merged(same_time) for same_time in by_time.values()]
    best = max(map(_order, recordings))
    first, *others = [recording for recording in recordings if _order(recording) == best]
    if others:
        count = len(others) + 1
        raise FileError(f"contains {count} groups of {best[1]} leads recorded one after the other; split the file")
    notes = [
        f"another recording was left out, of {_order(recording)[1]} leads and {recording[0].seconds:.3g} s"
        for recording in recordings
        if recording is not first and recording[0].seconds >= MIN_RHYTHM_SECONDS
    ]
    if not all(group.is_original for group in first):
        notes.append("some or all leads are marked as derived")
    return first, notes


def _order(recording: list[Group]) -> tuple[bool, int, bool, bool, float]:
    return (
        recording[0].seconds >= MIN_RHYTHM_SECONDS,
        len(frozenset().union(*(group.leads for group in recording))),
        any(group.is_original for group in recording),
        any(group.is_rhythm for group in recording),
        recording[0].seconds,
    )


def _merged(groups: list[Group]) -> list[Group]:
    """Groups of one time, without those whose leads are in one that ranks higher or, as a strip, in a larger one."""

    def repeats(group: Group, other: Group) -> bool:
        return bool(group.leads & other.leads) and (other.rank > group.rank or other.leads > group.leads)

    return [group for group in groups if not any(repeats(group, other) for other in groups)]


def _name(channel: pydicom.Dataset) -> str:
    """What names the lead: code, meaning or label, the first that is a lead; or else the first that is there."""
    names = []
    for source in channel.get("ChannelSourceSequence") or ():
        value = str(source.get("CodeValue") or "")
        code = _CODE.match(value)
        number = int(code[1]) if code else int(value) - _MDC_NUMBER if value.isdecimal() else None
        if number in _LEAD_OF_CODE:
            return _LEAD_OF_CODE[number]
        # "Lead I (Einthoven)", "aVR, augmented voltage, right"
        names += [re.sub(r"\s*[(,].*$", "", str(source.get("CodeMeaning") or "")), value]
    names.append(str(channel.get("ChannelLabel") or ""))
    return next(filter(canonical_lead, names), next(filter(None, names), ""))[:64]


def _number(item: pydicom.Dataset, name: str, default: float) -> float:
    value = item.get(name)
    return default if value is None or value == "" else float(value)

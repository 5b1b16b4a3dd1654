"""GE MUSE XML exports (root `RestingECG`): leads of 16-bit samples in base64, each with a checksum.

A file holds a waveform of type Median (one beat) and one of type Rhythm, usually with the eight leads from which the
others follow. `FirstSampleBaseline` is a constant per lead, in steps, and is nearly always 0. GE's guide for developers
is not public, and programs that read it disagree: some add it to the samples, some subtract it, most pass it over. The
recorder's high-pass filter holds the true leads near zero, so it is used as brings them there, and a note says how.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.recordings import Signal, one_recording
from cardiolect.data_provider.readers.xml_tree import child_number

_MIN_SECONDS = 2.0  # a shorter waveform of no stated type may be a median beat
_BASELINE = {1: "added to", -1: "subtracted from", 0: "not applied to"}


class _Lead(NamedTuple):
    """A lead as stored. raw: steps ``(T,)``; gain: of a step in ``unit``; baseline: steps; start: of wave and lead."""

    name: str
    raw: np.ndarray
    fs: float
    start: tuple[str, str]
    gain: float
    unit: str
    baseline: float
    off: bool


def read(root: Element) -> Channels:
    """The waveform of type Rhythm, the most complete if there are several; limb leads that MUSE omits follow later."""
    typed = [(_text(wave, "WaveformType").lower(), wave) for wave in root.iter("Waveform")]
    waves = [wave for kind, wave in typed if "rhythm" in kind]
    notes = []
    if not waves:
        waves = [wave for kind, wave in typed if not kind]
        notes = ["no waveform is said to be the rhythm; the one without a type is taken for it"]
    leads = [_lead(wave, data) for wave in waves for data in wave.findall("LeadData")]
    if not leads:
        raise FileError("contains no waveform of type Rhythm; export the ECG with its rhythm waveform")
    if notes and max(len(lead.raw) / lead.fs for lead in leads) < _MIN_SECONDS:
        raise FileError("contains no waveform of type Rhythm, and the one without a type is as short as a median beat")
    if off := [lead.name for lead in leads if lead.off]:
        notes.append(f"the recorder states that the electrode of {', '.join(off)[:60]} was off")
    sign = 0
    if steps := max(abs(lead.baseline) for lead in leads):
        sign = _baseline_sign(leads)
        notes.append(
            f"FirstSampleBaseline, up to {steps:g} steps, is {_BASELINE[sign]} the samples, which brings the leads "
            "closest to zero"
        )
    return one_recording([_signal(lead, sign) for lead in leads], _kind(root), notes)


def _kind(root: Element) -> str:
    version = _text(root, "MuseInfo/MuseVersion")
    return f"GE MUSE XML {version}" if re.fullmatch(r"[\w.]{1,20}", version) else "GE MUSE XML"


def _text(element: Element, name: str) -> str:
    """The text of a child element on one line, "" if there is none."""
    return " ".join((element.findtext(name) or "").split())


def _lead(wave: Element, data: Element) -> _Lead:
    name = _text(data, "LeadID")[:30]
    exponent = child_number(wave, "SampleExponent", "0")
    if abs(exponent) > 6:
        raise FileError(f"SampleExponent is {exponent:g}")
    fs = child_number(wave, "SampleBase") * 10.0**exponent
    if not fs > 0:
        raise FileError(f"the sampling rate is {fs:g} Hz")
    return _Lead(
        name,
        _samples(data, name),
        fs,
        (_text(wave, "WaveformStartTime") or "0", _text(data, "LeadTimeOffset") or "0"),
        child_number(data, "LeadAmplitudeUnitsPerBit"),
        _text(data, "LeadAmplitudeUnits"),
        _signed(child_number(data, "FirstSampleBaseline", "0")),
        _text(data, "LeadOff").upper() == "TRUE",
    )


def _samples(data: Element, lead: str) -> np.ndarray:
    if (size := child_number(data, "LeadSampleSize", "2")) != 2:
        raise FileError(f"lead {lead} has samples of {size:g} bytes; only 2 are supported")
    if child_number(data, "LeadOffsetFirstSample", "0"):
        raise FileError(
            f"lead {lead} does not start with its first sample (LeadOffsetFirstSample is not 0); export it again"
        )
    try:
        raw = base64.b64decode(_text(data, "WaveFormData").replace(" ", ""), validate=True)
    except (binascii.Error, ValueError):
        raise FileError(f"lead {lead} has samples that are not base64") from None
    count = int(child_number(data, "LeadSampleCountTotal", str(len(raw) // 2)))
    if len(raw) != 2 * count:
        raise FileError(f"lead {lead} has {len(raw) // 2} of {count} samples")
    checksum = _text(data, "LeadDataCRC32")
    if checksum.isdecimal() and int(checksum) and int(checksum) != zlib.crc32(raw):
        raise FileError(f"lead {lead} does not match its checksum; the file is damaged")
    return np.frombuffer(raw, dtype="<i2").astype(np.float64)


def _signed(value: float) -> float:
    """A negative number of 32 bits that was written as one without a sign."""
    return value - (1 << 32) if value >= 1 << 31 else value


def _baseline_sign(leads: Sequence[_Lead]) -> int:
    """1 if adding FirstSampleBaseline brings the leads' medians closest to zero, -1 if subtracting does, else 0."""
    centres = np.array([np.median(lead.raw) if lead.raw.size else 0.0 for lead in leads])
    baselines = np.array([lead.baseline for lead in leads])
    return min((1, -1, 0), key=lambda sign: float(np.median(np.abs(centres + sign * baselines)[baselines != 0])))


def _signal(lead: _Lead, sign: int) -> Signal:
    millivolts = (lead.raw + sign * lead.baseline) * lead.gain * mv_per_unit(lead.unit)
    return Signal(lead.name, millivolts, lead.fs, lead.start, f"{lead.gain:g} {_short(lead.unit)}")


def _short(unit: str) -> str:
    """ "MICROVOLTS" as "uV"; other units as they are."""
    return {"MICROVOLTS": "uV", "MICROVOLT": "uV", "MILLIVOLTS": "mV", "MILLIVOLT": "mV"}.get(unit.upper(), unit)

"""GE MUSE XML exports (root `RestingECG`): eight leads of 16-bit samples in base64, each with a checksum."""

import base64
import binascii
import zlib
from xml.etree.ElementTree import Element

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import find_leads


def read(root: Element) -> Channels:
    """The waveform of type Rhythm; the limb leads that MUSE omits are computed later."""
    rhythms = [w for w in root.iter("Waveform") if w.findtext("WaveformType", "").strip().lower() == "rhythm"]
    if len(rhythms) != 1:
        raise FileError(f"contains {len(rhythms)} waveforms of type Rhythm instead of one")
    rhythm = rhythms[0]
    fs = _number(rhythm, "SampleBase") * 10.0 ** _number(rhythm, "SampleExponent", "0")
    data = rhythm.findall("LeadData")
    found = find_leads([lead.findtext("LeadID", "") for lead in data])
    leads = {lead: _values(data[row], lead) for lead, row in found.rows.items()}
    return Channels(leads, fs, "GE MUSE XML", found.names, found.ignored)


def _values(data: Element, lead: str) -> np.ndarray:
    if _number(data, "LeadSampleSize", "2") != 2:
        raise FileError(f"lead {lead} has samples of {data.findtext('LeadSampleSize')} bytes; only 2 are supported")
    try:
        raw = base64.b64decode("".join((data.findtext("WaveFormData") or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise FileError(f"lead {lead} has samples that are not base64") from None
    count = int(_number(data, "LeadSampleCountTotal", str(len(raw) // 2)))
    if len(raw) != 2 * count:
        raise FileError(f"lead {lead} has {len(raw) // 2} of {count} samples")
    checksum = data.findtext("LeadDataCRC32")
    if checksum and checksum.strip().isdecimal() and int(checksum) and int(checksum) != zlib.crc32(raw):
        raise FileError(f"lead {lead} does not match its checksum; the file is damaged")
    gain = _number(data, "LeadAmplitudeUnitsPerBit")
    return np.frombuffer(raw, dtype="<i2") * gain * mv_per_unit(data.findtext("LeadAmplitudeUnits", ""))


def _number(element: Element, name: str, default: str = "") -> float:
    text = (element.findtext(name) or default).strip()
    try:
        return float(text)
    except ValueError:
        raise FileError(f"{name} is '{text[:20]}', not a number") from None

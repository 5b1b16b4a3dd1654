"""DICOM waveforms (12-lead and general ECG storage; PS3.3 A.34.3, A.34.4, C.10.9), parsed by pydicom."""

import re
import zlib
from pathlib import Path

import numpy as np
import pydicom

from cardiolect.data_provider.readers.channels import Channels, FileError, mv_per_unit
from cardiolect.data_provider.readers.lead_names import canonical_lead, find_leads

MAX_BYTES = 200_000_000  # of a deflated file, decompressed
# Lead codes of SCP-ECG and MDC: "5.6.3-9-1" and "2:1" are both lead I (PS3.16 CID 3001).
_LEAD_OF_CODE = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"} | {n: f"V{n - 2}" for n in range(3, 9)}
_CODE = re.compile(r"^(?:5\.6\.3-9-|2:)(\d+)$")


def read(path: Path) -> Channels:
    """The rhythm recording: the multiplex groups of original waveforms that were recorded at the same time."""
    _check_decompressed_size(path)
    dataset = pydicom.dcmread(path)
    if "WaveformSequence" not in dataset:
        raise FileError("a DICOM file without waveforms")
    groups: dict[tuple, list[int]] = {}
    for index, group in enumerate(dataset.WaveformSequence):
        if str(group.get("WaveformOriginality", "ORIGINAL")).upper() != "ORIGINAL":
            continue  # median beats
        key = (
            float(group.SamplingFrequency),
            int(group.NumberOfWaveformSamples),
            float(group.get("MultiplexGroupTimeOffset") or 0),
        )
        groups.setdefault(key, []).append(index)
    by_time = [Channels(_leads(dataset, indices), fs) for (fs, _, _), indices in groups.items()]
    found = [channels for channels in by_time if channels.leads]
    if not found:
        raise FileError("its waveforms are not ECG leads")
    most = max(len(channels.leads) for channels in found)
    best = [channels for channels in found if len(channels.leads) == most]
    if len(best) > 1:
        raise FileError(f"contains {len(best)} groups of {most} leads recorded one after the other; split the file")
    return best[0]


def count_samples(path: Path) -> int:
    """Samples of all channels of all waveforms according to their headers. Raises `FileError` as `read` does."""
    _check_decompressed_size(path)
    groups = pydicom.dcmread(path, defer_size=1_000_000).get("WaveformSequence", ())
    return sum(int(group.NumberOfWaveformSamples) * int(group.NumberOfWaveformChannels) for group in groups)


def _check_decompressed_size(path: Path) -> None:
    """Refuse a deflated file (PS3.5 A.5) larger than `MAX_BYTES` once decompressed; pydicom would decompress all."""
    with open(path, "rb") as file:
        pydicom.filereader.read_preamble(file, force=False)
        # As pydicom's reader does it: by the elements, whatever length the group gives.
        meta = pydicom.filereader._read_file_meta_info(file)
        if meta.get("TransferSyntaxUID") != pydicom.uid.DeflatedExplicitVRLittleEndian:
            return
        unpacked, left = zlib.decompressobj(-zlib.MAX_WBITS), MAX_BYTES
        packed = file.read(1 << 20)
        while packed:
            left -= len(unpacked.decompress(packed, 1 << 24))
            if left < 0:
                raise FileError(f"decompresses to more than {MAX_BYTES // 10**6} MB")
            packed = unpacked.unconsumed_tail or file.read(1 << 20)


def _names(group: pydicom.Dataset) -> list[str]:
    return [_name(channel.ChannelSourceSequence[0]) for channel in group.ChannelDefinitionSequence]


def _name(source: pydicom.Dataset) -> str:
    code = _CODE.match(str(source.get("CodeValue", "")))
    if code and int(code[1]) in _LEAD_OF_CODE:
        return _LEAD_OF_CODE[int(code[1])]
    return re.sub(r"\s*\(.*\)$", "", str(source.get("CodeMeaning", "")))  # "Lead I (Einthoven)"


def _leads(dataset: pydicom.Dataset, indices: list[int]) -> dict[str, np.ndarray]:
    """The leads of groups that were recorded at the same time; none if the groups contain other signals."""
    leads: dict[str, np.ndarray] = {}
    for index in indices:
        group = dataset.WaveformSequence[index]
        names = _names(group)
        if not any(map(canonical_lead, names)):
            continue
        raw = pydicom.waveforms.multiplex_array(dataset, index, as_raw=True)
        values = pydicom.waveforms.multiplex_array(dataset, index, as_raw=False).astype(float)
        if (padding := group.get("WaveformPaddingValue")) is not None:
            values[raw == _padding(padding, raw.dtype)] = np.nan
        for lead, row in find_leads(names).rows.items():
            if lead in leads:
                raise FileError(f"lead {lead} occurs twice in the file")
            channel = group.ChannelDefinitionSequence[row]
            if channel.get("ChannelSensitivity") is None:
                raise FileError(f"lead {lead} is uncalibrated (no channel sensitivity)")
            unit = str(channel.ChannelSensitivityUnitsSequence[0].CodeValue)
            leads[lead] = values[:, row] * mv_per_unit(unit)
    return leads


def _padding(value: object, dtype: np.dtype) -> int:
    if isinstance(value, bytes):
        return int(np.frombuffer(value, dtype=dtype)[0])
    return int(value)

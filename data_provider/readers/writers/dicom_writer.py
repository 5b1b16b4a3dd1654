"""Writes a DICOM file of the class 12-lead ECG waveform storage (PS3.3 A.34.3, C.10.9) by pydicom, 16 bits; of a
class with other limits if the recording is outside those of 12-lead ECGs.

Patient and study are empty or neutral; UIDs follow from the samples.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

from cardiolect.data_provider.readers.writers.digital import DigitalECG, DigitalLead

# PS3.3 A.34.3.4, A.34.4.4, A.34.5.4: the class, its lowest and highest rate in Hz, and its most samples per channel.
CLASSES = (
    ("12-lead ECG", pydicom.uid.TwelveLeadECGWaveformStorage, 200, 1000, 16_384),
    ("general ECG", pydicom.uid.GeneralECGWaveformStorage, 200, 1000, None),
    ("ambulatory ECG", pydicom.uid.AmbulatoryECGWaveformStorage, 50, 1000, None),
)
PADDING = -32768
LONG_GAP_SECONDS = 0.2  # shorter gaps are written as the line across them
DATE, TIME = "19000101", "000000"
# ISO/IEEE 11073-10101 through PS3.16 CID 3001.
_CODES = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64} | {f"V{n}": n + 2 for n in range(1, 7)}


def write(folder: Path, name: str, ecg: DigitalECG) -> list[str]:
    """Write ``name``.dcm; gaps of 0.2 s and more become padding values."""
    samples, short = [], []
    for lead, digital in ecg.leads.items():
        values = digital.samples.astype("<i2")
        for first, end in _runs(digital.gaps):
            if end - first >= LONG_GAP_SECONDS * ecg.fs:
                values[first:end] = PADDING
            elif lead not in short:
                short.append(lead)
        samples.append(values)
    data = np.stack(samples, axis=1).tobytes()
    sop_class, notes = _sop_class(ecg)
    dataset = _document(data, sop_class)
    dataset.WaveformSequence = [_group(ecg, data)]
    dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    if short:
        notes.append(f"gaps shorter than {LONG_GAP_SECONDS:g} s are bridged by a line in {', '.join(short)}")
    return notes


def _sop_class(ecg: DigitalECG) -> tuple[str, list[str]]:
    """The first class whose limits the recording keeps, and notes."""
    for number, (title, sop_class, lowest, highest, most) in enumerate(CLASSES):
        if lowest <= ecg.fs <= highest and (most is None or ecg.n_samples <= most):
            return sop_class, [f"of the class {title}: beyond the limits of 12-lead ECGs"] if number else []
    title, sop_class = CLASSES[1][:2]
    return sop_class, [f"of the class {title}, for whose limits its rate of {ecg.fs:g} Hz is not made"]


def _document(data: bytes, sop_class: str) -> Dataset:
    """The modules around the waveform: what the standard requires, with nothing that names anybody."""
    digest = hashlib.sha256(data).hexdigest()
    uids = [pydicom.uid.generate_uid(entropy_srcs=[digest, part]) for part in ("study", "series", "instance")]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = sop_class, uids[2]
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    document = Dataset()
    document.file_meta = meta
    document.SOPClassUID, document.SOPInstanceUID = sop_class, uids[2]
    document.StudyInstanceUID, document.SeriesInstanceUID = uids[:2]
    document.PatientName, document.PatientID, document.PatientBirthDate, document.PatientSex = "", "ANONYMOUS", "", ""
    document.PatientIdentityRemoved, document.DeidentificationMethod = "YES", "Only the waveform was kept"
    document.StudyDate, document.StudyTime, document.AccessionNumber, document.StudyID = "", "", "", ""
    document.ReferringPhysicianName, document.Manufacturer, document.Modality = "", "", "ECG"
    document.SeriesNumber, document.InstanceNumber = 1, 1
    document.ContentDate, document.ContentTime, document.AcquisitionDateTime = DATE, TIME, DATE + TIME
    document.AcquisitionContextSequence = []
    return document


def _group(ecg: DigitalECG, data: bytes) -> Dataset:
    group = Dataset()
    group.MultiplexGroupTimeOffset, group.MultiplexGroupLabel = 0, "RHYTHM"
    group.WaveformOriginality, group.SamplingFrequency = "ORIGINAL", _decimal(ecg.fs)
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = len(ecg.leads), ecg.n_samples
    group.ChannelDefinitionSequence = [_channel(lead, digital) for lead, digital in ecg.leads.items()]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    group.add_new("WaveformPaddingValue", "OW", np.array([PADDING], "<i2").tobytes())
    group.add_new("WaveformData", "OW", data)
    return group


def _channel(lead: str, digital: DigitalLead) -> Dataset:
    channel = Dataset()
    channel.ChannelLabel = lead
    channel.ChannelSourceSequence = [_code(f"2:{_CODES[lead]}", "MDC", f"Lead {lead}")]
    channel.ChannelSensitivity = _decimal(digital.step_uv)
    channel.ChannelSensitivityUnitsSequence = [_code("uV", "UCUM", "microvolt")]
    channel.ChannelSensitivityCorrectionFactor = 1
    channel.ChannelBaseline = _decimal(digital.offset * digital.step_uv)
    channel.ChannelSampleSkew, channel.WaveformBitsStored = 0, 16
    return channel


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters."""
    return f"{value:.12g}"


def _runs(flags: np.ndarray) -> Iterator[tuple[int, int]]:
    """``(first, end)`` of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)

#!/usr/bin/env bash
# dicom-ecg-plot 1.4.1 multiplies a DICOM channel's baseline by its sensitivity, so leads are drawn at a wrong height.
#
# It hurts whoever prints or looks at DICOM ECGs whose recorder states an offset: a lead that lies 0.5 mV above zero
# is drawn 2.5 mV above it, into the neighbouring lead, and levels such as the ST segment's cannot be read from the
# paper's zero line. With a sensitivity below 1, the offset nearly disappears instead.
#
# Standard: DICOM PS3.3, C.10.9, defines Channel Baseline (003A,0213) as the offset of the sample value 0 from the
# actual 0 in the units of the sensitivity. It is added to what sample x sensitivity x correction factor gives.
# Seen: the baseline is added to the sample first, and the sum is multiplied. With a baseline of 500 uV and 5 uV a
# step, samples of 0 become 2.5 mV and samples of 200 become 3.5 mV. pydicom 3.0.2 gives 0.5 mV and 1.5 mV.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check dicom-ecg-plot==1.4.1 pydicom==3.0.2 numpy==2.4.6 || exit 2
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from ecg.processor import extract_signals
from ecg.reader import DicomECGReader
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid
from pydicom.waveforms import multiplex_array

LEADS = "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()
CODES = "1 2 61 62 63 64 3 4 5 6 7 8".split()  # SCP-ECG's
STEPS = np.tile(np.r_[np.zeros(450), np.full(50, 200)], 10)  # 10 s at 500 Hz


def dataset(**values):
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def code(value, scheme, meaning):
    return [dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


channels = [
    dataset(
        ChannelSourceSequence=code(f"2:{number}", "SCPECG", f"Lead {lead}"),
        ChannelSensitivity="5",
        ChannelSensitivityUnitsSequence=code("uV", "UCUM", "microvolt"),
        ChannelSensitivityCorrectionFactor="1",
        ChannelBaseline="500",  # microvolts
        ChannelSampleSkew="0",
        WaveformBitsStored=16,
    )
    for lead, number in zip(LEADS, CODES)
]
group = dataset(
    MultiplexGroupTimeOffset="0",
    WaveformOriginality="ORIGINAL",
    NumberOfWaveformChannels=len(LEADS),
    NumberOfWaveformSamples=len(STEPS),
    SamplingFrequency="500",
    ChannelDefinitionSequence=channels,
    WaveformBitsAllocated=16,
    WaveformSampleInterpretation="SS",
    WaveformData=np.stack([STEPS] * len(LEADS), axis=1).astype("<i2").tobytes(),
)
meta = FileMetaDataset()
meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = TwelveLeadECGWaveformStorage, ExplicitVRLittleEndian
meta.MediaStorageSOPInstanceUID = generate_uid()
file = dataset(file_meta=meta, SOPClassUID=TwelveLeadECGWaveformStorage, Modality="ECG", PatientID="", PatientName="")
file.SOPInstanceUID, file.StudyInstanceUID = meta.MediaStorageSOPInstanceUID, generate_uid()
file.SeriesInstanceUID, file.AcquisitionDateTime, file.WaveformSequence = generate_uid(), "20200101100000", [group]
file.save_as("ecg.dcm", enforce_file_format=True)

moments = [400, 490]  # a sample of 0 and one of 200, well after an edge: the package filters what it draws
drawn = extract_signals(DicomECGReader("ecg.dcm"))[0, moments].round(2).tolist()
second = (multiplex_array(dcmread("ecg.dcm"), 0, as_raw=False)[moments, 0] / 1000).round(2).tolist()
print(f"dicom-ecg-plot {version('dicom-ecg-plot')}, pydicom {version('pydicom')}")
print("expected: samples of 0 and 200 steps are [0.5, 1.5] mV")
print(f"seen: drawn at {drawn} mV; pydicom gives {second} mV")
sys.exit(0 if drawn == [2.5, 3.5] and second == [0.5, 1.5] else 1)
PY

#!/usr/bin/env bash
# pydicom 3.0.2 scales the padding of a DICOM waveform like samples: a lead that was off reads as -164 mV.
#
# It hurts whoever takes ECGs from pydicom in physical units and meets one that was cut short, or a strip with a lead
# off: filters ring after such a step, and scaling by the range or the standard deviation flattens the real ECG. That
# the value is padding is stated in the dataset.
#
# Standard: DICOM PS3.3, C.10.9, Waveform Padding Value (5400,100A) is the value of samples that are supplied where
# input is absent or invalid. Such samples have no physical value.
# Seen: with padding value -32768 and 5 uV a step, multiplex_array(as_raw=False) returns -163.84 mV, as plain floats,
# without a warning; its documentation does not mention padding. ecgdatakit 2.0.3 returns NaN for these samples.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check pydicom==3.0.2 ecgdatakit==2.0.3 numpy==2.4.6 || exit 2
venv/bin/python - <<'PY'
import sys
import warnings
from importlib.metadata import version

import numpy as np
from ecgdatakit import FileParser
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, GeneralECGWaveformStorage, generate_uid
from pydicom.waveforms import multiplex_array

PADDING = -32768
steps = np.tile(np.r_[np.zeros(450), np.full(50, 200)], 10).astype("<i2")  # 10 s at 500 Hz; 5 uV a step
steps[4500:] = PADDING  # off for the last second


def dataset(**values):
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def code(value, scheme, meaning):
    return [dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


channel = dataset(
    ChannelSourceSequence=code("2:2", "SCPECG", "Lead II"),
    ChannelSensitivity="5",
    ChannelSensitivityUnitsSequence=code("uV", "UCUM", "microvolt"),
    ChannelSensitivityCorrectionFactor="1",
    ChannelBaseline="0",
    ChannelSampleSkew="0",
    WaveformBitsStored=16,
)
group = dataset(
    MultiplexGroupTimeOffset="0",
    WaveformOriginality="ORIGINAL",
    NumberOfWaveformChannels=1,
    NumberOfWaveformSamples=len(steps),
    SamplingFrequency="500",
    ChannelDefinitionSequence=[channel],
    WaveformBitsAllocated=16,
    WaveformSampleInterpretation="SS",
    WaveformPaddingValue=np.array(PADDING, "<i2").tobytes(),
    WaveformData=steps.tobytes(),
)
meta = FileMetaDataset()
meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = GeneralECGWaveformStorage, ExplicitVRLittleEndian
meta.MediaStorageSOPInstanceUID = generate_uid()
file = dataset(file_meta=meta, SOPClassUID=GeneralECGWaveformStorage, Modality="ECG", PatientID="", PatientName="")
file.SOPInstanceUID, file.StudyInstanceUID = meta.MediaStorageSOPInstanceUID, generate_uid()
file.SeriesInstanceUID, file.AcquisitionDateTime, file.WaveformSequence = generate_uid(), "20200101100000", [group]
file.save_as("ecg.dcm", enforce_file_format=True)

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    last = multiplex_array(dcmread("ecg.dcm"), 0, as_raw=False)[4500:, 0] / 1000
unknown = int(np.isnan(FileParser().parse("ecg.dcm").leads[0].samples).sum())
print(f"pydicom {version('pydicom')}, ecgdatakit {version('ecgdatakit')}")
print("expected: the last 500 samples have no voltage")
print(f"seen: pydicom gives them {last.min():.2f} to {last.max():.2f} mV, with {len(caught)} warnings")
print(f"seen: ecgdatakit gives {unknown} samples as NaN")
sys.exit(0 if not caught and set(last.round(2)) == {-163.84} and unknown == 500 else 1)
PY

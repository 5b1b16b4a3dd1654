#!/usr/bin/env bash
# ecg2dcm 1.3.1 turns every gap of a WFDB record into a voltage of -164 mV in the DICOM file that it writes.
#
# It hurts whoever converts public or hospital WFDB records with a lead that fell off for a moment. The DICOM file
# states no padding value, so nobody can tell the gap from a signal any more; limb leads that are computed from the
# gap jump as well, and whoever normalises the ECG by its range flattens it.
#
# Standard: the WFDB library defines -32768, the smallest number of format 16, as the value of samples that are not
# valid (WFDB_INVALID_SAMPLE), and wfdb writes gaps so. DICOM has Waveform Padding Value (PS3.3, C.10.9) for samples
# that are absent.
# Seen: -32768 steps of a signal with 200 steps per mV become -163.84 mV; lead aVL, computed from I and II, -81.92 mV.
# wfdb 4.3.1 returns NaN for the same samples.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check ecg2dcm==1.3.1 pydicom==2.4.5 numpy==2.4.6 wfdb==4.3.1 || exit 2
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import wfdb
from ecg2dcm.adapters.dispatch import parse
from ecg2dcm.writer import build

INVALID = -32768
beat = np.r_[np.zeros(450), np.full(50, 200)]  # 1 mV is 200 steps
steps = np.stack([np.tile(beat, 10)] * 2, axis=1).astype("<i2")
steps[1000:1100] = INVALID  # both leads off for 0.2 s
steps.tofile("ecg.dat")
lines = ["ecg 2 500 5000 10:00:00 01/01/2020"]
for name, column in zip(("I", "II"), steps.T):
    lines.append(f"ecg.dat 16 200(0)/mV 16 0 {column[0]} {int(column.sum(dtype=np.int64)) & 0xFFFF} 0 {name}")
Path("ecg.hea").write_text("\n".join(lines) + "\n")

gaps = int(np.isnan(wfdb.rdrecord("ecg").p_signal[:, 0]).sum())
group = build(parse("ecg.hea")).WaveformSequence[0]
stored = np.frombuffer(group.WaveformData, "<i2").reshape(group.NumberOfWaveformSamples, -1)
lowest = {}
for channel, column in zip(group.ChannelDefinitionSequence, stored.T):
    microvolts = column * float(channel.ChannelSensitivity) * float(channel.ChannelSensitivityCorrectionFactor)
    lowest[channel.ChannelSourceSequence[0].CodeMeaning.split(",")[0]] = float(microvolts.min()) / 1000
padding = "WaveformPaddingValue" in group

print(f"ecg2dcm {version('ecg2dcm')}, wfdb {wfdb.__version__}")
print("expected: the 100 invalid samples are marked, by a stated padding value or by refusing the record")
print(f"seen: {gaps} samples of lead I are NaN in wfdb")
print(f"seen: padding value stated in the DICOM dataset: {padding}")
print("seen: smallest value of each lead there, in mV:", {name: round(value, 2) for name, value in lowest.items()})
unchanged = gaps == 100 and not padding and round(lowest["Lead I"], 2) == -163.84 and round(lowest["aVL"], 2) == -81.92
sys.exit(0 if unchanged else 1)
PY

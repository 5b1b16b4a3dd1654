#!/usr/bin/env bash
# ecg2dcm 1.3.1 converts an aECG in millivolts into a DICOM ECG that is a thousand times too small, and gives all leads
# the scale of the last one.
#
# It hurts the hospital or study that fills an archive with such DICOM files: they are valid, open everywhere, and
# show flat lines, or leads whose relative size is wrong, which is what hypertrophy and low voltage are read from.
#
# Standard: in HL7 aECG (ANSI/HL7 V3 ECG R1) a sequence is an SLIST_PQ of its own, with a value of origin + scale x
# digit. Scale and origin are physical quantities: they have a unit, and each sequence may have other ones.
# Seen: the number of the scale is taken without its unit, as microvolts; the last lead's scale becomes that of all;
# the origin is not read. A lead of 1 mV arrives as 1 uV; one of 1 mV beside one of finer steps as 0.5 mV.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check ecg2dcm==1.3.1 pydicom==2.4.5 numpy==2.4.6 || exit 2
venv/bin/python -W ignore - <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ecg2dcm.adapters.dispatch import parse
from ecg2dcm.writer import build

PULSES = np.tile(np.r_[np.zeros(450, int), np.full(50, 200)], 10)  # 10 s at 500 Hz; 200 steps high


def sequence(code, value):
    return f'<component><sequence><code code="{code}"/><value xsi:type="{value}</value></sequence></component>'


def lead(name, scale, unit, origin=0):
    digits = " ".join(map(str, PULSES))
    quantities = f'<origin value="{origin}" unit="{unit}"/><scale value="{scale}" unit="{unit}"/>'
    return sequence(f"MDC_ECG_LEAD_{name}", f'SLIST_PQ">{quantities}<digits>{digits}</digits>')


def largest_uv(*leads):
    """Converts an aECG and returns the largest value of its first lead in the DICOM dataset."""
    time = sequence("TIME_ABSOLUTE", 'GLIST_TS"><head value="20200101100000.000"/><increment value="0.002" unit="s"/>')
    span = '<effectiveTime><low value="20200101100000"/><high value="20200101100010"/></effectiveTime>'
    Path("ecg.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id root="1.2.3"/>'
        f'<code code="93000"/>{span}<component><series><code code="RHYTHM"/>{span}<component><sequenceSet>'
        f"{time}{''.join(leads)}</sequenceSet></component></series></component></AnnotatedECG>"
    )
    group = build(parse("ecg.xml")).WaveformSequence[0]
    stored = np.frombuffer(group.WaveformData, "<i2").reshape(group.NumberOfWaveformSamples, -1)[:, 0]
    channel = group.ChannelDefinitionSequence[0]
    assert channel.ChannelSensitivityUnitsSequence[0].CodeValue == "uV"
    per_step = float(channel.ChannelSensitivity) * float(channel.ChannelSensitivityCorrectionFactor)
    return float(stored.max() * per_step + float(channel.ChannelBaseline))


print("ecg2dcm", version("ecg2dcm"))
unchanged = True
for what, leads, expected, described in (
    ("both leads in steps of 5 uV", [lead("I", 5, "uV"), lead("II", 5, "uV")], 1000, 1000),
    ("both leads in steps of 0.005 mV", [lead("I", 0.005, "mV"), lead("II", 0.005, "mV")], 1000, 1),
    ("lead I in steps of 5 uV, II of 2.5 uV", [lead("I", 5, "uV"), lead("II", 2.5, "uV")], 1000, 500),
    ("steps of 5 uV, origin 300 uV", [lead("I", 5, "uV", 300), lead("II", 5, "uV", 300)], 1300, 1000),
):
    seen = largest_uv(*leads)
    print(f"{what}: expected {expected} uV, seen {seen:g} uV")
    unchanged &= abs(seen - described) < 0.01
sys.exit(0 if unchanged else 1)
PY

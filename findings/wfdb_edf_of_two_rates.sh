#!/usr/bin/env bash
# wfdb 4.3.1 returns an EDF file's ECG in raw steps labelled "mV" as soon as another signal has a lower rate.
#
# It hurts whoever reads Holter, sleep or monitor recordings as EDF: there, an ECG at 500 Hz stands beside respiration,
# position or temperature at a few Hz. The ECG comes out hundreds of times too large, and looks plausible once it is
# normalised. With signals of one rate, the same ECG is right within a step.
#
# Standard: EDF (Kemp et al. 1992) gives each signal its own number of samples per record and its own physical and
# digital limits; a sample's value follows from these limits alone, whatever the other signals are.
# Seen: 1 mV, stored as 1000 steps of a signal of 1000 steps per mV, is read as 1000.0 with the unit "mV" beside a
# signal of 25 Hz, and as 1.0 without it. (That the ECG is averaged down to 25 Hz as well is documented.) The rate
# decides: the samples of a frame are averaged before they are scaled, and the gain divides only the offset.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the package could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv && venv/bin/pip install -q --disable-pip-version-check wfdb==4.3.1 || exit 2
venv/bin/python -W ignore - <<'PY'
import sys
from pathlib import Path

import numpy as np
import wfdb
from wfdb.io.convert.edf import read_edf

RECORDS = 10  # of one second
# Label, unit, physical limits, digital limits, samples per record, the constant value stored. 1000 steps are 1 mV.
ECG = ("ECG I", "mV", "-32.768", "32.767", "-32768", "32767", 500, 1000)
RESPIRATION = ("Resp", "L", "-32768", "32767", "-32768", "32767", 25, 0)


def write_edf(path, signals):
    count = len(signals)
    head = f"{'0':<8}{'X X X X':<80}{'Startdate 01-JAN-2020 X X X':<80}01.01.2010.00.00"
    head += f"{256 * (count + 1):<8}{'':<44}{RECORDS:<8}{1:<8}{count:<4}"
    for field, width in ((0, 16), (None, 80), (1, 8), (2, 8), (3, 8), (4, 8), (5, 8), (None, 80), (6, 8), (None, 32)):
        head += "".join(f"{'' if field is None else signal[field]:<{width}}" for signal in signals)
    record = b"".join(np.full(signal[6], signal[7], "<i2").tobytes() for signal in signals)
    Path(path).write_bytes(head.encode("ascii") + record * RECORDS)


def read(name, signals):
    write_edf(name, signals)
    record = read_edf(name)
    return float(record.p_signal[:, 0].mean()), record.units[0], record.fs


alone, beside = read("alone.edf", [ECG]), read("beside.edf", [ECG, RESPIRATION])
print("wfdb", wfdb.__version__)
print("expected: the ECG is 1.0 mV in both files")
print(f"seen: alone, {alone[0]:.3f} {alone[1]} at {alone[2]} Hz")
print(f"seen: beside a signal of 25 Hz, {beside[0]:.3f} {beside[1]} at {beside[2]} Hz")
unchanged = abs(alone[0] - 1) < 0.01 and abs(beside[0] - 1000) < 1 and beside[1] == "mV"
sys.exit(0 if unchanged else 1)
PY

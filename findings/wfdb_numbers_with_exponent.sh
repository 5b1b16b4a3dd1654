#!/usr/bin/env bash
# wfdb 4.3.1 cuts header numbers off at their exponent, so an ECG gets a wrong rate or a wrong size without a word.
#
# It hurts whoever reads WFDB records that were not written by the wfdb package itself, but by software that formats
# numbers with an exponent (%e or %E in C and MATLAB). A rate that is a hundred times too low makes every interval a
# hundred times too long; a gain that is a thousand times too low makes 1 mV into 1000.
#
# Standard: header(5) of the WFDB Applications Guide allows a sampling frequency in any format that scanf reads as a
# floating point number, with 360, 360.0 and 3.6e2 as equivalent examples, and says that the gain is a floating point
# number. scanf reads the exponent with "e" and with "E".
# Seen: "5e2" is read as 5 Hz. "1E3(0)/mV" is read as a gain of 1 and the unit "E3"; what follows, unit and name
# included, becomes the signal's name. "1e3" is read correctly as a gain, but not as a rate.
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

# Ten beats in 10 s at 500 Hz: squares of 1 mV, which is 1000 steps.
steps = np.tile(np.r_[np.zeros(450), np.full(50, 1000)], 10).astype("<i2")
steps.tofile("ecg.dat")
checksum = int(steps.sum(dtype=np.int64)) & 0xFFFF


def read(rate, gain):
    line = f"ecg.dat 16 {gain} 16 0 0 {checksum} 0 II"
    Path("ecg.hea").write_text(f"ecg 1 {rate} 5000\n{line}\n")
    record = wfdb.rdrecord("ecg")
    return record.fs, float(record.p_signal.max()), record.units[0], record.sig_name[0]


CASES = (  # header fields, what wfdb 4.3.1 makes of them
    ("500", "1000(0)/mV", (500, 1.0, "mV", "II")),
    ("500", "1e3(0)/mV", (500, 1.0, "mV", "II")),
    ("5e2", "1000(0)/mV", (5, 1.0, "mV", "II")),
    ("500", "1E3(0)/mV", (500, 1000.0, "E3", f"(0)/mV 16 0 0 {checksum} 0 II")),
)
print("wfdb", wfdb.__version__)
print("expected: 500 Hz, largest value 1.0, unit 'mV', name 'II' in all cases")
unchanged = True
for rate, gain, described in CASES:
    seen = read(rate, gain)
    fs, largest, unit, name = seen
    print(f"seen: rate {rate:4} gain {gain:11} -> {fs} Hz, largest value {largest}, unit {unit!r}, name {name!r}")
    unchanged &= seen == described
sys.exit(0 if unchanged else 1)
PY

#!/usr/bin/env bash
# wfdb 4.3.1 adds a second of -32.8 mV to the end of an ECG that it converts to EDF, and moves it to the year 1985.
#
# It hurts whoever hands WFDB records on as EDF. EDF has no mark for missing samples, so the added second is a voltage
# in every reader: a step of 32 mV in all leads that rings in filters, counts as a beat and sets the scale of a plot.
# A record's date and time, which the header states, are lost, and those in the EDF file look valid.
#
# Standard: EDF (Kemp et al. 1992) states the number of data records and the start; a recording that fills a whole
# number of data records needs no further one. header(5) of the WFDB Applications Guide defines base time and date.
# Seen: 10 s at 500 Hz, starting at 14:30:05 on 15 June 2020, become 11 s that start at midnight on 1 January 1985. The
# last second of each lead is at the smallest value that the file's limits allow.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check wfdb==4.3.1 pyedflib==0.1.42 || exit 2
venv/bin/python -W ignore - <<'PY'
import contextlib
import io
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyedflib
from wfdb.io.convert.edf import wfdb_to_edf

RATE, SECONDS = 500, 10
LEADS = "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()
lead = np.tile(np.r_[np.zeros(450), np.full(50, 1000)], SECONDS).astype("<i2")  # 1000 steps are 1 mV
np.stack([lead] * len(LEADS), axis=1).tofile("ecg.dat")
lines = [f"ecg {len(LEADS)} {RATE} {len(lead)} 14:30:05 15/06/2020"]
checksum = int(lead.sum(dtype=np.int64)) & 0xFFFF
lines += [f"ecg.dat 16 1000(0)/mV 16 0 0 {checksum} 0 {name}" for name in LEADS]
Path("ecg.hea").write_text("\n".join(lines) + "\n")

with contextlib.redirect_stdout(io.StringIO()):  # it prints sizes
    wfdb_to_edf("ecg", output_filename="ecg.edf")
with pyedflib.EdfReader("ecg.edf") as edf:
    start = edf.getStartdatetime()
    leads = np.stack([edf.readSignal(row) for row in range(edf.signals_in_file)])
same = float(np.abs(leads[:, : len(lead)] - lead / 1000).max())
added = leads[:, len(lead) :]

print(f"wfdb {version('wfdb')}, pyedflib {version('pyedflib')}")
print(f"expected: {SECONDS} s that start at 2020-06-15 14:30:05")
print(f"seen: {leads.shape[1] / RATE:g} s that start at {start}; the first {SECONDS} s differ by {same:.1g} mV at most")
print(f"seen: the rest is at {added.min():.3f} to {added.max():.3f} mV" if added.size else "seen: no samples follow")
described = added.shape[1] == RATE and set(added.round(3).ravel()) == {-32.768} and f"{start}" == "1985-01-01 00:00:00"
sys.exit(0 if described else 1)
PY

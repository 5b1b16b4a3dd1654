#!/usr/bin/env bash
# mne 1.13.2 joins the pieces of an interrupted EDF+ recording without a word: a minute is missing, and all that follows
# has a wrong time.
#
# It hurts whoever reads an ECG from a monitor, Holter or sleep recorder that stores pieces (EDF+D): two beats that
# were a minute apart become neighbours, which is a false RR interval and a step in the leads, and times no longer
# agree with the events in the same file.
#
# Standard: EDF+ (Kemp and Olivan 2003) marks such files by "EDF+D" in the header and gives the start of each data
# record in its annotations signal. It warns that software for plain EDF shows them as if they were continuous; mne
# reads EDF+ and its annotations.
# Seen: ten records of one second, with 60 s missing after the fifth, are 10 s of signal, without a warning and without
# an annotation at the join, and the last sample is at 9.998 s instead of 69.998 s. pyedflib 0.1.42 refuses the file,
# ecgdatakit 2.0.3 warns, and edfio 0.4.18 joins the pieces as well, but says so in its documentation.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check mne==1.13.2 pyedflib==0.1.42 || exit 2
MNE_DONTWRITE_HOME=true venv/bin/python - <<'PY'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import mne
import numpy as np
import pyedflib

STARTS = [0, 1, 2, 3, 4, 65, 66, 67, 68, 69]  # of the data records, in seconds
RATE = 500
SIGNALS = (  # label, unit, physical limits, digital limits, samples per record
    ("ECG II", "mV", "-32.768", "32.767", "-32768", "32767", RATE),
    ("EDF Annotations", "", "-1", "1", "-32768", "32767", 30),
)
count = len(SIGNALS)
head = f"{'0':<8}{'X X X X':<80}{'Startdate 01-JAN-2020 X X X':<80}01.01.2010.00.00"
head += f"{256 * (count + 1):<8}{'EDF+D':<44}{len(STARTS):<8}{1:<8}{count:<4}"
for field, width in ((0, 16), (None, 80), (1, 8), (2, 8), (3, 8), (4, 8), (5, 8), (None, 80), (6, 8), (None, 32)):
    head += "".join(f"{'' if field is None else signal[field]:<{width}}" for signal in SIGNALS)
beat = np.r_[np.zeros(450), np.full(50, 1000)].astype("<i2").tobytes()
records = b"".join(beat + f"+{start}\x14\x14".encode().ljust(60, b"\0") for start in STARTS)
Path("ecg.edf").write_bytes(head.encode("ascii") + records)

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    raw = mne.io.read_raw_edf("ecg.edf", preload=True, verbose="WARNING")
warned = [str(each.message) for each in caught if "EDF" in str(each.message) or "contin" in str(each.message)]
last, marks = round(float(raw.times[-1]), 3), len(raw.annotations)
try:
    pyedflib.EdfReader("ecg.edf")
    refused = "reads it"
except OSError as error:
    refused = f"refuses it: {error}"

print(", ".join(f"{name} {version(name)}" for name in ("mne", "pyedflib")))
print(f"expected: the last sample is at {STARTS[-1] + 1 - 1 / RATE} s, or a refusal, or at least a warning or a mark")
print(f"seen: {raw.n_times} samples, the last at {last} s, warnings {warned}, annotations {marks}; pyedflib {refused}")
sys.exit(0 if last == 9.998 and not warned and not marks and "discontinuous" in refused else 1)
PY

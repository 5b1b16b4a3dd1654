"""Simulated ECGs to try the page with: no real patient's."""

import numpy as np

from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.simulator.beat_shapes import FS
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.truth import LBBB, LVH, NORMAL
from cardiolect.data_provider.simulator.varied.heart import FIBRILLATION
from cardiolect.data_provider.simulator.varied.render import simulate_varied

FINDINGS = (NORMAL, FIBRILLATION, LBBB, LVH)
SEED = 7
_TRIED = 400  # recordings among which every finding occurs


def simulated_ecgs() -> dict[str, ECGRecord]:
    """The first recording of the simulator's varied mode with each of `FINDINGS`, by the finding's name."""
    found: dict[str, ECGRecord] = {}
    for index in range(_TRIED):
        truth, signal = simulate_varied(SEED, index, draw_patient(SEED, index, fold=1))
        new = [finding for finding in FINDINGS if finding in truth.findings and finding not in found]
        if new:
            found[new[0]] = ECGRecord(signal, FS, np.ones(signal.shape, dtype=bool), record_id="")
        if len(found) == len(FINDINGS):
            break
    return {finding: found[finding] for finding in FINDINGS if finding in found}

"""Where in time a finding of a simulated recording is: its recording is made again, this time beat by beat."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.simulator.corpus import MADE
from cardiolect.data_provider.simulator.patients import draw_patient, plan_patients
from cardiolect.data_provider.simulator.render import FS, clean_signal, simulate
from cardiolect.data_provider.simulator.rhythm import Beat
from cardiolect.data_provider.simulator.truth import AV_BLOCK, ECTOPIES, INVERTED_T, LBBB, RBBB, Truth
from cardiolect.utils.errors import UserError

Places = list[tuple[float, float]]  # seconds
NOISE_MV, NOISE_SECONDS = 0.15, 0.1  # what counts as disturbed: root mean square in any lead, over so long


def _premature(beats: list[Beat], truth: Truth) -> Places:
    return [(b.onset - 0.2, b.onset + 0.5) for b in beats if b.kind != "normal"]


def _qrs(beats: list[Beat], truth: Truth) -> Places:
    return [(b.onset, b.onset + truth.intervals["qrs duration"] / 1000) for b in beats if b.kind == "normal"]


def _p_to_qrs(beats: list[Beat], truth: Truth) -> Places:
    return [(b.onset - truth.intervals["pr interval"] / 1000, b.onset) for b in beats if b.kind == "normal"]


def _t_wave(beats: list[Beat], truth: Truth) -> Places:
    qrs, qt = (truth.intervals[name] for name in ("qrs duration", "qt interval"))
    return [(b.onset + qrs / 1000, b.onset + (qt or 400) / 1000) for b in beats if b.kind == "normal"]


# What is asked for -> where it is seen: premature beats from P to T, PR, ST with T, QRS; None: where noise was added.
PLACES: dict[str, Callable[[list[Beat], Truth], Places] | None] = {
    "any kind of extra systoles": _premature,
    ECTOPIES[0]: _premature,
    ECTOPIES[1]: _premature,
    "burst noise": None,
    "electrodes problems": None,
    AV_BLOCK: _p_to_qrs,
    INVERTED_T: _t_wave,
    LBBB: _qrs,
    RBBB: _qrs,
}


class SimulatedPlaces:
    """Finds the places in recordings of a corpus of the simulator's default mode."""

    def __init__(self, corpus: Path):
        made = json.loads((corpus / MADE).read_text())
        if "varied" in made:
            raise UserError(f"--corpus {corpus}: of a varied corpus beats cannot be told; give a default one")
        self.seed = made["seed"]
        self.owner, self.folds = plan_patients(self.seed, made["records"])

    def find(self, attribute: str, ref: RecordRef, record: ECGRecord) -> Places:
        """Spans of time that show ``attribute``, one of `PLACES`; none where another noise would hide it."""
        index = int(ref.record_id) - 1
        key = (self.seed, index, draw_patient(self.seed, int(self.owner[index]), int(self.folds[self.owner[index]])))
        truth, clean, beats = clean_signal(*key)
        _, noisy = simulate(*key)
        if noisy.shape != record.signal.shape or np.abs(noisy - record.signal).max() > 0.01:
            raise UserError(f"record {ref.record_id}: is not what this version of the simulator draws; make it anew")
        find = PLACES[attribute]
        if find is not None:
            return find(beats, truth)
        if len(truth.noise) > 1:
            return []
        power = uniform_filter1d(np.square(noisy - clean), round(NOISE_SECONDS * FS), axis=1)
        edges = np.flatnonzero(np.diff(np.sqrt(power.max(axis=0)) > NOISE_MV, prepend=False, append=False))
        return [(a / FS, b / FS) for a, b in edges.reshape(-1, 2)]


def share_within(times: np.ndarray, places: Places) -> np.ndarray:
    """``(n,)``: which share of each span of ``times`` ``(n, 2)`` lies within the places."""
    inside = sum(np.clip(np.minimum(times[:, 1], b) - np.maximum(times[:, 0], a), 0, None) for a, b in places)
    return np.clip(inside / np.ptp(times, axis=1), 0, 1)

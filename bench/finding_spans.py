"""When a simulated recording shows a finding: simulates the recording again, to know its beats."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d

from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.ecgqa.findings import AV_BLOCK, ECTOPIES, INVERTED_T, LBBB, RBBB
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.simulator.patients import draw_patient, plan_patients
from cardiolect.data_provider.simulator.render import FS, clean_signal, simulate
from cardiolect.data_provider.simulator.rhythm import Beat
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.utils.errors import UserError

Spans = list[tuple[float, float]]  # starts and ends in seconds
NOISE_MV, NOISE_SECONDS = (
    0.15,
    0.1,
)  # root mean square in any lead, over this time, from which a recording counts as noisy


def _premature(beats: list[Beat], truth: Truth) -> Spans:
    return [(b.onset - 0.2, b.onset + 0.5) for b in beats if b.kind != "normal"]


def _qrs(beats: list[Beat], truth: Truth) -> Spans:
    return [(b.onset, b.onset + truth.intervals["qrs duration"] / 1000) for b in beats if b.kind == "normal"]


def _p_to_qrs(beats: list[Beat], truth: Truth) -> Spans:
    return [(b.onset - truth.intervals["pr interval"] / 1000, b.onset) for b in beats if b.kind == "normal"]


def _t_wave(beats: list[Beat], truth: Truth) -> Spans:
    qrs, qt = (truth.intervals[name] for name in ("qrs duration", "qt interval"))
    return [(b.onset + qrs / 1000, b.onset + (qt or 400) / 1000) for b in beats if b.kind == "normal"]


# Finding -> the part of the beats that shows it: premature beats from P to T, PR, ST with T, QRS; None: added noise.
SPANS: dict[str, Callable[[list[Beat], Truth], Spans] | None] = {
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


class FindingSpans:
    """Finds the spans in the recordings of a corpus of the simulator's default mode."""

    def __init__(self, corpus: Path):
        settings = json.loads((corpus / MADE).read_text())
        if "varied" in settings:
            raise UserError(f"--corpus {corpus}: the beats of a varied corpus are not known; give one without --varied")
        self.seed = settings["seed"]
        self.owner, self.folds = plan_patients(self.seed, settings["records"])

    def find(self, attribute: str, ref: RecordRef, record: ECGRecord) -> Spans:
        """Spans that show ``attribute``, one of `SPANS`; none for noise if there is another kind of noise as well."""
        index = int(ref.record_id) - 1
        key = (self.seed, index, draw_patient(self.seed, int(self.owner[index]), int(self.folds[self.owner[index]])))
        truth, clean, beats = clean_signal(*key)
        _, noisy = simulate(*key)
        if noisy.shape != record.signal.shape or np.abs(noisy - record.signal).max() > 0.01:
            raise UserError(
                f"record {ref.record_id}: not what this version of the simulator makes; simulate the corpus again"
            )
        find = SPANS[attribute]
        if find is not None:
            return find(beats, truth)
        if len(truth.noise) > 1:
            return []
        power = uniform_filter1d(np.square(noisy - clean), round(NOISE_SECONDS * FS), axis=1)
        edges = np.flatnonzero(np.diff(np.sqrt(power.max(axis=0)) > NOISE_MV, prepend=False, append=False))
        return [(a / FS, b / FS) for a, b in edges.reshape(-1, 2)]


def overlap_share(times: np.ndarray, spans: Spans) -> np.ndarray:
    """``(n,)``: the share of each interval of ``times`` ``(n, 2)`` that lies within the spans."""
    inside = sum(np.clip(np.minimum(times[:, 1], b) - np.maximum(times[:, 0], a), 0, None) for a, b in spans)
    return np.clip(inside / np.ptp(times, axis=1), 0, 1)

"""The waves of the normal beat in each lead, and what they show, by the criteria of ECG-Reasoning-Benchmark.

Everything is measured on the beat without noise. A criterion is judged twice, with thresholds a fifth lower and a
quarter higher; if the two disagree, the lead is open, because readers of the recorded ECG would disagree as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.beat_shapes import BEFORE, FS
from cardiolect.data_provider.simulator.leads import twelve

SCALES = (0.8, 1.25)
SMALLEST = 0.05, 0.1  # mV of a deflection that counts, and share of the largest in its lead
ST_SECONDS = 0.02  # a shorter deflection at the end of QRS belongs to the ST segment
MINOR = 0.5  # share of the main deflection up to which a last one does not change the name of a pattern
J_SECONDS = 0.02  # the J point is the mean of so long after QRS


@dataclass(frozen=True)
class Deflection:
    """A run of one sign within QRS. mv: its peak, signed. seconds: its length. peak: seconds from the QRS onset."""

    mv: float
    seconds: float
    peak: float


@dataclass(frozen=True)
class LeadWaves:
    """One lead of one beat, mV relative to the level at the QRS onset.

    qrs: the complex, 500 Hz. j: level of the J point. t: largest deflection of T, signed.
    """

    qrs: np.ndarray
    j: float
    t: float

    @property
    def r(self) -> float:
        return float(max(self.qrs.max(), 0.0))

    @property
    def s(self) -> float:
        """Depth of the largest negative deflection, positive."""
        return float(max(-self.qrs.min(), 0.0))

    def deflections(self, scale: float) -> list[Deflection]:
        """Those of at least `SMALLEST` times ``scale``, in order; the sign changes from each to the next."""
        least = scale * max(SMALLEST[0], SMALLEST[1] * np.abs(self.qrs).max())
        signs = np.where(np.abs(self.qrs) < 0.02, 0, np.sign(self.qrs))
        ends = np.flatnonzero(np.diff(signs)) + 1
        found: list[Deflection] = []
        for start, end in pairwise([0, *ends.tolist(), len(signs)]):
            run = self.qrs[start:end]
            at = int(np.abs(run).argmax())
            st = end == len(signs) and (end - start) / FS < ST_SECONDS
            if signs[start] == 0 or abs(run[at]) < least or st:
                continue
            new = Deflection(float(run[at]), (end - start) / FS, (start + at) / FS)
            if found and found[-1].mv * new.mv > 0:
                last = found.pop()
                larger = max(last, new, key=lambda each: abs(each.mv))
                new = Deflection(larger.mv, last.seconds + new.seconds, larger.peak)
            found.append(new)
        return found


Criterion = Callable[[LeadWaves, float], bool]


def lead_waves(eight: np.ndarray, qrs_seconds: float, qt_seconds: float) -> dict[str, LeadWaves]:
    """Measure one conducted beat ``(8, T)`` without P, as in `varied.beat.Beats`."""
    leads = twelve(eight)
    onset = round(BEFORE * FS)
    end = onset + round(qrs_seconds * FS)
    leads = leads - leads[:, onset : onset + 1]
    j = leads[:, end : end + round(J_SECONDS * FS)].mean(axis=1)
    later = leads[:, end + 20 : onset + round(min(qt_seconds, 0.78) * FS)]
    t = np.take_along_axis(later, np.abs(later).argmax(axis=1)[:, None], axis=1)[:, 0]
    return {
        lead: LeadWaves(leads[row, onset : end + 1], float(j[row]), float(t[row])) for row, lead in enumerate(LEADS)
    }


def judge(criterion: Criterion, waves: LeadWaves) -> bool | None:
    """Whether the lead meets the criterion; None if it depends on the scale of thresholds."""
    low, high = (criterion(waves, scale) for scale in SCALES)
    return low if low == high else None


def st_depressed(by: float) -> Criterion:
    return lambda waves, scale: waves.j < -by * scale


def st_elevated(by: float) -> Criterion:
    return lambda waves, scale: waves.j > by * scale


def t_inverted(waves: LeadWaves, scale: float) -> bool:
    return waves.t < -0.07 * scale


def strain(waves: LeadWaves, scale: float) -> bool:
    return waves.j < -0.05 * scale and waves.t < -0.1 * scale


def pathological_q(mv: float | None) -> Criterion:
    """QS; a Q longer than 30 ms and deeper than ``mv``, or than a fifth of R if None; a deep S after a tiny r."""

    def met(waves: LeadWaves, scale: float) -> bool:
        found = waves.deflections(scale)
        if not found:
            return False
        first = found[0]
        if first.mv < 0:
            least = (0.2 * waves.r if mv is None else mv) * scale
            return len(found) == 1 or (first.seconds > 0.03 * scale and -first.mv > least)
        return len(found) > 1 and first.mv < 0.1 / scale and -found[1].mv > 0.5 * scale

    return met


def _signs(waves: LeadWaves, scale: float) -> str:
    return "".join("+" if each.mv > 0 else "-" for each in waves.deflections(scale))


def monophasic_r(waves: LeadWaves, scale: float) -> bool:
    return _signs(waves, scale) == "+"


def _pattern(waves: LeadWaves, scale: float, signs: str, main: int) -> bool:
    """Whether QRS begins with these deflections, the one at ``main`` is the largest, and the rest are minor."""
    found = waves.deflections(scale)
    if not _signs(waves, scale).startswith(signs):
        return False
    size = abs(found[main].mv)
    others = [abs(each.mv) for i, each in enumerate(found) if i != main]
    return all(other < size / scale for other in others) and all(
        abs(each.mv) < MINOR * size / scale for each in found[len(signs) :]
    )


def q_r(waves: LeadWaves, scale: float) -> bool:
    return _pattern(waves, scale, "-+", 1)


def r_s(waves: LeadWaves, scale: float) -> bool:
    return _pattern(waves, scale, "+-", 1)


def rsr(waves: LeadWaves, scale: float) -> bool:
    return _signs(waves, scale).startswith("+-+")


def broad_r_or_q_r(waves: LeadWaves, scale: float) -> bool:
    return monophasic_r(waves, scale) or q_r(waves, scale)


def dominant_s(waves: LeadWaves, scale: float) -> bool:
    return waves.s > waves.r * scale


def late_r_peak(waves: LeadWaves, scale: float) -> bool:
    """A monophasic R with its peak at least 55 ms after the onset, by a tenth rather than a fifth: times are exact."""
    return monophasic_r(waves, scale) and int(waves.qrs.argmax()) / FS >= 0.055 * (1 + (scale - 1) / 2)


def notched_r(waves: LeadWaves, scale: float) -> bool:
    """Two peaks with a dip between them, within R."""
    curve = waves.qrs
    inner = curve[1:-1]
    peaks = np.flatnonzero((inner >= curve[:-2]) & (inner > curve[2:]) & (inner > SMALLEST[0])) + 1
    dips = [min(curve[a], curve[b]) - curve[a : b + 1].min() for a, b in pairwise(peaks) if curve[a : b + 1].min() > 0]
    return bool(dips) and max(dips) > 0.05 * scale


def slurred_s(waves: LeadWaves, scale: float) -> bool:
    """S after R that is longer than R, or than 40 ms."""
    found = waves.deflections(scale)
    if len(found) < 2 or found[-1].mv > 0:
        return False
    r, s = found[-2], found[-1]
    return s.seconds > min(r.seconds, 0.04) * scale

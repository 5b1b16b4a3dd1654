"""Measurements on the clean normal beat of a varied recording, which decide its labels."""

from dataclasses import asdict, dataclass

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.beat_shapes import BEFORE, FS
from cardiolect.data_provider.simulator.leads import frontal_axis, twelve

Q, SMALL_Q = (0.1, 0.03), (0.05, 0.02)  # depth in mV and seconds
WALLS = {
    "inferior": ("II", "III", "aVF"),
    "anteroseptal": ("V1", "V2", "V3"),
    "anterior": ("V2", "V3", "V4", "V5"),
    "lateral": ("I", "aVL", "V5", "V6"),
}
MAIN = ("I", "II", "V3", "V4", "V5", "V6")  # leads in which the T wave should be upright


@dataclass(frozen=True)
class Measures:
    """Voltages in mV relative to the level at the QRS onset; dictionaries are keyed by lead.

    axis: direction of the net QRS area, degrees.
    sokolow: S in V1 + larger R of V5 and V6 (Sokolow and Lyon 1949).
    cornell: R in aVL + S in V3 (Casale et al. 1985). r_avl: R in aVL.
    peguero: deepest S of any lead + S in V4 (Peguero et al. 2017).
    largest: maximum of R and S of the limb leads / 2 mV, and of S in V1 and V2 and R in V5 and V6 / 3 mV.
    limb: largest peak-to-peak QRS of a limb lead.
    r_prime: last positive peak of V1. r_v3: R in V3.
    r_peak_ms: from the QRS onset to the R peak of V5 or V6, whichever is later.
    q_leads: leads with a Q wave of 0.1 mV and 30 ms, or without R; small_q_leads: with 0.05 mV and 20 ms.
    st: level 60 ms after QRS. t: largest deflection of T, signed. r: height of R.
    """

    axis: float
    sokolow: float
    cornell: float
    r_avl: float
    limb: float
    r_prime: float
    r_v3: float
    largest: float
    r_peak_ms: float
    peguero: float
    small_q_leads: tuple[str, ...]
    q_leads: tuple[str, ...]
    st: dict[str, float]
    t: dict[str, float]
    r: dict[str, float]

    def to_json(self) -> dict:
        rounded = lambda value: round(value, 3)  # noqa: E731
        return {
            name: {k: rounded(v) for k, v in value.items()}
            if isinstance(value, dict)
            else list(value)
            if isinstance(value, tuple)
            else rounded(value)
            for name, value in asdict(self).items()
        }


def measure(eight: np.ndarray, qrs_seconds: float, qt_seconds: float) -> Measures:
    """Measure one conducted beat ``(8, T)`` in mV without a P wave, as in `beat.Beats`."""
    leads = twelve(eight)
    onset = round(BEFORE * FS)
    end = onset + round(qrs_seconds * FS)
    qrs = leads[:, onset : end + 1] - leads[:, onset : onset + 1]
    repolarised = leads[:, end + 20 : onset + round(min(qt_seconds, 0.78) * FS)] - leads[:, onset : onset + 1]
    at = {lead: qrs[row] for row, lead in enumerate(LEADS)}
    area = qrs.sum(axis=1)
    r = {lead: float(max(curve.max(), 0.0)) for lead, curve in at.items()}
    s = {lead: float(max(-curve.min(), 0.0)) for lead, curve in at.items()}
    extreme = np.take_along_axis(repolarised, np.abs(repolarised).argmax(axis=1)[:, None], axis=1)[:, 0]
    v1 = at["V1"]
    nadir = int(v1.argmin())
    st_at = min(end + round(0.06 * FS), leads.shape[1] - 1)
    return Measures(
        axis=frontal_axis(area[0], area[1]),
        sokolow=s["V1"] + max(r["V5"], r["V6"]),
        cornell=r["aVL"] + s["V3"],
        r_avl=r["aVL"],
        limb=float(np.ptp(qrs[:6], axis=1).max()),
        r_prime=float(v1[nadir:].max()) if nadir < len(v1) - 1 else 0.0,
        r_v3=r["V3"],
        largest=max(
            max(max(r[lead], s[lead]) for lead in LEADS[:6]) / 2,
            max(s["V1"], s["V2"], r["V5"], r["V6"]) / 3,
        ),
        r_peak_ms=1000 / FS * max(int(at["V5"].argmax()), int(at["V6"].argmax())),
        peguero=max(s[lead] for lead in LEADS if lead != "aVR") + s["V4"],
        small_q_leads=tuple(lead for lead, curve in at.items() if _has_q(curve, *SMALL_Q)),
        q_leads=tuple(lead for lead, curve in at.items() if _has_q(curve, *Q)),
        st={lead: float(leads[row, st_at] - leads[row, onset]) for row, lead in enumerate(LEADS)},
        t=dict(zip(LEADS, map(float, extreme), strict=True)),
        r=r,
    )


def _has_q(curve: np.ndarray, depth: float, seconds: float) -> bool:
    """An initial negative wave of this depth and length, or a complex without R (QS)."""
    first_r = np.flatnonzero(curve > 0.05)
    end = first_r[0] if len(first_r) else len(curve)
    negative = curve[:end] < -0.02
    return bool(end and -curve[:end].min() >= depth and negative.sum() >= seconds * FS)

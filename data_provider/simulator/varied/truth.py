"""The ground truth of a varied recording in PTB-XL's codes; findings on which readers would disagree are left open.

A code is stated if the signal meets the criterion below. It is open if the signal is near the limit, if another finding
hides it (infarction in left bundle branch block), or if its cause is present but not visible. Otherwise it is denied.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cardiolect.data_provider.ecgqa.findings import (
    ABNORMAL,
    AXES,
    LBBB,
    MORE,
    NAMES,
    NORMAL,
    POSTERIOR_FASCICLE,
    RBBB,
    RENAMED,
    UNSPECIFIC_DELAY,
    VARIED_FINDINGS,
)
from cardiolect.data_provider.ecgqa.labels import DIAGNOSES
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS
from cardiolect.data_provider.simulator.truth import MARGINS_MS, Truth
from cardiolect.data_provider.simulator.varied.heart import (
    ANTERIOR_FASCICLE,
    FIBRILLATION,
    FLUTTER,
    INCOMPLETE_RBBB,
    PACED,
    SINUS,
    Anatomy,
    Condition,
)
from cardiolect.data_provider.simulator.varied.measure import MAIN, WALLS, Measures

_UNREMARKABLE = frozenset(
    {
        "sinus rhythm",
        "sinus arrhythmia",
        AXES[0],
        "baseline drift",
        "static noise",
        "burst noise",
        "electrodes problems",
    }
)

RATE_MARGIN = 1.5  # bpm around 60 and 100 within which bradycardia and tachycardia stay open
ARRHYTHMIA_S = (0.12, 0.20)  # longest minus shortest sinus RR interval: from the first open, from the second stated
AXIS_MARGIN = 8.0  # degrees around the limits of the axis
# Degrees between which the axis is open: deviated by the limit of PTB-XL's LAD, normal by that of clinical text.
LEFT_TYPE = (-30.0, 4.0)
SOKOLOW_MV = (3.0, 3.5)
LOW_VOLTAGE_MV = (0.5, 0.58)
ST_MV = (-0.025, -0.05, -0.1)  # open from, depressed from, ischaemic from
FLAT_T = 0.1  # share of R
POOR_R_MV = 0.3  # R in V3: poor R progression up to here
R_PRIME_MV = 0.05


@dataclass(frozen=True)
class VariedTruth(Truth):
    """A `Truth` with more fields.

    codes: PTB-XL's codes that hold. open: codes, axes and noises that are neither stated nor denied. measures:
    `measure.Measures` of the clean beat, in mV and degrees. conduction may be any of `heart.CONDUCTIONS`.
    """

    codes: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    measures: dict = field(default_factory=dict)

    @cached_property
    def findings(self) -> tuple[str, ...]:
        present = {RENAMED.get(code, NAMES[code]) for code in self.codes}
        present |= {self.axis, *self.noise} - {None}
        if present - _UNREMARKABLE:
            present.add(ABNORMAL)
        elif not set(self.open) & set(NAMES):
            present.add(NORMAL)
        return tuple(f for f in VARIED_FINDINGS if f in present)

    def range_of(self, feature: str) -> str | None:
        value = self.intervals[feature]
        if value is None or min(abs(value - end) for end in NORMAL_RANGES_MS[feature]) < MARGINS_MS[feature] / 3:
            return None
        return super().range_of(feature)

    def states(self, finding: str) -> bool | None:
        """Whether the finding holds; None if it is open."""
        if finding in self.findings:
            return True
        return None if finding in {RENAMED.get(name, NAMES.get(name, name)) for name in self.open} else False

    def scp_codes(self) -> dict[str, float]:
        """PTB-XL's codes with its likelihoods: 0 for form and rhythm statements."""
        normal = {"NORM": 100.0} if NORMAL in self.findings else {}
        return {**normal, **{code: 100.0 if code in {**DIAGNOSES, **MORE} else 0.0 for code in self.codes}}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "VariedTruth":
        """The inverse of `to_json`."""
        lists = {name: tuple(row[name]) for name in ("codes", "open")}
        return cls(**{**{key: value for key, value in row.items() if key != "findings"}, **lists})


def judge(
    condition: Condition, anatomy: Anatomy, found: Measures, rate: float, rr_range: float, ectopy: str | None, sex: int
) -> tuple[set[str], set[str]]:
    """The codes that hold and those left open. rr_range: longest minus shortest sinus RR interval, seconds."""
    yes: set[str] = set()
    maybe: set[str] = set()

    def decide(code: str, value: float, from_: float, open_from: float) -> None:
        if value >= from_:
            yes.add(code)
        elif value >= open_from:
            maybe.add(code)

    _rhythm(condition, rate, rr_range, yes, maybe)
    if ectopy:
        yes.add("PVC" if ectopy == "ventricular" else "PAC")
    wide = condition.conduction in (LBBB, RBBB) or condition.rhythm == PACED
    left_wide = condition.conduction == LBBB or condition.rhythm == PACED
    _conduction(condition, found, yes, maybe)
    if condition.rhythm == SINUS:
        decide("1AVB", condition.pr, 0.206, 0.194)
        if condition.atrial_enlargement:
            yes.add("LAO/LAE")
        decide("LNGQT", condition.qtc, 0.480, 0.455)
    else:
        maybe |= {"LNGQT"}
    if left_wide:
        # Voltages prove nothing if the left ventricle is blocked, but a heart of normal size is known to be one.
        maybe |= {"LVH", "VCLVH"} if anatomy.hypertrophy or found.sokolow > SOKOLOW_MV[0] else set()
        maybe |= {"ASMI", "AMI", "IMI", "LMI", "QWAVE"}
    else:
        _hypertrophy(condition, anatomy, found, sex, yes, maybe)
        _infarction(condition, found, yes, maybe)
    decide("LVOLT", -found.limb, -LOW_VOLTAGE_MV[0], -LOW_VOLTAGE_MV[1])
    if wide or condition.rhythm == FLUTTER:
        maybe |= {"NDT", "NST_", "ISC_", "STD_", "INVT", "LOWT"}
    else:
        _repolarisation(found, yes, maybe)
    return yes, maybe - yes


def _rhythm(condition: Condition, rate: float, rr_range: float, yes: set[str], maybe: set[str]) -> None:
    if condition.rhythm != SINUS:
        yes.add({FIBRILLATION: "AFIB", FLUTTER: "AFLT", PACED: "PACE"}[condition.rhythm])
        return
    for code, beyond in (("SBRAD", 60 - rate), ("STACH", rate - 100)):
        if abs(beyond) <= RATE_MARGIN:
            maybe |= {code, "SR"}
        elif beyond > 0:
            yes.add(code)
    if rr_range >= ARRHYTHMIA_S[1]:
        yes.add("SARRH")  # PTB-XL states it or sinus rhythm
    elif rr_range >= ARRHYTHMIA_S[0]:
        maybe |= {"SARRH", "SR"}
    if not yes and "SR" not in maybe:
        yes.add("SR")


def _conduction(condition: Condition, found: Measures, yes: set[str], maybe: set[str]) -> None:
    kind = condition.conduction
    if condition.rhythm == PACED:
        maybe |= {"CLBBB", "LAFB"}
    elif kind == LBBB:
        yes.add("CLBBB")
        maybe.add("LAFB")
    elif kind in (RBBB, INCOMPLETE_RBBB):
        code = "CRBBB" if kind == RBBB else "IRBBB"
        seen = found.r_prime >= R_PRIME_MV
        (yes if seen else maybe).add(code)
        if kind == RBBB:
            maybe |= {"LAFB", "LPFB"}
        elif condition.qrs > 0.112:
            maybe.add("CRBBB")
    elif kind in (ANTERIOR_FASCICLE, POSTERIOR_FASCICLE):
        yes.add("LAFB" if kind == ANTERIOR_FASCICLE else "LPFB")
    elif kind == UNSPECIFIC_DELAY:
        yes.add("IVCD")
        maybe |= {"CLBBB"} if condition.qrs > 0.125 else set()
    if kind != ANTERIOR_FASCICLE and found.axis < -30:
        maybe.add("LAFB")
    if kind not in (RBBB, INCOMPLETE_RBBB) and found.r_prime > R_PRIME_MV:
        maybe.add("IRBBB")


def _hypertrophy(
    condition: Condition, anatomy: Anatomy, found: Measures, sex: int, yes: set[str], maybe: set[str]
) -> None:
    limits = {"cornell": 2.0 if sex else 2.8, "r_avl": 1.1, "peguero": 2.3 if sex else 2.8}  # mV
    limb = max(getattr(found, name) / limit for name, limit in limits.items())
    if condition.conduction == ANTERIOR_FASCICLE:  # enlarges R in aVL and S in V4
        limb = min(limb, 0.99)
    points = romhilt_estes(condition, found)
    if found.sokolow > SOKOLOW_MV[1]:
        yes.add("VCLVH")
    elif found.sokolow > SOKOLOW_MV[0] or limb > 1:
        maybe.add("VCLVH")
    if anatomy.hypertrophy and (found.sokolow > SOKOLOW_MV[1] or limb > 1 or points >= 5):
        yes.add("LVH")
        maybe.add("VCLVH")
    elif anatomy.hypertrophy or "VCLVH" in yes | maybe or points >= 4:
        maybe.add("LVH")


def romhilt_estes(condition: Condition, found: Measures) -> int:
    """Points of Romhilt and Estes 1968 (Am Heart J 75:752): 5 mean left ventricular hypertrophy, 4 probable."""
    strain = any(found.t[lead] <= -0.05 and found.st[lead] <= -0.03 for lead in ("V5", "V6"))
    return (
        3 * (found.largest >= 1)
        + 3 * strain
        + 3 * condition.atrial_enlargement
        + 2 * (found.axis <= -30)
        + (condition.qrs >= 0.09)
        + (found.r_peak_ms >= 50)
    )


def _infarction(condition: Condition, found: Measures, yes: set[str], maybe: set[str]) -> None:
    def count(leads: tuple[str, ...]) -> int:
        return sum(lead in found.q_leads for lead in leads)

    def raised(leads: tuple[str, ...], by: float) -> bool:
        return sum(found.st[lead] >= by for lead in leads) >= 2

    inverted = found.t["III"] <= -0.05 and found.t["aVF"] < 0
    inferior = count(WALLS["inferior"]) >= 2 or ("III" in found.q_leads and ("aVF" in found.small_q_leads or inverted))
    front = count(("V2", "V3", "V4")) >= 2 or found.r_v3 <= POOR_R_MV
    side = count(WALLS["lateral"]) >= 2
    acute = condition.infarction_age == "acute"
    shown = {
        "inferior": inferior or (acute and raised(WALLS["inferior"], 0.1)),
        "anteroseptal": front or (acute and raised(WALLS["anteroseptal"], 0.2)),
        "anterior": front or (acute and raised(WALLS["anterior"], 0.2)),
        "lateral": side or (acute and raised(WALLS["lateral"], 0.1)),
    }
    codes = {"inferior": "IMI", "anteroseptal": "ASMI", "anterior": "AMI", "lateral": "LMI"}
    for wall, code in codes.items():
        if wall in condition.infarctions:
            (yes if shown[wall] else maybe).add(code)
    maybe |= {"ASMI", "AMI"} if {"ASMI", "AMI"} & (yes | maybe) or front else set()
    maybe |= {"IMI"} if inferior else set()
    maybe |= {"LMI"} if side else set()
    if inferior or side or count(("V2", "V3", "V4")) >= 2:
        yes.add("QWAVE")
    elif condition.infarctions or count(("I", "II", "aVF", "V3", "V4", "V5", "V6")) >= 1:
        maybe.add("QWAVE")


def _repolarisation(found: Measures, yes: set[str], maybe: set[str]) -> None:
    groups = (("II", "aVF"), ("I", "V5", "V6"), ("V2", "V3", "V4"))
    main = ("I", "II", "V4", "V5", "V6")
    deep = any(sum(found.t[lead] <= -0.1 for lead in group) >= 2 for group in groups)
    slight = any(sum(found.t[lead] <= -0.04 for lead in group) >= 2 for group in groups)
    low = sum(found.r[lead] > 0.4 and abs(found.t[lead]) < FLAT_T * found.r[lead] for lead in MAIN)
    down = [sum(found.st[lead] <= limit for lead in main) >= 2 for limit in ST_MV]
    if down[1]:
        yes.add("STD_")
        (yes if not down[2] and not deep else maybe).add("NST_")
        (yes if down[2] and not yes & {"LVH", "VCLVH"} else maybe).add("ISC_")
    elif down[0]:
        maybe |= {"STD_", "NST_", "ISC_"}
    elif deep:
        maybe |= {"ISC_", "NST_"}
    if deep:
        yes.add("INVT")
        maybe.add("NDT")
    elif slight:
        maybe |= {"INVT"}
        (maybe if down[0] else yes).add("NDT")
    if low >= 2:
        yes.add("LOWT")
        (maybe if deep or down[0] else yes).add("NDT")
    elif low:
        maybe.add("LOWT")
    maybe -= yes


def judge_axis(degrees: float, hidden: bool) -> tuple[str | None, set[str]]:
    """The axis class; or None and all classes, left open, if the axis is near a limit or ``hidden``."""
    degrees = degrees % 360 - 360 * (degrees % 360 > 210)  # from -150 to 210
    limits = (*LEFT_TYPE, 90, -105, -150)  # of left, normal and right; then of left and right to the north-west axis
    near = min(abs(degrees - limit) for limit in limits) < AXIS_MARGIN
    if hidden or near or degrees < -105 or LEFT_TYPE[0] <= degrees <= LEFT_TYPE[1]:
        return None, set(AXES)
    return AXES[1] if degrees < LEFT_TYPE[0] else AXES[0] if degrees <= 90 else AXES[2], set()

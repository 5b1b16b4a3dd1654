"""What no heart shows and no reader writes: findings and intervals that exclude each other.

A `Truth` with any of these is refused, so neither mode of the simulator can produce it.
"""

from collections.abc import Iterator
from typing import Protocol

from cardiolect.data_provider.ecgqa.findings import ABNORMAL, AXES, ECTOPIES, LBBB, NAMES, NORMAL, RBBB, RHYTHMS
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, WITHIN, range_of
from cardiolect.data_provider.ecgqa.scp_statements import EXCLUSIVE

SINUS, BRADYCARDIA, TACHYCARDIA, FIBRILLATION, FLUTTER = RHYTHMS
RATE_SLACK = 2.0  # bpm around 60 and 100, where readers disagree
WIDE_QRS_MS, SHORT_PR_MS, LONG_PR_MS, PR_SLACK_MS = 120.0, 110.0, 200.0, 10.0
P_ON_T_MS = 60.0  # by which P may begin before the end of the T wave before it
LONG_QTC_MS = 450.0
AXIS_DEGREES = dict(zip(AXES, ((-30, 90), (-150, -30), (90, 270)), strict=True))
FLUTTER_PER_MINUTE = (220.0, 350.0)
# Pairs of PTB-XL's codes that no simulated recording has: `EXCLUSIVE`, and infarcts that a wide QRS hides.
NOT_TOGETHER = (
    *EXCLUSIVE,
    *((wide, infarct) for wide in ("CLBBB", "PACE") for infarct in ("AMI", "ASMI", "IMI", "LMI")),
)


class Said(Protocol):
    """What a `truth.Truth` says, with its units; a varied one has PTB-XL's ``codes`` as well."""

    age: int
    heart_rate: float
    rhythm: str
    intervals: dict[str, float | None]
    ectopy: str | None
    first_degree_av_block: bool
    conduction: str | None
    axis: str | None
    axis_degrees: float | None
    left_ventricular_hypertrophy: bool
    low_voltage: bool
    infarction: str | None
    flutter_ratio: int | None

    @property
    def findings(self) -> tuple[str, ...]: ...


class ImplausibleError(ValueError):
    """A truth that contradicts itself."""


def contradictions(truth: Said) -> list[str]:
    """What a truth says that excludes each other, in words; empty if it is plausible."""
    return [*_rhythm(truth), *_intervals(truth), *_conduction(truth), *_findings(truth)]


def _rhythm(truth: Said) -> Iterator[str]:
    rate, rhythm = truth.heart_rate, truth.rhythm
    if rhythm == BRADYCARDIA and rate >= 60 + RATE_SLACK:
        yield f"sinus bradycardia at {rate:.0f}/min"
    if rhythm == TACHYCARDIA and rate <= 100 - RATE_SLACK:
        yield f"sinus tachycardia at {rate:.0f}/min"
    if rhythm == SINUS and not 60 - RATE_SLACK <= rate <= 100 + RATE_SLACK:
        yield f"sinus rhythm at {rate:.0f}/min"
    if rhythm.startswith("sinus") and rate > 100 and rate > 220 - truth.age:
        yield f"{rhythm} at {rate:.0f}/min at an age of {truth.age}"
    if not rhythm.startswith("sinus"):
        yield from (f"{rhythm} with a {name}" for name in ("p duration", "pr interval") if truth.intervals[name])
        if truth.first_degree_av_block:
            yield f"{rhythm} with first degree AV block"
        if truth.ectopy == ECTOPIES[0]:
            yield f"{rhythm} with {truth.ectopy}"
    if truth.flutter_ratio is not None:
        if rhythm != FLUTTER:
            yield f"{rhythm} with a conduction ratio of flutter"
        elif not FLUTTER_PER_MINUTE[0] <= rate * truth.flutter_ratio <= FLUTTER_PER_MINUTE[1]:
            yield f"flutter waves at {rate * truth.flutter_ratio:.0f}/min"


def _intervals(truth: Said) -> Iterator[str]:
    rr, p, pr, qrs, qt, qtc = (truth.intervals[name] for name in NORMAL_RANGES_MS)
    if rr is not None and abs(rr * truth.heart_rate / 60_000 - 1) > 0.03:
        yield f"an RR interval of {rr:.0f} ms at {truth.heart_rate:.0f}/min"
    if pr is not None:
        if p is not None and p >= pr:
            yield f"a P wave of {p:.0f} ms in a PR interval of {pr:.0f} ms"
        if truth.first_degree_av_block and pr <= LONG_PR_MS:
            yield f"first degree AV block with a PR interval of {pr:.0f} ms"
        if not truth.first_degree_av_block and pr > LONG_PR_MS + PR_SLACK_MS:
            yield f"a PR interval of {pr:.0f} ms without AV block"
    if qt is not None:
        if qt >= rr:
            yield f"a QT interval of {qt:.0f} ms in an RR interval of {rr:.0f} ms"
        if pr is not None and pr + qt > rr + P_ON_T_MS:
            yield f"PR and QT intervals of {pr:.0f} and {qt:.0f} ms in an RR interval of {rr:.0f} ms"
        if qrs is not None and qrs >= qt:
            yield f"a QRS of {qrs:.0f} ms in a QT interval of {qt:.0f} ms"
        if qtc is None or abs(qt / (rr / 1000) ** 0.5 / qtc - 1) > 0.03:
            yield f"a QTc of {qtc} ms for a QT interval of {qt:.0f} ms and an RR interval of {rr:.0f} ms"


def _conduction(truth: Said) -> Iterator[str]:
    qrs = truth.intervals["qrs duration"]
    if qrs is None:
        return
    if truth.conduction in (LBBB, RBBB) and qrs < WIDE_QRS_MS:
        yield f"{truth.conduction} with a QRS of {qrs:.0f} ms"
    pr = truth.intervals["pr interval"]
    if truth.conduction in (LBBB, RBBB) and pr is not None and pr < SHORT_PR_MS:
        yield f"{truth.conduction} with a PR interval of {pr:.0f} ms, which is pre-excitation"
    if truth.conduction is None and qrs >= WIDE_QRS_MS and truth.rhythm != NAMES["PACE"]:
        yield f"a QRS of {qrs:.0f} ms without a conduction disturbance"
    if truth.conduction == LBBB and truth.infarction:
        yield f"infarction in {truth.infarction} leads with {LBBB}"


def _findings(truth: Said) -> Iterator[str]:
    if truth.low_voltage and truth.left_ventricular_hypertrophy:
        yield "low voltage with left ventricular hypertrophy"
    if truth.axis is not None and truth.axis_degrees is not None:
        low, high = AXIS_DEGREES[truth.axis]
        degrees = truth.axis_degrees + 360 * (truth.axis == AXES[2] and truth.axis_degrees < 0)
        if not low <= degrees <= high:
            yield f"{truth.axis} at {truth.axis_degrees:.0f} degrees"
    codes = set(getattr(truth, "codes", ()))
    yield from (f"{one} with {other}" for one, other in NOT_TOGETHER if one in codes and other in codes)
    qtc = truth.intervals["qt corrected"]
    if "LNGQT" in codes and (qtc is None or qtc <= LONG_QTC_MS):
        yield f"a long QT interval with a QTc of {qtc} ms"
    findings = set(truth.findings)
    if NORMAL in findings:
        out = [name for name, value in truth.intervals.items() if value and range_of(name, value) != WITHIN]
        yield from (f"a normal ECG with its {name} out of range" for name in out)
        if ABNORMAL in findings:
            yield "an ECG both normal and abnormal"
        if truth.axis != AXES[0]:
            yield f"a normal ECG with the axis {truth.axis}"

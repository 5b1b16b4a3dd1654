"""Errors of the truth: the intervals, axis and voltages of a signal, measured by `ecgqa.intervals`, against it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.ecgqa.findings import ECTOPIES, LBBB, NAMES, RBBB
from cardiolect.data_provider.ecgqa.intervals import Intervals
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, WITHIN, range_of
from cardiolect.data_provider.simulator.truth import MARGINS_MS, Truth
from cardiolect.data_provider.simulator.varied.truth import VariedTruth

FLUTTER, FIBRILLATION, PACED = NAMES["AFLT"], NAMES["AFIB"], NAMES["PACE"]
FEWEST = 10  # recordings without which a bound is not judged
SLACK = 2.0  # standard deviations that a count may exceed what the bound allows, as few recordings vary


class Case(NamedTuple):
    truth: Truth
    found: Intervals


@dataclass(frozen=True)
class Bound:
    """A measure and what its error may be: the median within +-``median``, the 10th and 90th percentile +-``tails``.

    error: measured minus true; None for recordings in which this cannot be measured. The bounds allow for the rules of
    the delineation: the tangent at T ends before the wave does, F and f waves add to all that lies under them.
    """

    name: str
    unit: str
    median: float
    tails: float
    error: Callable[[Case], float | None]


@dataclass(frozen=True)
class Share:
    """A label and how often the signal must agree with it, as a share of the recordings for which it answers."""

    name: str
    least: float
    agrees: Callable[[Case], bool | None]


def is_plain(truth: Truth) -> bool:
    """Without noise and extrasystoles, under which a median beat is not the truth's."""
    return not truth.noise and not truth.ectopy


def may_breathe(truth: Truth) -> bool:
    """Whether sinus arrhythmia is stated or left open."""
    return isinstance(truth, VariedTruth) and "SARRH" in (*truth.codes, *truth.open)


def _sinus(truth: Truth) -> bool:
    return truth.rhythm.startswith("sinus")


def _interval(feature: str, value: Callable[[Intervals], float]) -> Callable[[Case], float | None]:
    def error(case: Case) -> float | None:
        true = case.truth.intervals[feature]
        return value(case.found) - true if true is not None and is_plain(case.truth) else None

    return error


def _rate(fibrillating: bool) -> Callable[[Case], float | None]:
    def error(case: Case) -> float | None:
        truth, found = case
        if "electrodes problems" in truth.noise or (truth.rhythm == FIBRILLATION) != fibrillating:
            return None
        if fibrillating:
            return found.mean_rr - truth.intervals["rr interval"] if not truth.ectopy else None
        # In bigeminy no two beats of the basic rhythm follow each other.
        return found.rr - truth.intervals["rr interval"] if not truth.ectopy or found.others == 0 else None

    return error


def _axis(case: Case) -> float | None:
    truth, found = case
    if truth.axis_degrees is None or not is_plain(truth) or truth.rhythm == FLUTTER or truth.low_voltage:
        return None
    return (found.axis - truth.axis_degrees + 180) % 360 - 180


def _measure(name: str) -> Callable[[Case], float | None]:
    def error(case: Case) -> float | None:
        known = isinstance(case.truth, VariedTruth) and is_plain(case.truth) and case.truth.rhythm != FLUTTER
        return getattr(case.found, name) / case.truth.measures[name] * 100 - 100 if known else None

    return error


BOUNDS = (
    Bound("RR interval, all but fibrillation", "ms", 2, 10, _rate(False)),
    Bound("RR interval, fibrillation (mean)", "ms", 35, 90, _rate(True)),
    Bound("P duration", "ms", 8, 40, _interval("p duration", lambda found: found.p)),
    Bound("PR interval", "ms", 8, 35, _interval("pr interval", lambda found: found.pr)),
    Bound("QRS duration", "ms", 8, 25, _interval("qrs duration", lambda found: found.qrs)),
    Bound("QT interval", "ms", 12, 35, _interval("qt interval", lambda found: found.qt)),
    Bound("QT corrected", "ms", 15, 45, _interval("qt corrected", lambda found: found.qtc)),
    Bound("axis", "degrees", 3, 15, _axis),
    # Recorders and the delineation low-pass the signal, which lowers peaks.
    Bound("largest QRS of a limb lead", "%", 12, 25, _measure("limb")),
    Bound("Sokolow-Lyon voltage", "%", 12, 25, _measure("sokolow")),
)


def _low_voltage(case: Case) -> bool | None:
    truth, found = case
    if not is_plain(truth) or truth.rhythm == FLUTTER or (isinstance(truth, VariedTruth) and "LVOLT" in truth.open):
        return None
    return found.limb < 0.55 if truth.low_voltage else found.limb > 0.46


def _high_voltage(case: Case) -> bool | None:
    truth, found = case
    if not is_plain(truth) or truth.conduction == LBBB or truth.rhythm in (FLUTTER, PACED):
        return None
    if not isinstance(truth, VariedTruth):
        return (found.sokolow > 3.5) == truth.left_ventricular_hypertrophy
    return None if "VCLVH" in truth.open else (found.sokolow > 3.25) == ("VCLVH" in truth.codes)


def _wide(case: Case) -> bool | None:
    truth, found = case
    if not is_plain(truth):
        return None
    wide = truth.conduction in (LBBB, RBBB) or truth.rhythm == PACED
    return found.qrs >= 112 if wide else found.qrs < 145 if truth.conduction else found.qrs < 125


def _irregular(case: Case) -> bool | None:
    truth, found = case
    if truth.ectopy or "electrodes problems" in truth.noise or truth.rhythm == FLUTTER:
        return None
    if truth.rhythm == FIBRILLATION:
        return found.rr_spread > 0.05
    return None if may_breathe(truth) else found.rr_spread < 0.10


def _rate_class(case: Case) -> bool | None:
    truth, found = case
    if not _sinus(truth) or truth.noise or truth.ectopy:
        return None
    per_minute = 60_000 / found.rr
    low, high = {"sinus bradycardia": (0, 61), "sinus tachycardia": (99, 200)}.get(truth.rhythm, (57, 103))
    return low <= per_minute <= high


def _p_waves(case: Case) -> bool | None:
    """A wave before QRS that keeps its shape and place in sinus rhythm, none in fibrillation."""
    truth, found = case
    if not is_plain(truth) or truth.rhythm in (FLUTTER, PACED):
        return None
    constant = bool(found.p_size >= 3.0)
    return constant == _sinus(truth)


def _ventricular(case: Case) -> bool | None:
    truth, found = case
    if truth.noise or truth.ectopy == ECTOPIES[0]:
        return None
    return (found.others > 0) == (truth.ectopy == ECTOPIES[1])


def _ranges(case: Case) -> bool | None:
    """All ranges that questions ask about, but for values near an end as measured."""
    truth, found = case
    if not is_plain(truth) or not _sinus(truth):
        return None
    values = {"rr interval": found.rr, "qt interval": found.qt, "qt corrected": found.qtc, "qrs duration": found.qrs}
    judged = []
    for feature, value in values.items():
        stated = truth.range_of(feature)
        near = min(abs(value - end) for end in NORMAL_RANGES_MS[feature]) < MARGINS_MS[feature]
        if stated is not None and not near and not np.isnan(value):
            judged.append((range_of(feature, value) == WITHIN) == (stated == WITHIN))
    return all(judged) if judged else None


SHARES = (
    Share("rate of the sinus rhythms", 0.97, _rate_class),
    Share("irregular in fibrillation, else regular", 0.93, _irregular),
    Share("P waves in sinus rhythms only", 0.85, _p_waves),
    Share("beats of another shape with ventricular extrasystoles only", 0.85, _ventricular),
    Share("wide QRS with a blocked bundle only", 0.95, _wide),
    Share("low voltage", 0.95, _low_voltage),
    Share("high voltage", 0.93, _high_voltage),
    Share("intervals in the range that answers give", 0.88, _ranges),
)


def within(errors: np.ndarray, median: float, tails: float) -> bool:
    """Whether errors ``(n,)`` are consistent with a median within +-``median`` and 80 % of them within +-``tails``."""
    half, outer = len(errors) * 0.5, len(errors) * 0.2
    one_side = max((errors > median).sum(), (errors < -median).sum())
    return bool(
        one_side <= half + SLACK * (half * 0.5) ** 0.5
        and (np.abs(errors) > tails).sum() <= outer + SLACK * (outer * 0.8) ** 0.5
    )


def enough(share: float, least: float, recordings: float) -> bool:
    """Whether a share of this many recordings is consistent with ``least`` or more."""
    return share >= least - SLACK * (least * (1 - least) / max(recordings, 1)) ** 0.5


def judge_bounds(cases: list[Case]) -> Iterator[tuple[str, bool]]:
    """A row of the table for each measure, and whether it is within its bounds."""
    for bound in BOUNDS:
        errors = [e for case in cases if (e := bound.error(case)) is not None]
        known = np.array([e for e in errors if not np.isnan(e)])
        if len(known) < FEWEST:
            if errors:
                yield f"| {bound.name} | {len(known)} | too few | | |", True
            continue
        low, middle, high = np.quantile(known, [0.1, 0.5, 0.9])
        good = within(known, bound.median, bound.tails)
        yield (
            (
                f"| {bound.name} | {len(known)} | {middle:+.1f} {bound.unit} | {low:+.1f} to {high:+.1f} | "
                f"+-{bound.median:g}, +-{bound.tails:g}{'' if good else ': OUT OF BOUNDS'} |"
            ),
            good,
        )


def judge_shares(cases: list[Case]) -> Iterator[tuple[str, bool]]:
    """The same for the labels."""
    for share in SHARES:
        judged = [agrees for case in cases if (agrees := share.agrees(case)) is not None]
        if len(judged) < FEWEST:
            yield f"| {share.name} | {len(judged)} | too few | | |", True
            continue
        found = float(np.mean(judged))
        good = enough(found, share.least, len(judged))
        yield (
            (
                f"| {share.name} | {len(judged)} | {100 * found:.0f} % | | "
                f"at least {100 * share.least:.0f} %{'' if good else ': OUT OF BOUNDS'} |"
            ),
            good,
        )

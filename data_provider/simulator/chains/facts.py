"""What is known of one simulated recording: its beats with the times of their waves, and measured values."""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cardiolect.data_provider.simulator.beat_shapes import BEFORE, FS
from cardiolect.data_provider.simulator.chains.beat_waves import LeadWaves, lead_waves
from cardiolect.data_provider.simulator.rhythm import SECONDS
from cardiolect.data_provider.simulator.varied.heart import SINUS
from cardiolect.data_provider.simulator.varied.render import Heart

P, QRS, T, ST_T = "P", "QRS", "T", "ST-T"
T_FROM = 0.15  # share of the peak from which T counts
CLOSEST = 0.33  # seconds between beats, below which the second has no P wave (as `varied.render` draws them)

_OPTION = re.compile(
    r"(?:\[(?P<low>-?[\d.]+) ?(?:ms|mV|bpm|degrees) - (?P<high>-?[\d.]+)|Below (?P<below>-?[\d.]+)"
    r"|Above (?P<above>-?[\d.]+)) ?(?P<unit>ms|mV|bpm|degrees)\]?"
)
_MARGINS = {"ms": 1.0, "mV": 0.02, "bpm": 1.0, "degrees": 2.0}  # from the end of a range, within which it stays open


@dataclass(frozen=True)
class BeatTimes:
    """One beat in the recording. size: by how much it is scaled. waves: seconds from the start, those inside only."""

    kind: str
    size: float
    waves: dict[str, tuple[float, float]]


class Facts:
    """A simulated heart, measured. leads: waves of the normal beat."""

    def __init__(self, heart: Heart):
        self.heart, self.truth, self.condition = heart, heart.truth, heart.condition
        self.qt = self.condition.qtc * (60 / self.condition.rate) ** 0.5
        self.leads: dict[str, LeadWaves] = lead_waves(heart.shapes.curves["normal"], self.condition.qrs, self.qt)

    @cached_property
    def beats(self) -> list[BeatTimes]:
        """The beats whose QRS is inside, in order."""
        found, before = [], -9.0
        for beat, size in zip(self.heart.beats, self.heart.sizes, strict=True):
            waves = self._waves(beat.kind, beat.onset, beat.onset - before)
            inside = {name: (a, b) for name, (a, b) in waves.items() if a >= 0 and b <= SECONDS}
            if QRS in inside:
                found.append(BeatTimes(beat.kind, size, inside))
            before = beat.onset
        return found

    def qrs_seconds(self, kind: str) -> float:
        return self.heart.shapes.ventricular_qrs if kind == "ventricular" else self.condition.qrs

    def _waves(self, kind: str, onset: float, gap: float) -> dict[str, tuple[float, float]]:
        waves = {QRS: (onset, onset + self.qrs_seconds(kind))}
        if kind == "ventricular":
            return waves
        if self.condition.rhythm == SINUS and kind == "normal" and gap > CLOSEST:
            waves[P] = (onset - self.condition.pr, onset - self.condition.pr + self.condition.p)
        start = onset + self._t_start
        return {**waves, T: (start, onset + self.qt), ST_T: (onset + self.condition.qrs, onset + self.qt)}

    @cached_property
    def _t_start(self) -> float:
        """Seconds from the QRS onset, where the sum of all leads has `T_FROM` of its peak."""
        curve = self.heart.shapes.curves["normal"]
        onset, after = round(BEFORE * FS), self.condition.qrs + 0.04
        first, last = onset + round(after * FS), onset + round(min(self.qt, 0.78) * FS)
        size = np.abs(curve[:, first:last] - curve[:, onset : onset + 1]).sum(axis=0)
        peak = int(size.argmax())
        low = np.flatnonzero(size[:peak] < T_FROM * size[peak])
        return after + (int(low[-1]) if len(low) else 0) / FS


def option_of(value: float, options: list[str]) -> str | None:
    """The range that holds ``value`` well inside; None if it is near an end or in no range."""
    for option in options:
        found = _OPTION.fullmatch(option)
        if found is None:
            raise ValueError(f"{option} is not a range")
        low, high = (found["low"] or found["above"], found["high"] or found["below"])
        margin = _MARGINS[found["unit"]]
        if (low is None or value >= float(low) + margin) and (high is None or value <= float(high) - margin):
            return option
    return None

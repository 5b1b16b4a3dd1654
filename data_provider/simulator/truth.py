"""The ground truth of a simulated ECG, in the vocabulary of ECG-QA.

Infarction means acute injury, that is ST elevation in the leads of the territory.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from cardiolect.data_provider.ecgqa.findings import (
    ABNORMAL,
    AV_BLOCK,
    FINDINGS,
    INVERTED_T,
    LONG_QT,
    LOW_VOLTAGE,
    LVH,
    NORMAL,
    UNREMARKABLE,
)
from cardiolect.data_provider.ecgqa.ranges import TEXTBOOK_RANGES_MS, WITHIN, range_of
from cardiolect.data_provider.simulator.plausibility import ImplausibleError, contradictions

# Drawn values keep this distance from the ends of their normal range, where readers disagree.
MARGINS_MS: dict[str, float] = {
    "rr interval": 30,
    "p duration": 10,
    "pr interval": 15,
    "qrs duration": 10,
    "qt interval": 9,
    "qt corrected": 15,
}
LONG_QTC_MS = 480.0
UNCORRECTED = "qt interval"  # what is normal depends on the rate: reports state the corrected one only


@dataclass(frozen=True)
class Truth:
    """The ground truth of one recording. Raises `ImplausibleError` if it contradicts itself.

    record_id: 1, 2, ... within the corpus (PTB-XL's ecg_id).
    sex: 0 male, 1 female, as in PTB-XL.
    heart_rate: beats per minute of the basic rhythm, without extrasystoles.
    axis, axis_degrees: direction of the net QRS area in the frontal plane; None in right bundle branch block, whose
        late forces make the axis of the whole QRS meaningless.
    infarction, t_inversion: a territory of `TERRITORIES` or None.
    noise: kind of noise (`NOISES`) -> leads that show it.
    intervals: name of `NORMAL_RANGES_MS` -> milliseconds, None where undefined (P and PR in atrial fibrillation and
        flutter; QT there too, since fibrillatory waves hide the end of T and RR varies).
    """

    record_id: int
    patient_id: int
    fold: int
    age: int
    sex: int
    height: int
    weight: int
    heart_rate: float
    rhythm: str
    intervals: dict[str, float | None]
    ectopy: str | None = None
    first_degree_av_block: bool = False
    conduction: str | None = None
    axis: str | None = None
    axis_degrees: float | None = None
    left_ventricular_hypertrophy: bool = False
    low_voltage: bool = False
    infarction: str | None = None
    t_inversion: str | None = None
    flutter_ratio: int | None = None
    noise: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if found := contradictions(self):
            raise ImplausibleError(f"record {self.record_id}: {'; '.join(found)}")

    @property
    def findings(self) -> tuple[str, ...]:
        """The finding keys of this ECG, a subset of `FINDINGS` in its order."""
        qtc = self.intervals["qt corrected"]
        present = {
            self.rhythm,
            self.ectopy,
            self.conduction,
            self.axis,
            *self.noise,
            AV_BLOCK if self.first_degree_av_block else None,
            LVH if self.left_ventricular_hypertrophy else None,
            LOW_VOLTAGE if self.low_voltage else None,
            f"myocardial infarction in {self.infarction} leads" if self.infarction else None,
            INVERTED_T if self.t_inversion else None,
            LONG_QT if qtc is not None and qtc > LONG_QTC_MS else None,
        } - {None}
        present |= self._conclusion(bool(present - UNREMARKABLE))
        return tuple(f for f in FINDINGS if f in present)

    def _conclusion(self, abnormal: bool, normal: bool = True) -> set[str]:
        """Abnormal with an abnormal finding or interval; normal only with all intervals in range; else neither."""
        if abnormal or self.reported_ranges():
            return {ABNORMAL}
        inside = all(value is None or range_of(name, value) == WITHIN for name, value in self.intervals.items())
        return {NORMAL} if normal and inside else set()

    def range_of(self, feature: str) -> str | None:
        """The range of an interval, one of `RANGES`; None if the interval is undefined."""
        value = self.intervals[feature]
        return None if value is None else range_of(feature, value)

    def reported_ranges(self) -> dict[str, str]:
        """Interval -> its range, for those that a report states: out of ECG-QA's range and of the textbook's.

        What is out of one of them only is asked about with ECG-QA's range, but no reader would report it; nor a QT
        interval that is not corrected for the rate.
        """
        found = {}
        for feature, value in self.intervals.items():
            place = self.range_of(feature)
            if place in (None, WITHIN) or feature == UNCORRECTED:
                continue
            if place == range_of(feature, value, TEXTBOOK_RANGES_MS):
                found[feature] = place
        return found

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "findings": list(self.findings)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Truth":
        """The inverse of `to_json`."""
        return cls(**{key: value for key, value in row.items() if key != "findings"})

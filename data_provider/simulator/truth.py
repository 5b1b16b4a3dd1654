"""The ground truth of a simulated ECG, in the vocabulary of ECG-QA.

Names are those of ECG-QA's ``answers_for_each_template.csv`` (Oh et al., NeurIPS 2023) if it has one. Infarction means
acute injury: ST elevation in the leads of the territory.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from cardiolect.data_provider.ecgqa.ranges import range_of

RHYTHMS = ("sinus rhythm", "sinus bradycardia", "sinus tachycardia", "atrial fibrillation", "atrial flutter")
ECTOPIES = ("supraventricular extrasystoles", "ventricular extrasystoles")
AV_BLOCK = "first degree av block"
LBBB = "complete left bundle branch block"
RBBB = "complete right bundle branch block"
AXES = ("normal heart axis", "left axis deviation", "right axis deviation")
LVH = "left ventricular hypertrophy"
LOW_VOLTAGE = "low qrs voltages in the frontal and horizontal leads"
TERRITORIES = ("anterior", "inferior", "lateral")
INVERTED_T = "inverted t-waves"
LONG_QT = "long qt-interval"
NORMAL, ABNORMAL = "normal ecg", "abnormal ecg"
NOISES = ("baseline drift", "static noise", "burst noise", "electrodes problems")

# The order of findings in lists, reports and answers.
FINDINGS = (
    *RHYTHMS,
    *ECTOPIES,
    AV_BLOCK,
    LBBB,
    RBBB,
    *AXES,
    LVH,
    LOW_VOLTAGE,
    *(f"myocardial infarction in {t} leads" for t in TERRITORIES),
    INVERTED_T,
    LONG_QT,
    NORMAL,
    ABNORMAL,
    *NOISES,
)
UNREMARKABLE = frozenset({"sinus rhythm", "normal heart axis", *NOISES})

# Drawn values keep this distance from the ends of their normal range, where readers disagree.
MARGINS_MS: dict[str, float] = {
    "rr interval": 30,
    "p duration": 14,
    "pr interval": 15,
    "qrs duration": 10,
    "qt interval": 18,
    "qt corrected": 25,
}
LONG_QTC_MS = 480.0


@dataclass(frozen=True)
class Truth:
    """The ground truth of one recording.

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
        present.add(ABNORMAL if present - UNREMARKABLE else NORMAL)
        return tuple(f for f in FINDINGS if f in present)

    def range_of(self, feature: str) -> str | None:
        """The range of an interval, one of `RANGES`; None if the interval is undefined."""
        value = self.intervals[feature]
        return None if value is None else range_of(feature, value)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "findings": list(self.findings)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> "Truth":
        """The inverse of `to_json`."""
        return cls(**{key: value for key, value in row.items() if key != "findings"})

"""One beat of each kind as curves of eight leads, scaled so that the voltage and axis labels hold."""

from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.ecgqa.findings import LBBB, RBBB
from cardiolect.data_provider.simulator import waves
from cardiolect.data_provider.simulator.leads import frontal, frontal_axis, horizontal, twelve
from cardiolect.data_provider.simulator.patients import Patient
from cardiolect.data_provider.simulator.truth import Truth

FS = 500
BEFORE = 0.5  # seconds of a beat's curve before its QRS onset, which leaves room for P
AFTER = 0.8  # seconds after it

# Sokolow-Lyon (S in V1 + larger R of V5, V6; hypertrophy above 3.5 mV) and the largest peak-to-peak QRS of a limb lead
# (low voltage below 0.5 mV), in mV, drawn with a margin to their thresholds.
SOKOLOW_MV = {"normal": (1.7, 3.0), "high": (3.9, 5.2), "low": (0.8, 1.3)}
LIMB_MV = {"normal": (0.75, 1.7), "high": (1.1, 2.2), "low": (0.25, 0.42)}


@dataclass(frozen=True)
class BeatShapes:
    """The curves of one recording's beats.

    curves: kind of `rhythm.Beat` -> float32 ``(8, T)`` mV of I, II, V1..V6, from `BEFORE` seconds before the QRS onset
    to `AFTER` seconds after it.
    """

    curves: dict[str, np.ndarray]


def beat_shapes(truth: Truth, patient: Patient, rng: np.random.Generator) -> BeatShapes:
    t = np.arange(-int(BEFORE * FS), int(AFTER * FS)) / FS
    gain = np.array(patient.chest_gain)
    qrs_seconds = _ms(truth, "qrs duration") / 1000
    qt = _ms(truth, "qt interval") / 1000 if truth.intervals["qt interval"] else _hidden_qt(truth, rng)
    complexes = _qrs(t, truth, patient, gain, qrs_seconds, rng)
    repolarisation = _st_t(t, truth, patient, gain, qrs_seconds, qt, rng)
    conducted = complexes + repolarisation
    curves = {"normal": conducted}
    if truth.intervals["pr interval"] is not None:
        pr, p = _ms(truth, "pr interval") / 1000, _ms(truth, "p duration") / 1000
        height = rng.uniform(0.85, 1.4)
        curves["normal"] = conducted + _p_wave(t, gain, -pr, p, height, 0.0)
        if truth.ectopy is not None:
            # An atrial focus outside the sinus node gives P another direction.
            curves["atrial"] = conducted + _p_wave(t, gain, -min(pr, 0.2), p, height, rng.choice([-45.0, 35.0]))
    if truth.ectopy is not None:
        curves["ventricular"] = _ventricular(t, gain, rng)
    return BeatShapes({kind: curve.astype(np.float32) for kind, curve in curves.items()})


def _ms(truth: Truth, name: str) -> float:
    value = truth.intervals[name]
    assert value is not None
    return value


def _hidden_qt(truth: Truth, rng: np.random.Generator) -> float:
    """QT in seconds if it is not a label; shorter than Bazett's at slow rates, because RR varies in fibrillation."""
    return float(rng.uniform(0.38, 0.42) * (60 / truth.heart_rate) ** 0.45)


def _project(curves: np.ndarray, table: np.ndarray, turn_h: float, turn_f: float, gain: np.ndarray) -> np.ndarray:
    """Curves ``(K, T)`` of a wave table -> eight leads ``(8, T)``."""
    limb = frontal(table[:, 4], table[:, 5] + turn_f)
    chest = horizontal(table[:, 2], table[:, 3] + turn_h, gain)
    return np.concatenate([limb, chest], axis=1).T @ curves


def _p_wave(t: np.ndarray, gain: np.ndarray, start: float, duration: float, height: float, turn: float) -> np.ndarray:
    curves = height * waves.bells(t, waves.P_WAVE, start, duration)
    return _project(curves, waves.P_WAVE, turn, turn, gain)


def _qrs(
    t: np.ndarray, truth: Truth, patient: Patient, gain: np.ndarray, seconds: float, rng: np.random.Generator
) -> np.ndarray:
    table = {None: waves.QRS_NORMAL, LBBB: waves.QRS_LBBB, RBBB: waves.QRS_RBBB}[truth.conduction].copy()
    table[:, [2, 4]] *= rng.uniform(0.85, 1.15, (len(table), 2))
    table[0, 4] *= rng.uniform(0.2, 1.2)
    curves = waves.bells(t, table, 0.0, seconds)
    if truth.conduction == RBBB and truth.left_ventricular_hypertrophy:
        table[-1, 2] *= 0.65  # only the left ventricle is enlarged; the scaling below would enlarge the right too
    if truth.axis_degrees is None:
        turn = rng.uniform(-5, 60)
        table[-1, 5] = rng.uniform(165, 200) - turn  # the late vector points right for any main axis
    else:
        area = (frontal(table[:, 4], table[:, 5]) * table[:, 1:2]).sum(axis=0)
        turn = truth.axis_degrees - frontal_axis(*area)
    rotation = patient.rotation * (1.0 if truth.conduction is None else 0.5)
    eight = _project(curves, table, rotation, turn, gain)
    # Scale vectors to the drawn voltages, so that hypertrophy and low voltage hold exactly.
    eight[:2] *= rng.uniform(*LIMB_MV[patient.voltage]) / np.ptp(twelve(eight)[:6], axis=1).max()
    sokolow = max(-eight[2].min(), 0.0) + eight[6:].max()
    target = rng.uniform(*SOKOLOW_MV[patient.voltage])
    eight[2:] *= target / sokolow
    return eight


def _st_t(
    t: np.ndarray, truth: Truth, patient: Patient, gain: np.ndarray, qrs: float, qt: float, rng: np.random.Generator
) -> np.ndarray:
    size = {"normal": 1.0, "high": 1.1, "low": 0.5}[patient.voltage] * patient.t_height * rng.uniform(0.9, 1.1)
    f_size, f_deg, h_size, h_deg = 0.27, patient.t_frontal, 0.33, patient.t_horizontal
    st_limb, st_chest = np.zeros(2), np.zeros(6)
    if truth.conduction == LBBB:
        # Repolarisation opposes depolarisation.
        f_size, f_deg, h_size, h_deg = 0.27, (truth.axis_degrees or 0.0) + 180, 0.42, 132.0
        st_limb = frontal(np.array([0.06]), np.array([f_deg]))[0]
        st_chest = horizontal(np.array([0.12]), np.array([h_deg]), gain)[0]
    elif truth.conduction == RBBB:
        f_deg, h_deg = 40.0, -8.0
    if truth.t_inversion == "anterior":
        f_size, f_deg, h_size, h_deg = 0.12, 48.0, 0.34, -122.0
    elif truth.t_inversion == "inferior":
        f_size, f_deg = 0.30, -68.0
    elif truth.t_inversion == "lateral":
        f_size, f_deg, h_size, h_deg = 0.27, 152.0, 0.30, 140.0
    injury = rng.uniform(0.75, 1.3) * (0.7 if truth.low_voltage else 1.0)
    t_chest = horizontal(np.array([h_size * size]), np.array([h_deg]), gain)[0]
    if truth.infarction == "anterior":
        st_chest = st_chest + injury * np.array([0.13, 0.34, 0.38, 0.28, 0.08, 0.0]) * gain
        t_chest = t_chest + injury * np.array([0.12, 0.25, 0.25, 0.15, 0.0, 0.0])
        f_deg, f_size = 45.0, 0.2
    elif truth.infarction == "inferior":
        st_limb = st_limb + frontal(np.array([0.30 * injury]), np.array([rng.uniform(98, 112)]))[0]
        st_chest = st_chest - 0.06 * injury * np.array([0.5, 1.0, 1.0, 0.4, 0.0, 0.0])
        f_deg = 68.0
    elif truth.infarction == "lateral":
        st_limb = st_limb + frontal(np.array([0.27 * injury]), np.array([rng.uniform(-28, -12)]))[0]
        st_chest = st_chest + injury * np.array([-0.08, -0.06, 0.0, 0.06, 0.22, 0.25]) * gain
        f_deg = 15.0
    t_limb = frontal(np.array([f_size * size]), np.array([f_deg]))[0]
    curves = np.stack([waves.t_curve(t, qt), waves.st_curve(t, qrs, qt)])
    return np.concatenate([np.stack([t_limb, st_limb]), np.stack([t_chest, st_chest])], axis=1).T @ curves


def _ventricular(t: np.ndarray, gain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A wide beat from one focus, left (upright V1) or right (deep V1) ventricle, with opposite T."""
    from_left = rng.random() < 0.5
    turn_h = rng.uniform(95, 125) if from_left else rng.uniform(-75, -45)
    turn_f = rng.choice([rng.uniform(70, 110), rng.uniform(-100, -55)])
    seconds = rng.uniform(0.145, 0.175)
    size = rng.uniform(0.85, 1.25)
    qrs = _project(waves.bells(t, waves.QRS_VENTRICULAR, 0.0, seconds), waves.QRS_VENTRICULAR, turn_h, turn_f, gain)
    curve = waves.t_curve(t, rng.uniform(0.40, 0.44))
    st = waves.st_curve(t, seconds, 0.42)
    limb = frontal(np.array([0.45, 0.12]), np.array([turn_f + 180] * 2))
    chest = horizontal(np.array([0.48, 0.14]), np.array([turn_h + 180] * 2), gain)
    return size * (qrs + np.concatenate([limb, chest], axis=1).T @ np.stack([curve, st]))

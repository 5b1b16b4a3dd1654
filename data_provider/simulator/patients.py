"""Simulated patients: the traits that all recordings of one person share."""

from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.ecgqa.findings import AXES

FOLDS = 10
PATIENT_STREAM, RECORD_STREAM, PLAN_STREAM = 0, 1, 2


@dataclass(frozen=True)
class Patient:
    """One person.

    axis_degrees: frontal QRS axis, well inside its class (normal 4..90, left -90..-30, right 90..180).
    voltage: "normal", "high" (left ventricular hypertrophy) or "low".
    chest_gain: factors of V1..V6, the effect of electrode position and chest wall.
    rotation: degrees added to all horizontal QRS directions; positive is forward, with an earlier R/S transition.
    t_frontal, t_horizontal: directions of the upright T wave in degrees.
    """

    patient_id: int
    fold: int
    age: int
    sex: int
    height: int
    weight: int
    axis: str
    axis_degrees: float
    voltage: str
    chest_gain: tuple[float, ...]
    rotation: float
    t_frontal: float
    t_horizontal: float
    t_height: float


def stream(seed: int, kind: int, index: int) -> np.random.Generator:
    """The random numbers of one patient or record: they depend on its key alone, not on the order of work."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(kind, index))))


def plan_patients(seed: int, records: int) -> tuple[np.ndarray, np.ndarray]:
    """Plan how often each patient is recorded.

    Returns:
        int ``(records,)``, the patient index of each record (1 to 3 adjacent records per patient), and int
        ``(patients,)``, the fold 1..10 of each patient.
    """
    rng = stream(seed, PLAN_STREAM, 0)
    counts = rng.choice([1, 2, 3], size=records, p=[0.6, 0.25, 0.15])
    owner = np.repeat(np.arange(records), counts)[:records]
    patients = int(owner[-1]) + 1
    folds = np.concatenate([rng.permutation(FOLDS) for _ in range(-(-patients // FOLDS))])[:patients] + 1
    return owner, folds


def draw_patient(seed: int, index: int, fold: int) -> Patient:
    rng = stream(seed, PATIENT_STREAM, index)
    sex = int(rng.integers(2))
    height = int(np.clip(rng.normal(176 - 12 * sex, 7), 145, 205))
    axis = AXES[int(rng.choice(3, p=[0.62, 0.20, 0.18]))]
    low, high = dict(zip(AXES, ((12, 78), (-75, -42), (102, 150)), strict=True))[axis]
    return Patient(
        patient_id=10001 + index,
        fold=fold,
        age=int(np.clip(rng.normal(60, 16), 18, 89)),
        sex=sex,
        height=height,
        weight=int(np.clip(rng.normal(25.5, 3.5), 17, 42) * (height / 100) ** 2),
        axis=axis,
        axis_degrees=float(rng.uniform(low, high)),
        voltage=str(rng.choice(["normal", "high", "low"], p=[0.70, 0.16, 0.14])),
        chest_gain=tuple(float(g) for g in rng.uniform(0.82, 1.18, 6)),
        rotation=float(rng.uniform(-12, 14)),
        t_frontal=float(rng.uniform(22, 62)),
        t_horizontal=float(rng.uniform(18, 42)),
        t_height=float(rng.uniform(0.8, 1.25)),
    )

"""Simulates a varied recording from heart to recorder, and measures its truth on the way."""

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.ecgqa.findings import ECTOPIES, RBBB, TERRITORIES
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.beat_shapes import AFTER, BEFORE, FS
from cardiolect.data_provider.simulator.leads import twelve
from cardiolect.data_provider.simulator.patients import RECORD_STREAM, Patient, stream
from cardiolect.data_provider.simulator.plausibility import ImplausibleError
from cardiolect.data_provider.simulator.render import SAMPLES
from cardiolect.data_provider.simulator.rhythm import SECONDS, Beat
from cardiolect.data_provider.simulator.varied import noise as disturbance
from cardiolect.data_provider.simulator.varied.atria import fibrillation, flutter
from cardiolect.data_provider.simulator.varied.beat import Beats, draw_beats
from cardiolect.data_provider.simulator.varied.heart import (
    FIBRILLATION,
    FLUTTER,
    PACED,
    SINUS,
    Anatomy,
    Condition,
    draw_anatomy,
    draw_condition,
)
from cardiolect.data_provider.simulator.varied.measure import measure
from cardiolect.data_provider.simulator.varied.rhythm import draw_rhythm, flutter_cycle
from cardiolect.data_provider.simulator.varied.truth import VariedTruth, judge, judge_axis

ANATOMY_STREAM = 3
BURSTS, LOOSE = 0.05, 0.03  # shares of recordings


class Heart(NamedTuple):
    """A recording before noise and recorder.

    truth, condition, shapes: of the heart. beats: all that touch the recording. sizes: by how much the breath scales
    each beat. eight: float64 ``(8, 5000)`` mV of I, II, V1..V6 at 500 Hz.
    """

    truth: VariedTruth
    condition: Condition
    beats: list[Beat]
    sizes: list[float]
    shapes: Beats
    eight: np.ndarray


def simulate_varied(
    seed: int, index: int, patient: Patient, library: np.ndarray | None = None
) -> tuple[VariedTruth, np.ndarray]:
    """Simulate record number ``index`` of the varied corpus with this seed; library: see `real_noise.noise_library`.

    Returns:
        its truth, and the signal, float32 ``(12, 5000)`` in mV at 500 Hz, leads in the order of LEADS.
    """
    heart, rng = _heart(seed, index, patient)
    truth, eight = heart.truth, heart.eight
    added = disturbance.floor(library, rng)
    recorded = disturbance.record_through(np.concatenate([eight + added, added]), FS, rng)
    eight = recorded[:8]
    named, left_open = disturbance.name_noise(recorded[8:])  # what the recorder leaves of it
    if rng.random() < BURSTS:
        eight = eight + disturbance.bursts(rng)
        named["burst noise"] = list(LEADS)
    if rng.random() < LOOSE:
        eight, named["electrodes problems"] = disturbance.loose(eight, rng)
    truth = replace(truth, noise=named, open=tuple(sorted({*truth.open, *left_open})))
    return truth, twelve(eight).astype(np.float32)


def clean_varied(seed: int, index: int, patient: Patient) -> tuple[VariedTruth, np.ndarray]:
    """Like `simulate_varied`, but in float64 and without noise and recorder, so that labels can be measured."""
    heart = varied_heart(seed, index, patient)
    return heart.truth, twelve(heart.eight)


def varied_heart(seed: int, index: int, patient: Patient) -> Heart:
    """The heart of record number ``index``: what `simulate_varied` records, with its beats and their shapes."""
    return _heart(seed, index, patient)[0]


def _heart(seed: int, index: int, patient: Patient) -> tuple[Heart, np.random.Generator]:
    rng = stream(seed, RECORD_STREAM, index)
    anatomy = draw_anatomy(stream(seed, ANATOMY_STREAM, patient.patient_id))
    while True:
        with suppress(ImplausibleError):  # a heart that contradicts itself is drawn again
            return _draw(index, patient, anatomy, rng), rng


def _draw(index: int, patient: Patient, anatomy: Anatomy, rng: np.random.Generator) -> Heart:
    condition = draw_condition(rng, anatomy, patient.age)
    ectopy = None
    if rng.random() < 0.2 and condition.rhythm in (SINUS, FIBRILLATION) and condition.rate < 125:
        ectopy = "ventricular" if condition.rhythm == FIBRILLATION or rng.random() < 0.5 else "atrial"
    beats = draw_rhythm(condition, ectopy, rng)
    if not any(b.kind != "normal" and 0.2 < b.onset < 9.6 for b in beats):
        beats, ectopy = [Beat(b.onset) for b in beats if b.kind == "normal"], None
    shapes = draw_beats(condition, anatomy, rng)
    eight, sizes = _place(beats, shapes, condition, anatomy, rng)
    truth = _truth(index, patient, anatomy, condition, ectopy, beats, shapes)
    return Heart(truth, condition, beats, sizes, shapes, eight)


def _place(
    beats: list[Beat], shapes: Beats, condition: Condition, anatomy: Anatomy, rng: np.random.Generator
) -> tuple[np.ndarray, list[float]]:
    """The signal, and the factor of each beat: 1 for those outside the recording."""
    eight, sizes = np.zeros((8, SAMPLES)), []
    breath, phase, hertz = rng.uniform(0.01, 0.09), rng.uniform(0, 6.3), rng.uniform(0.15, 0.35)
    uneven = rng.uniform(0.0, 0.03)
    spike = _spike(rng) if condition.rhythm == PACED else None
    last = -9.0
    for beat in beats:
        curve = shapes.curves[beat.kind]
        if condition.rhythm == SINUS and beat.kind != "ventricular" and beat.onset - last > 0.33:
            curve = curve + (shapes.p_wave if beat.kind == "normal" else shapes.off_focus_p)
        last = beat.onset
        if spike is not None:
            curve = curve + spike
        start = round((beat.onset - BEFORE) * FS)
        a, b = max(start, 0), min(start + curve.shape[1], SAMPLES)
        swell = 1.0
        if a < b:
            swell = 1 + breath * np.sin(2 * np.pi * hertz * beat.onset + phase) + uneven * rng.standard_normal()
            eight[:, a:b] += swell * curve[:, a - start : b - start]
        sizes.append(float(swell))
    t = np.arange(SAMPLES) / FS
    if condition.rhythm == FIBRILLATION:
        eight += fibrillation(t, anatomy.chest_gain, rng)
    elif condition.rhythm == FLUTTER:
        eight += flutter(t, beats[0].onset, 1 / flutter_cycle(60 / condition.rate), anatomy.chest_gain, rng)
    return eight, sizes


def _spike(rng: np.random.Generator) -> np.ndarray:
    """The pacemaker's pulse ``(8, T)``, 2 ms before the QRS onset; bipolar leads leave almost none."""
    pulse = np.zeros((8, round((BEFORE + AFTER) * FS)))
    pulse[:, round(BEFORE * FS) - 4 : round(BEFORE * FS) - 3] = rng.normal(0, rng.choice([0.05, 1.0]), (8, 1))
    return pulse


def _truth(
    index: int,
    patient: Patient,
    anatomy: Anatomy,
    condition: Condition,
    ectopy: str | None,
    beats: list[Beat],
    shapes: Beats,
) -> VariedTruth:
    inside = [b for b in beats if 0 <= b.onset <= SECONDS]
    gaps = np.diff([b.onset for b in inside])
    plain = np.array([a.kind == b.kind == "normal" for a, b in pairwise(inside)], dtype=bool)
    # In bigeminy no two beats of the basic rhythm follow each other, so its rate is known from its cause only.
    basic = gaps[plain] if plain.sum() >= 2 else np.full(2, 60 / condition.rate)
    rr = float(basic.mean() if condition.rhythm == FIBRILLATION else np.median(basic))
    rate = 60 / rr
    qt = condition.qtc * (60 / condition.rate) ** 0.5
    found = measure(shapes.curves["normal"], condition.qrs, qt)
    qtc = qt / rr**0.5
    codes, left_open = judge(condition, anatomy, found, rate, qtc, basic, ectopy, patient.sex)
    axis, open_axes = judge_axis(found.axis, condition.conduction == RBBB or condition.rhythm == PACED)
    sinus = condition.rhythm == SINUS
    values = {
        "rr interval": rr,
        "p duration": condition.p if sinus else None,
        "pr interval": condition.pr if sinus else None,
        "qrs duration": condition.qrs,
        "qt interval": qt if sinus else None,
        "qt corrected": qtc if sinus else None,
    }
    rhythm = {SINUS: "sinus rhythm"}.get(condition.rhythm, condition.rhythm)
    rhythm = "sinus bradycardia" if "SBRAD" in codes else "sinus tachycardia" if "STACH" in codes else rhythm
    infarct = {"ASMI": TERRITORIES[0], "AMI": TERRITORIES[0], "IMI": TERRITORIES[1], "LMI": TERRITORIES[2]}
    return VariedTruth(
        record_id=index + 1,
        patient_id=patient.patient_id,
        fold=patient.fold,
        age=patient.age,
        sex=patient.sex,
        height=patient.height,
        weight=patient.weight,
        heart_rate=rate,
        rhythm=rhythm,
        intervals={k: None if values[k] is None else round(1000 * values[k], 1) for k in NORMAL_RANGES_MS},
        ectopy={None: None, "atrial": ECTOPIES[0], "ventricular": ECTOPIES[1]}[ectopy],
        first_degree_av_block="1AVB" in codes,
        conduction=condition.conduction,
        axis=axis,
        axis_degrees=round(found.axis, 1),
        left_ventricular_hypertrophy="LVH" in codes,
        low_voltage="LVOLT" in codes,
        infarction=next((wall for code, wall in infarct.items() if code in codes), None),
        codes=tuple(sorted(codes)),
        open=tuple(sorted(left_open | open_axes)),
        measures=found.to_json(),
    )

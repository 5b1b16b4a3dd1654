"""Draws the truth of one recording: which findings occur together, and how strong they are."""

from contextlib import suppress

import numpy as np

from cardiolect.data_provider.ecgqa.findings import ECTOPIES, LBBB, NOISES, RBBB, RHYTHMS, TERRITORIES
from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, WITHIN, range_of
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.patients import Patient
from cardiolect.data_provider.simulator.plausibility import ImplausibleError
from cardiolect.data_provider.simulator.truth import MARGINS_MS, Truth

# Share of patients with normal axis and voltage whose recording is entirely normal; about one ECG in six overall.
ENTIRELY_NORMAL = 0.34
PLAIN_RATES = (63, 82)  # with a higher one, QT and QTc cannot both be within ECG-QA's ranges and off their ends
RATES = {"sinus rhythm": (63, 95), "sinus bradycardia": (38, 57), "sinus tachycardia": (106, 150)}
NOISE_SHARE = {"baseline drift": 0.15, "static noise": 0.15, "burst noise": 0.13, "electrodes problems": 0.13}
LIMB, CHEST = list(LEADS[:6]), list(LEADS[6:])


def draw_truth(rng: np.random.Generator, patient: Patient, record_id: int) -> Truth:
    """A truth without contradictions: one that has any is drawn again.

    Excluded combinations: P findings and atrial fibrillation or flutter; long QT and atrial fibrillation, flutter or a
    rate above 105; infarction and left bundle branch block; infarction and T inversion; T inversion and bundle branch
    block (secondary T changes) or flutter (T hidden); hypertrophy or low voltage and left bundle branch block; atrial
    extrasystoles and atrial fibrillation; extrasystoles and flutter or a rate above 110 (no room for them); sinus rates
    above 220 minus age.
    """
    while True:
        with suppress(ImplausibleError):
            return _draw(rng, patient, record_id)


def _draw(rng: np.random.Generator, patient: Patient, record_id: int) -> Truth:
    plain = patient.axis == "normal heart axis" and patient.voltage == "normal" and rng.random() < ENTIRELY_NORMAL
    rhythm = "sinus rhythm" if plain else RHYTHMS[int(rng.choice(5, p=[0.33, 0.17, 0.17, 0.18, 0.15]))]
    sinus = rhythm.startswith("sinus")
    rate, ratio = _rate(rng, rhythm, plain, patient.age)
    ectopy = None
    if not plain and rate <= 110 and rhythm != "atrial flutter":
        ectopy = _one_of(rng, ECTOPIES, (0.22, 0.20)) if sinus else _one_of(rng, ECTOPIES[1:], (0.25,))
    left_block_share = 0.19 if patient.voltage == "normal" else 0.0
    conduction = None if plain else _one_of(rng, (LBBB, RBBB), (left_block_share, 0.15))
    infarction = None if plain or conduction == LBBB else _one_of(rng, TERRITORIES, (0.145, 0.145, 0.145))
    t_inversion = None
    t_is_plain = conduction is None and infarction is None and rhythm != "atrial flutter"
    if not plain and t_is_plain and rng.random() < 0.45:
        t_inversion = str(rng.choice(TERRITORIES))
    intervals, av_block = _intervals(rng, rate, sinus, plain, conduction)
    axis_degrees = float(patient.axis_degrees + rng.uniform(-4, 4)) if conduction != RBBB else None
    return Truth(
        record_id=record_id,
        patient_id=patient.patient_id,
        fold=patient.fold,
        age=patient.age,
        sex=patient.sex,
        height=patient.height,
        weight=patient.weight,
        heart_rate=rate,
        rhythm=rhythm,
        intervals=intervals,
        ectopy=ectopy,
        first_degree_av_block=av_block,
        conduction=conduction,
        axis=patient.axis if axis_degrees is not None else None,
        axis_degrees=axis_degrees,
        left_ventricular_hypertrophy=patient.voltage == "high",
        low_voltage=patient.voltage == "low",
        infarction=infarction,
        t_inversion=t_inversion,
        flutter_ratio=ratio,
        noise={} if plain else _noise(rng),
    )


def _one_of(rng: np.random.Generator, names: tuple[str, ...], shares: tuple[float, ...]) -> str | None:
    at = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
    return names[at] if at < len(names) else None


def _rate(rng: np.random.Generator, rhythm: str, plain: bool, age: int) -> tuple[float, int | None]:
    """Ventricular rate in beats per minute, and the conduction ratio of flutter."""
    if rhythm in RATES:
        low, high = PLAIN_RATES if plain else RATES[rhythm]
        return float(rng.uniform(low, min(high, 220 - age))), None
    while True:
        ratio = int(rng.integers(2, 5)) if rhythm == "atrial flutter" else None
        rate = float(rng.uniform(55, 150) if ratio is None else rng.uniform(240, 330) / ratio)
        if _clear("rr interval", 60000 / rate):
            return rate, ratio


def _clear(feature: str, value: float) -> bool:
    return all(abs(value - end) >= MARGINS_MS[feature] for end in NORMAL_RANGES_MS[feature])


def _intervals(
    rng: np.random.Generator, rate: float, sinus: bool, plain: bool, conduction: str | None
) -> tuple[dict[str, float | None], bool]:
    """Interval name -> milliseconds, and whether there is first degree AV block."""
    rr = 60000 / rate
    qrs = float(rng.uniform(132, 165) if conduction else rng.uniform(76, 106))
    p = pr = qt = qtc = None
    av_block = False
    if sinus:
        long_qt = not plain and rate <= 105 and rng.random() < 0.26
        short_qt = not plain and not long_qt and rng.random() < 0.05
        # A blocked bundle prolongs QT; at high rates T would otherwise begin within the wide QRS.
        ordinary = (451, 480) if conduction and rate > 110 else (357, 384)
        while True:
            qtc = float(rng.uniform(*((492, 560) if long_qt else (300, 322) if short_qt else ordinary)))
            qt = qtc * (rr / 1000) ** 0.5
            outside = plain and range_of("qt interval", qt) != WITHIN
            if _clear("qt interval", qt) and qt > qrs + 85 and not outside:
                break
            # Some rates put every ordinary QTc of this class too close to an end of the QT range.
            if rng.random() < 0.05:
                long_qt = short_qt = False
        kind = rng.random()
        room = rr - qt - 30  # P must start after the T wave to be seen
        p = float(rng.uniform(*((78, 95) if plain or kind > 0.15 or room < 90 else (134, 150))))
        av_block = not plain and room > 260 and rng.random() < 0.40
        if av_block:
            pr = float(rng.uniform(218, min(room, 320)))
        elif not plain and conduction is None and p < 100 and rng.random() < 0.15:
            pr = float(rng.uniform(92, 105))
            p = min(p, pr - 16)
        else:
            pr = float(rng.uniform(max(135, p + 24), max(min(185, room + 80), 140, p + 26)))
    values = (rr, p, pr, qrs, qt, qtc)
    return {k: None if v is None else round(v, 1) for k, v in zip(NORMAL_RANGES_MS, values, strict=True)}, av_block


def _noise(rng: np.random.Generator) -> dict[str, list[str]]:
    noise = {}
    for kind in NOISES:
        if rng.random() >= NOISE_SHARE[kind]:
            continue
        if kind == "electrodes problems":
            noise[kind] = [str(rng.choice(CHEST))]
            continue
        where = rng.random()
        start = int(rng.integers(0, 4))
        noise[kind] = list(LEADS) if where < 0.7 else LIMB.copy() if where < 0.85 else CHEST[start : start + 3]
    return noise

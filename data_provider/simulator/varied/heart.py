"""The causes of a varied ECG: a person's anatomy, and the condition of the heart on the day of the recording.

Shares are chosen so that every finding is common enough to learn, not as they are in a clinic.
"""

from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.ecgqa.findings import LBBB, POSTERIOR_FASCICLE, RBBB, UNSPECIFIC_DELAY

INCOMPLETE_RBBB = "incomplete right bundle branch block"
ANTERIOR_FASCICLE = "left anterior fascicular block"
PACED = "normal functioning artificial pacemaker"
FIBRILLATION, FLUTTER, SINUS = "atrial fibrillation", "atrial flutter", "sinus"

CONDUCTIONS = {
    LBBB: 0.09,
    RBBB: 0.09,
    INCOMPLETE_RBBB: 0.09,
    ANTERIOR_FASCICLE: 0.08,
    POSTERIOR_FASCICLE: 0.02,
    UNSPECIFIC_DELAY: 0.06,
}
RHYTHM_SHARES = {SINUS: 0.74, FIBRILLATION: 0.17, FLUTTER: 0.05, PACED: 0.04}
INFARCTIONS = {"inferior": 0.10, "anteroseptal": 0.08, "anterior": 0.06, "lateral": 0.04}
HEALTHY = 0.28  # share of persons
ENTIRELY_NORMAL = 0.6  # share of recordings without disease whose intervals are all in their normal ranges
FASTEST = 0.95  # share of 220 minus age that sinus tachycardia at rest comes to at most
PLAIN_RATES = (63, 88)  # beats per minute at which QT and QTc can both be in range
LONG_QT_BELOW = 105  # beats per minute; above, Bazett's formula is of no use
P_ON_T = 0.04  # seconds by which P may begin before the end of the T wave before it
REPOLARISATIONS = {"flat": 0.10, "inverted": 0.08, "depressed": 0.08, "strain": 0.03, "early": 0.06}


@dataclass(frozen=True)
class Anatomy:
    """The traits that all recordings of one person share.

    healthy: no disease in any recording. axis: frontal direction in degrees of the net QRS area without conduction
    disease.
    limb_mv, sokolow_mv: what QRS vectors are scaled to: the largest peak-to-peak QRS of a limb lead, and S in V1 + the
    larger R of V5 and V6. chest_gain ``(6,)``, chest_shift ``(6,)`` degrees: electrode position and chest wall, V1..V6.
    jitter: seed of the person's own wave shapes.
    """

    healthy: bool
    axis: float
    hypertrophy: bool
    limb_mv: float
    sokolow_mv: float
    chest_gain: np.ndarray
    chest_shift: np.ndarray
    rotation: float
    t_frontal: tuple[float, float]
    t_chest: tuple[float, float]
    jitter: int


@dataclass(frozen=True)
class Condition:
    """The disease in one recording. conduction, infarctions (at most two), repolarisation: keys of the tables above.

    infarction_age: "acute", "recent" or "old". qrs, pr, p, qtc: seconds; qtc is Bazett's at the mean rate.
    """

    rhythm: str
    rate: float
    conduction: str | None
    infarctions: tuple[str, ...]
    infarction_age: str
    repolarisation: str | None
    atrial_enlargement: bool
    qrs: float
    pr: float
    p: float
    qtc: float


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    healthy = bool(rng.random() < HEALTHY)
    hypertrophy = bool(not healthy and rng.random() < 0.28)
    spread = 0.7 if healthy else 1.0
    kind = rng.random()
    if healthy or kind < 0.66:
        axis = rng.normal(42, 28 * spread)
    elif kind < 0.86:
        axis = rng.uniform(-85, -10)
    else:
        axis = rng.uniform(70, 150)
    low = not healthy and not hypertrophy and rng.random() < 0.10
    neighbours = rng.normal(0, 0.22, 8)
    smooth = np.convolve(neighbours, [0.5, 0.7, 0.5], "valid") + rng.normal(0, 0.10, 6)
    return Anatomy(
        healthy=healthy,
        axis=float(axis),
        hypertrophy=hypertrophy,
        limb_mv=float((0.52 if low else 1.35 if hypertrophy else 1.22) * np.exp(rng.normal(0, 0.28 * spread))),
        sokolow_mv=float((1.2 if low else 3.6 if hypertrophy else 2.15) * np.exp(rng.normal(0, 0.30 * spread))),
        chest_gain=np.exp(smooth),
        chest_shift=rng.normal(0, 7, 6) + rng.normal(0, 5),
        rotation=float(rng.normal(-6, 13)),
        t_frontal=(float(0.28 * np.exp(rng.normal(0, 0.4 * spread))), float(rng.normal(42, 17))),
        t_chest=(float(0.42 * np.exp(rng.normal(0, 0.42 * spread))), float(rng.normal(33, 19))),
        jitter=int(rng.integers(2**31)),
    )


def one_of(rng: np.random.Generator, shares: dict[str, float]) -> str | None:
    """A key with its share as probability; None with the remaining probability."""
    at = int(np.searchsorted(np.cumsum(list(shares.values())), rng.random(), side="right"))
    return list(shares)[at] if at < len(shares) else None


def draw_condition(rng: np.random.Generator, anatomy: Anatomy, age: int) -> Condition:
    """The condition of a person of this age in years, whose sinus node does not exceed 220 minus age."""
    healthy = anatomy.healthy or (not anatomy.hypertrophy and rng.random() < 0.1)
    rhythm = SINUS if healthy else one_of(rng, RHYTHM_SHARES) or SINUS
    conduction = repolarisation = None
    infarctions: tuple[str, ...] = ()
    if not healthy:
        conduction = one_of(rng, CONDUCTIONS) if rhythm != PACED else None
        if conduction != LBBB and rhythm != PACED and (first := one_of(rng, INFARCTIONS)):
            second = one_of(rng, INFARCTIONS)
            infarctions = tuple(dict.fromkeys((first, second or first)))
        repolarisation = one_of(
            rng, {"strain": 0.5, "flat": 0.15, "depressed": 0.1} if anatomy.hypertrophy else REPOLARISATIONS
        )
    rate = _rate(rng, rhythm, anatomy.healthy)
    plain = healthy and rng.random() < ENTIRELY_NORMAL
    if plain:
        rate = float(rng.uniform(*PLAIN_RATES))
    if rhythm == SINUS:
        rate = min(rate, FASTEST * (220 - age))
    qrs = float(np.clip(rng.normal(0.092, 0.009) + 0.006 * anatomy.hypertrophy, 0.070, 0.112))
    if conduction in (LBBB, RBBB) or rhythm == PACED:
        qrs = float(rng.uniform(0.122, 0.170))
    elif conduction == INCOMPLETE_RBBB:
        qrs = float(rng.uniform(0.084, 0.117))
    elif conduction == UNSPECIFIC_DELAY:
        qrs = float(rng.uniform(0.112, 0.140))
    elif conduction is not None:
        qrs = min(qrs + 0.008, 0.116)
    long_qt = not healthy and rng.random() < 0.08
    rr = 60 / rate
    # The mean is that of normal recordings of PTB-XL, folds 1-8, by `ecgqa.intervals`.
    qtc = float(
        rng.uniform(0.485, 0.56) if long_qt and rate < LONG_QT_BELOW else np.clip(rng.normal(0.393, 0.02), 0.345, 0.46)
    )
    if plain:
        qtc = float(rng.uniform(max(0.345, 0.316 / rr**0.5), min(0.395, 0.384 / rr**0.5)))
    if conduction in (LBBB, RBBB) or rhythm == PACED:
        qtc = max(qtc + 0.02, (qrs + 0.1) / rr**0.5)
    enlarged = not healthy and rng.random() < (0.3 if anatomy.hypertrophy else 0.08)
    # Conduction quickens with the rate; a long PR interval is not seen if P lies within the T wave before.
    room = rr - qtc * rr**0.5
    long_pr = not healthy and rng.random() < 0.13 and room > 0.23
    pr = float(
        rng.uniform(0.206, min(0.32, room))
        if long_pr
        else np.clip(rng.normal(0.158, 0.02), 0.122 if plain else 0.112, 0.204)
    )
    pr = min(pr, max(room + P_ON_T, 0.112))
    p = float(rng.uniform(0.122, 0.15) if enlarged else np.clip(rng.normal(0.102, 0.01), 0.07, 0.122))
    if plain:
        p = float(rng.uniform(0.082, 0.103))
    return Condition(
        rhythm=rhythm,
        rate=rate,
        conduction=conduction,
        infarctions=infarctions,
        infarction_age=str(rng.choice(["acute", "recent", "old"], p=[0.15, 0.25, 0.6])),
        repolarisation=repolarisation,
        atrial_enlargement=enlarged,
        qrs=qrs,
        pr=pr,
        p=min(p, pr - 0.02),
        qtc=qtc,
    )


def _rate(rng: np.random.Generator, rhythm: str, healthy: bool) -> float:
    """Beats per minute: a continuum, with extra weight at both ends and around the limits of 60 and 100."""
    if rhythm == FIBRILLATION:
        return float(np.clip(95 * np.exp(rng.normal(0, 0.3)), 42, 180))
    if rhythm == FLUTTER:
        return float(rng.uniform(60, 155))
    if rhythm == PACED:
        return float(rng.uniform(58, 85))
    kind = rng.random()
    if kind < (0.7 if healthy else 0.5):
        return float(np.clip(70 * np.exp(rng.normal(0, 0.2)), 40, 160))
    if kind < 0.62:
        return float(rng.uniform(54, 66))
    if kind < 0.72:
        return float(rng.uniform(92, 112))
    return float(rng.uniform(40, 62) if kind < 0.85 else rng.uniform(98, 160))

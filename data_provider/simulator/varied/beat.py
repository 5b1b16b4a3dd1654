"""One beat of each kind of a varied heart: tables of bell curves that vary between persons and recordings."""

from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.ecgqa.findings import LBBB, POSTERIOR_FASCICLE, RBBB, UNSPECIFIC_DELAY
from cardiolect.data_provider.simulator import waves
from cardiolect.data_provider.simulator.beat_shapes import AFTER, BEFORE, FS
from cardiolect.data_provider.simulator.leads import CHEST_DEGREES, CHEST_STRENGTH, frontal, frontal_axis, twelve
from cardiolect.data_provider.simulator.varied.heart import (
    ANTERIOR_FASCICLE,
    INCOMPLETE_RBBB,
    PACED,
    Anatomy,
    Condition,
)

T = np.arange(-int(BEFORE * FS), int(AFTER * FS)) / FS
NEAR = np.array([0.85, 1.1, 1.15, 1.1, 1.0, 1.0])  # in PTB-XL, V2..V4 are larger than a dipole makes them
# Directions of the first vectors after an old infarct of a wall: chest and frontal (degrees, size as a share of QRS).
DEAD_WALL = {
    "inferior": ((0.0, 0.10), (-72.0, 0.75)),
    "anteroseptal": ((-88.0, 0.85), (0.0, 0.0)),
    "anterior": ((-125.0, 0.95), (0.0, 0.05)),
    "lateral": ((178.0, 0.55), (168.0, 0.50)),
}
# Injury current of the same walls: ST of V1..V6 in mV, and frontal size and degrees.
INJURY = {
    "inferior": ([-0.03, -0.06, -0.06, -0.02, 0.0, 0.0], (0.28, 105.0)),
    "anteroseptal": ([0.14, 0.30, 0.28, 0.12, 0.02, 0.0], (0.03, 30.0)),
    "anterior": ([0.05, 0.26, 0.36, 0.30, 0.14, 0.05], (0.06, 10.0)),
    "lateral": ([-0.06, -0.05, 0.0, 0.06, 0.18, 0.20], (0.24, -20.0)),
}
INVERSIONS = {  # directions of an inverted T: frontal and chest degrees
    "anterior": (48.0, -122.0),
    "inferior": (-68.0, 30.0),
    "lateral": (165.0, 150.0),
    "global": (-140.0, -150.0),
}


@dataclass(frozen=True)
class Beats:
    """The curves of one recording's beats, each ``(8, T)`` mV of I, II, V1..V6 from `BEFORE` to `AFTER` the QRS onset.

    curves: kind of `rhythm.Beat` -> QRS and T. p_wave, off_focus_p: P waves of sinus and atrial beats.
    ventricular_qrs: seconds of the QRS of ventricular beats.
    """

    curves: dict[str, np.ndarray]
    p_wave: np.ndarray
    off_focus_p: np.ndarray
    ventricular_qrs: float


def draw_beats(condition: Condition, anatomy: Anatomy, rng: np.random.Generator) -> Beats:
    own = np.random.default_rng(anatomy.jitter)
    qt = condition.qtc * (60 / condition.rate) ** 0.5
    qrs, turn = _qrs(condition, anatomy, own, rng)
    conducted = qrs + _st_t(condition, anatomy, turn, min(qt, 0.76), own, rng)
    conducted = conducted + _local(conducted, condition.qrs, qt, own)
    size = float(np.exp(own.normal(0.05, 0.3)))
    shift = own.normal(0, 14)
    # P waves vary in size and have one or two humps; an enlarged left atrium turns the second backwards.
    table = waves.P_WAVE.copy()
    table[:, 0] += own.normal(0, 0.03, 2)
    table[:, 1] *= np.exp(own.normal(0, 0.12, 2))
    table[:, [2, 4]] *= np.exp(own.normal(0, 0.25, (2, 2)))
    table[:, 3] += own.normal(0, 15, 2)
    if condition.atrial_enlargement:
        table[:, 0], table[1, 3] = (0.28, 0.72), -75.0
        table[1, [2, 4]] *= own.uniform(1.1, 1.6)
    start = -condition.pr
    p_wave = size * _project(waves.bells(T, table, start, condition.p), table, shift, shift, anatomy)
    turned = float(rng.choice([-70.0, -45.0, 35.0, 60.0]))
    early = -min(condition.pr, 0.19)
    off = size * _project(waves.bells(T, table, early, condition.p), table, shift + turned, shift + turned, anatomy)
    ventricular, seconds = _ventricular(anatomy, rng)
    curves = {"normal": conducted, "atrial": conducted, "ventricular": ventricular}
    return Beats(curves, p_wave, off, seconds)


def _chest(amplitude: np.ndarray, degrees: np.ndarray, anatomy: Anatomy) -> np.ndarray:
    angle = np.deg2rad(degrees[:, None] - CHEST_DEGREES - anatomy.chest_shift)
    return amplitude[:, None] * np.cos(angle) * (CHEST_STRENGTH * NEAR * anatomy.chest_gain)


def _project(curves: np.ndarray, table: np.ndarray, turn_h: float, turn_f: float, anatomy: Anatomy) -> np.ndarray:
    """Curves ``(K, T)`` of a wave table -> eight leads ``(8, T)``."""
    limb = frontal(table[:, 4], table[:, 5] + turn_f)
    return np.concatenate([limb, _chest(table[:, 2], table[:, 3] + turn_h, anatomy)], axis=1).T @ curves


def _jittered(table: np.ndarray, own: np.random.Generator) -> np.ndarray:
    table = table.copy()
    rows = len(table)
    table[:, 0] += own.normal(0, 0.022, rows)
    table[:, 1] *= np.exp(own.normal(0, 0.14, rows))
    table[:, [2, 4]] *= np.exp(own.normal(0, 0.28, (rows, 2)))
    table[:, [3, 5]] += own.normal(0, 13, (rows, 2))
    table[0, [2, 4]] *= own.choice([0.15, 1.0, 1.6], p=[0.25, 0.55, 0.2])  # septal q and r: absent to large
    return table


def _open_loop(table: np.ndarray, condition: Condition, axis: float, own: np.random.Generator) -> None:
    """Spread the frontal directions of a normal QRS in place: counterclockwise if the axis is left, else clockwise.

    A wide loop gives both r and S in II, III and aVF (or in I), a narrow one only one of them.
    """
    wide = {ANTERIOR_FASCICLE: (65, 15), POSTERIOR_FASCICLE: (-60, 15)}
    mean, spread = wide.get(condition.conduction, (20 - 0.45 * (axis - 30), 20))
    opening = own.normal(mean, spread)
    table[:, 5] += opening * np.array([0.0, 1.0, 0.0, -1.0, -0.4])
    table[[1, 3], 4] *= 1 + min(abs(opening), 80) / 80
    if own.random() < 0.5:  # the base points right and up, whatever the main direction
        table[4, 4:] = table[4, 4] * own.uniform(0.5, 2.5), own.normal(-150, 20) - axis
    if condition.conduction == ANTERIOR_FASCICLE:
        table[4, 2] *= own.uniform(1.0, 4.0)  # S reaches V6
        table[3, 2] *= own.uniform(1.0, 1.5)


def _qrs(
    condition: Condition, anatomy: Anatomy, own: np.random.Generator, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """QRS ``(8, T)``, and the direction of its main frontal forces."""
    conduction = LBBB if condition.rhythm == PACED else condition.conduction
    table = _jittered({LBBB: waves.QRS_LBBB, RBBB: waves.QRS_RBBB}.get(conduction, waves.QRS_NORMAL), own)
    axis = anatomy.axis
    if condition.rhythm == PACED:
        axis, table[:, 3] = rng.uniform(-100, -50), table[:, 3] - rng.uniform(-10, 50)
    elif conduction == LBBB:
        axis = float(np.clip(axis - 25, -80, 95))
        if rng.random() < 0.5:  # the R plateau in I and V6 may be notched
            table[1:4, 1] *= rng.uniform(0.75, 1.3)
    elif conduction == ANTERIOR_FASCICLE:
        axis = rng.uniform(-90, -32)
    elif conduction == POSTERIOR_FASCICLE:
        axis = rng.uniform(100, 140)
    if "inferior" in condition.infarctions:
        axis -= rng.uniform(0, 40)
    if len(table) == 5 and conduction not in (LBBB, RBBB):
        _open_loop(table, condition, axis, own)
    area = (frontal(table[:, 4], table[:, 5]) * table[:, 1:2]).sum(axis=0)
    if conduction == RBBB:  # the axis is that of the left ventricle, before the late forces of the right one
        area = (frontal(table[:-1, 4], table[:-1, 5]) * table[:-1, 1:2]).sum(axis=0)
        if rng.random() < 0.3:
            axis = rng.uniform(-85, -44)  # with left anterior fascicular block
    turn = axis - frontal_axis(*area)
    extra = []
    if conduction == ANTERIOR_FASCICLE:
        table[0, 4:] = rng.uniform(0.2, 0.4), rng.uniform(100, 130) - turn
    elif conduction == POSTERIOR_FASCICLE:
        table[0, 4:] = rng.uniform(0.2, 0.4), rng.uniform(-60, -30) - turn
    elif conduction == RBBB:
        table[-1, [2, 4]] *= rng.uniform(0.7, 1.7)
        table[-1, 5] = rng.uniform(165, 205) - turn
    elif conduction == INCOMPLETE_RBBB:
        extra.append(
            [
                rng.uniform(0.68, 0.9),
                rng.uniform(0.04, 0.1),
                rng.uniform(0.15, 0.6),
                rng.uniform(105, 130),
                rng.uniform(0.1, 0.25),
                rng.uniform(160, 220) - turn,
            ]
        )
    notches = own.random() < (0.8 if conduction == UNSPECIFIC_DELAY else 0.3)
    for _ in range(int(own.integers(1, 4)) if notches else 0):
        extra.append(
            [
                own.uniform(0.2, 0.9),
                own.uniform(0.02, 0.05),
                own.uniform(0.05, 0.3),
                own.uniform(-180, 180),
                own.uniform(0.05, 0.3),
                own.uniform(-180, 180),
            ]
        )
    rotation = anatomy.rotation * (1.0 if conduction is None else 0.6)
    for wall in condition.infarctions:
        (chest_deg, chest_size), (limb_deg, limb_size) = DEAD_WALL[wall]
        size = rng.uniform(0.3, 1.25)
        extra.append(
            [
                rng.uniform(0.15, 0.28),
                rng.uniform(0.07, 0.14),
                size * chest_size,
                chest_deg + rng.normal(0, 12) - rotation,
                size * limb_size,
                limb_deg + rng.normal(0, 18) - turn,
            ]
        )
        table[0, [2, 4]] *= rng.uniform(0, 0.4)
        if wall in ("anteroseptal", "anterior"):
            table[1, 2] *= rng.uniform(0.1, 0.7)
    full = np.concatenate([table, np.array(extra).reshape(-1, 6)])
    # Scaled without the extra vectors, so that disease changes the voltages as in real hearts.
    bare = _project(waves.bells(T, table, 0.0, condition.qrs), table, rotation, turn, anatomy)
    limb = anatomy.limb_mv / np.ptp(twelve(bare)[:6], axis=1).max()
    chest = anatomy.sokolow_mv / (max(-bare[2].min(), 0.0) + bare[6:].max())
    eight = _project(waves.bells(T, full, 0.0, condition.qrs), full, rotation, turn, anatomy)
    eight[:2] *= limb
    eight[2:] *= chest
    return eight, axis


def _st_t(
    condition: Condition, anatomy: Anatomy, axis: float, qt: float, own: np.random.Generator, rng: np.random.Generator
) -> np.ndarray:
    (f_size, f_deg), (h_size, h_deg) = anatomy.t_frontal, anatomy.t_chest
    f_deg, h_deg = f_deg + rng.normal(0, 5), h_deg + rng.normal(0, 5)
    st_size = own.uniform(0.0, 0.25)  # share of T: the rising ST segment of a healthy heart
    st_limb, st_chest = np.zeros(2), np.zeros(6)
    voltage = (anatomy.sokolow_mv / 2.15) ** 0.5
    conduction = LBBB if condition.rhythm == PACED else condition.conduction
    kind = condition.repolarisation
    lateral = np.array([0.35, 0.0, -0.2, -0.75, -1.0, -0.9])
    if conduction == LBBB:
        opposite = axis + 180 + rng.normal(0, 15)
        f_size, f_deg = anatomy.limb_mv * rng.uniform(0.14, 0.35), opposite
        h_size, h_deg = anatomy.sokolow_mv * rng.uniform(0.05, 0.16), 132.0 + rng.normal(0, 14)
        st_size = rng.uniform(0.2, 0.45)
    elif conduction == RBBB:
        h_deg = rng.normal(-8, 14)
    elif kind == "flat":
        f_size, h_size = f_size * rng.uniform(0, 0.35), h_size * rng.uniform(0.05, 0.45)
    elif kind == "inverted":
        f_deg, h_deg = (d + rng.normal(0, 12) for d in INVERSIONS[str(rng.choice(list(INVERSIONS)))])
        f_size, h_size = f_size * rng.uniform(0.3, 1.1), h_size * rng.uniform(0.3, 1.2)
    elif kind in ("strain", "depressed"):
        depth = rng.uniform(0.04, 0.18)
        st_chest = depth * lateral * rng.uniform(0.7, 1.2, 6)
        st_limb = frontal(np.array([depth * 0.8]), np.array([axis + 180 + rng.normal(0, 15)]))[0]
        st_size = 0.0
        if kind == "strain" or rng.random() < 0.4:
            f_deg, h_deg = axis + 180 + rng.normal(0, 20), rng.normal(135, 15)
            f_size, h_size = f_size * rng.uniform(0.3, 1.0), h_size * rng.uniform(0.4, 1.1)
        else:
            f_size, h_size = f_size * rng.uniform(0.1, 0.8), h_size * rng.uniform(0.2, 0.8)
    elif kind == "early":
        st_chest = rng.uniform(0.05, 0.22) * np.array([0.3, 1.0, 1.0, 0.8, 0.5, 0.3])
    for wall in condition.infarctions if conduction != RBBB else ():
        injury, (limb_size, limb_deg) = INJURY[wall]
        strength = {"acute": rng.uniform(0.5, 1.3), "recent": rng.uniform(0.1, 0.4), "old": rng.uniform(0, 0.15)}
        size = strength[condition.infarction_age]
        st_chest = st_chest + size * np.array(injury) * anatomy.chest_gain
        st_limb = st_limb + size * frontal(np.array([limb_size]), np.array([limb_deg + rng.normal(0, 8)]))[0]
        inverted = {"acute": 0.1, "recent": 0.9, "old": 0.45}[condition.infarction_age]
        if rng.random() < inverted:
            f_new, h_new = INVERSIONS["anterior" if wall == "anteroseptal" else wall]
            if wall == "inferior":
                f_deg, f_size = f_new + rng.normal(0, 15), f_size * rng.uniform(0.2, 1.0)
            else:
                h_deg, h_size = h_new + rng.normal(0, 15), h_size * rng.uniform(0.2, 1.0)
    scale = voltage if conduction != LBBB else 1.0
    t_limb = frontal(np.array([f_size * scale]), np.array([f_deg]))[0]
    t_chest = _chest(np.array([h_size * scale]), np.array([h_deg]), anatomy)[0]
    fall = own.uniform(0.058, 0.095) * qt + 0.004
    rise = own.uniform(1.3, 2.5) * fall
    if kind == "strain":
        rise, fall = 2.6 * fall, 0.8 * fall
    peak = qt - 2.1 * fall
    t_wave = waves.bell(T, peak, rise, fall)
    skew = own.normal(0, 0.12)  # the second hump of a notched or biphasic T, in another direction
    hump = waves.bell(T, peak - own.uniform(0.03, 0.07), rise * 0.6, fall) * skew
    st = waves.st_curve(T, condition.qrs, qt)
    ramp = waves.bell(T, peak, max((peak - condition.qrs) * 0.55, 0.03), fall)
    u_size = own.uniform(0.0, 0.06) * (own.random() < 0.35)
    u_wave = waves.bell(T, qt + 0.09, 0.028, 0.035)
    other = _chest(np.array([h_size]), np.array([h_deg + own.normal(0, 60)]), anatomy)[0]
    limb = np.stack([t_limb, st_limb, st_size * t_limb, 0.7 * t_limb, u_size * np.array([0.2, 0.4])])
    chest = np.stack([t_chest, st_chest, st_size * t_chest, other, u_size * np.array([0.3, 1, 1, 0.8, 0.4, 0.3])])
    return np.concatenate([limb, chest], axis=1).T @ np.stack([t_wave, st, ramp, hump, u_wave])


def _local(eight: np.ndarray, qrs: float, qt: float, own: np.random.Generator) -> np.ndarray:
    """Small waves in single leads that a dipole cannot explain, within QRS and up to the end of T."""
    height = np.ptp(eight, axis=1)
    out = np.zeros_like(eight)
    for row in range(8):
        for _ in range(2):
            wave = waves.bell(T, own.uniform(0.1, 0.95) * qrs, *own.uniform(0.05, 0.14, 2) * qrs)
            out[row] += own.normal(0, 0.05) * height[row] * wave
        out[row] += own.normal(0, 0.015) * waves.bell(T, own.uniform(qrs + 0.03, qt), *own.uniform(0.03, 0.08, 2))
    return out


def _ventricular(anatomy: Anatomy, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A wide beat from one focus, with opposite T, and the seconds of its QRS."""
    from_left = rng.random() < 0.5
    turn_h = rng.uniform(80, 150) if from_left else rng.uniform(-85, -35)
    turn_f = rng.uniform(-180, 180)
    seconds = rng.uniform(0.13, 0.19)
    size = rng.uniform(0.6, 1.5)
    table = _jittered(waves.QRS_VENTRICULAR, rng)
    qrs = _project(waves.bells(T, table, 0.0, seconds), table, turn_h, turn_f, anatomy)
    qt = rng.uniform(0.38, 0.46)
    limb = frontal(np.array([0.45, 0.12]), np.array([turn_f + 180 + rng.normal(0, 15)] * 2))
    chest = _chest(np.array([0.48, 0.14]), np.array([turn_h + 180 + rng.normal(0, 15)] * 2), anatomy)
    curves = np.stack([waves.t_curve(T, qt), waves.st_curve(T, seconds, qt - 0.02)])
    return size * (qrs + rng.uniform(0.6, 1.2) * np.concatenate([limb, chest], axis=1).T @ curves), float(seconds)

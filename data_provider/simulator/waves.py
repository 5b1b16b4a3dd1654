"""The shapes of P, QRS and T: tables of bell curves with one vector per plane.

QRS rows: centre and width (fractions of the QRS duration), horizontal amplitude and direction, frontal amplitude and
direction relative to the main frontal direction (degrees as in `leads`). A row's horizontal direction turns from right
front (septum) over left (free wall) to back (base), which gives q, R and S in the same leads as in real ECGs.
"""

import numpy as np

QRS_NORMAL = np.array(
    [
        # at    width  h    h deg  f     f deg
        [0.17, 0.065, 0.26, 125.0, 0.13, 150.0],  # septum
        [0.32, 0.080, 0.60, 52.0, 0.35, 12.0],
        [0.48, 0.095, 1.10, -12.0, 1.00, 0.0],  # free wall
        [0.64, 0.085, 0.78, -76.0, 0.32, -22.0],
        [0.82, 0.075, 0.25, -130.0, 0.18, -135.0],  # base
    ]
)
QRS_LBBB = np.array(
    [
        [0.13, 0.055, 0.16, -8.0, 0.10, 20.0],
        [0.32, 0.110, 0.75, -40.0, 0.60, 8.0],
        [0.52, 0.100, 0.62, -66.0, 0.42, -10.0],
        [0.71, 0.105, 0.85, -38.0, 0.60, -4.0],
        [0.88, 0.050, 0.15, -60.0, 0.08, 0.0],
    ]
)
QRS_RBBB = np.array(
    [
        [0.11, 0.042, 0.27, 125.0, 0.12, 150.0],
        [0.20, 0.050, 0.50, 52.0, 0.35, 10.0],
        [0.31, 0.060, 1.00, -14.0, 1.00, 0.0],
        [0.43, 0.055, 0.55, -86.0, 0.25, -25.0],
        [0.74, 0.120, 0.52, 114.0, 0.28, 180.0],  # late forces of the right ventricle
    ]
)
QRS_VENTRICULAR = np.array(
    [
        [0.28, 0.115, 0.70, -6.0, 0.75, -8.0],
        [0.50, 0.125, 1.20, 0.0, 1.10, 0.0],
        [0.74, 0.100, 0.50, 14.0, 0.40, 12.0],
    ]
)
# P: right, then left atrium.
P_WAVE = np.array([[0.36, 0.165, 0.062, 82.0, 0.075, 62.0], [0.64, 0.165, 0.060, -22.0, 0.075, 48.0]])


def bell(t: np.ndarray, at: float, rise: float, fall: float, power: float = 2.0) -> np.ndarray:
    """A peak of height 1 at ``at`` with separate widths of rise and fall (unit of t); power 4 gives a plateau."""
    d = t - at
    return np.exp(-0.5 * np.abs(d / np.where(d < 0, rise, fall)) ** power)


def bells(t: np.ndarray, table: np.ndarray, start: float, duration: float) -> np.ndarray:
    """The rows of a wave table as curves ``(K, T)`` for a complex from ``start`` lasting ``duration``."""
    at, width = start + table[:, :1] * duration, table[:, 1:2] * duration
    return np.exp(-0.5 * ((t - at) / width) ** 2)


def t_curve(t: np.ndarray, qt: float) -> np.ndarray:
    """A T wave that ends ``qt`` after the QRS onset; like real T waves, it rises more slowly than it falls."""
    fall = 0.075 * qt + 0.004
    return bell(t, qt - 2.1 * fall, 2.0 * fall, fall)


def st_curve(t: np.ndarray, qrs: float, qt: float) -> np.ndarray:
    """The ST segment: a plateau from the end of QRS into the T wave."""
    end = qt - 3.0 * (0.075 * qt + 0.004)
    middle, half = (qrs + end) / 2, max((end - qrs) / 2, 0.03) + 0.015
    return bell(t, middle, half, half, power=4.0)

"""Projects heart vectors onto the leads.

The limb leads see the frontal plane through Einthoven's triangle, so I + III = II and Goldberger's relations hold
exactly; V1..V6 see the horizontal plane. Each wave has one vector per plane: separate planes let the frontal
axis turn without emptying V5 and V6, as chest electrodes sit close to the heart.
"""

import numpy as np

from cardiolect.data_provider.record import LIMB_FROM_I_II

# Direction (degrees; 0 left, 90 forward) and strength of V1..V6: the horizontal part of Dower's matrix (Dower 1980),
# with the strengths of V2..V4 lowered towards those seen in PTB-XL.
CHEST_DEGREES = np.array([119.0, 88.0, 55.0, 26.0, 4.4, -15.5])
CHEST_STRENGTH = np.array([1.0, 1.25, 1.3, 1.25, 1.13, 0.9])


def frontal(amplitude: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Wave vectors in the frontal plane (0 degrees left, 90 down) ``(K,)`` -> leads I and II ``(K, 2)``, in mV."""
    return amplitude[:, None] * np.cos(np.deg2rad(degrees[:, None] - np.array([0.0, 60.0])))


def horizontal(amplitude: np.ndarray, degrees: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Wave vectors in the horizontal plane ``(K,)`` -> V1..V6 ``(K, 6)``, in mV; gain: patient's factor per lead."""
    return amplitude[:, None] * np.cos(np.deg2rad(degrees[:, None] - CHEST_DEGREES)) * (CHEST_STRENGTH * gain)


def twelve(eight: np.ndarray) -> np.ndarray:
    """I, II, V1..V6 ``(8, T)`` -> all twelve leads ``(12, T)``."""
    return np.concatenate([LIMB_FROM_I_II.astype(eight.dtype) @ eight[:2], eight[2:]])


def frontal_axis(lead_i: float, lead_ii: float) -> float:
    """Direction in degrees of the frontal vector that leads I and II see (areas or amplitudes)."""
    return float(np.rad2deg(np.arctan2((2 * lead_ii - lead_i) / 3**0.5, lead_i)))

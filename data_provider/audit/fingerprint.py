"""A fingerprint of an ECG that outlives conversions: other rates, gains, units, offsets, filters, noise and cuts.

It is taken from the independent leads at 100 Hz between 5 and 25 Hz, where every recorder and converter leaves the
signal as it is. Three parts, from coarse to fine:

- shape: how each lead correlates with itself some hundredths of a second later, and with the other leads. Neither
  depends on where the recording starts, so recordings are looked up by it.
- signs: whether each of four leads is above or below zero, 100 times a second. Two recordings are laid over each
  other by them. An ECG cannot be drawn from signs; every fourth of them goes into checkpoints.
- wave: the signal itself in 8 bits, which only the audit keeps, for as long as it runs.
"""

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.signal import butter, sosfiltfilt

from cardiolect.data_provider.record import INDEPENDENT, LEADS, ECGRecord, resample

RATE = 100.0
BAND_HZ = (5.0, 25.0)
MOST_SECONDS = 60.0  # what follows in a longer recording is not compared
EDGE = 50  # samples at both ends that the filter may have changed
LEAST_SAMPLES = 350  # to compare two recordings by: 3.5 s
LAGS = (2, 4, 6, 8, 12, 16, 20)  # samples
N_LEADS = len(INDEPENDENT)
N_SHAPE = N_LEADS * len(LAGS) + N_LEADS * (N_LEADS - 1) // 2
UNKNOWN = -128  # in a shape: the lead is missing
SIGN_LEADS = tuple([LEADS[row] for row in INDEPENDENT].index(lead) for lead in ("I", "II", "V2", "V5"))
STORED_STEP = 4  # every fourth sign is stored in checkpoints

_FLAT = 0.02  # a lead with less than this share of the largest one's amplitude is taken as missing
_HASH_STEP_MV, _HASHES_PER_SECOND = 0.001, 10
_PAIRS = np.triu_indices(N_LEADS, 1)


@dataclass(frozen=True)
class Fingerprint:
    """shape: int8 ``(N_SHAPE,)``, in 127ths: per lead its correlations at `LAGS`, then those between leads, unsigned.

    signs: int8 ``(4, T)`` of -1 and 1, 0 for a missing lead, ``RATE / step`` times a second. wave: int8 ``(8, T)``.
    """

    shape: np.ndarray
    signs: np.ndarray
    step: int = 1
    wave: np.ndarray | None = None

    def to_text(self) -> str:
        """The shape and every fourth sign, as a checkpoint stores them."""
        signs = self.signs[:, :: STORED_STEP // self.step]
        bits = np.packbits(signs > 0, axis=1)
        head = np.array([signs.shape[1]], ">u2").tobytes()
        return base64.b85encode(head + self.shape.tobytes() + bits.tobytes()).decode()

    @classmethod
    def from_text(cls, text: str) -> "Fingerprint":
        """Raises `ValueError` if it is not one."""
        data = base64.b85decode(text)
        length, bits = int.from_bytes(data[:2], "big"), np.frombuffer(data[2 + N_SHAPE :], np.uint8)
        if len(bits) != len(SIGN_LEADS) * -(-length // 8) or not length:
            raise ValueError("its length is not that of a fingerprint")
        shape = np.frombuffer(data[2 : 2 + N_SHAPE], np.int8)
        signs = np.unpackbits(bits.reshape(len(SIGN_LEADS), -1), axis=1)[:, :length].astype(np.int8) * 2 - 1
        signs[~leads_known(shape)[list(SIGN_LEADS)]] = 0
        return cls(shape, signs, STORED_STEP)


def half_a_sample_later(one: Fingerprint) -> Fingerprint:
    """The same with its signs taken between the samples of its wave: another recording may have been sampled there."""
    wave = one.wave[list(SIGN_LEADS)].astype(np.int16)
    signs = np.where(wave[:, :-1] + wave[:, 1:] >= 0, 1, -1) * (one.signs[:, :1] != 0)
    return replace(one, signs=signs.astype(np.int8))


def leads_known(shape: np.ndarray) -> np.ndarray:
    """bool ``(..., 8)`` of the leads that shapes ``(..., N_SHAPE)`` know."""
    return shape[..., : N_LEADS * len(LAGS) : len(LAGS)] != UNKNOWN


def fingerprint(record: ECGRecord) -> Fingerprint | None:
    """None if all leads are flat or fewer than 4.5 s were recorded."""
    rows, samples = list(INDEPENDENT), round(MOST_SECONDS * record.fs)
    usable = record.good[rows, :samples].mean(axis=1) > 0.5
    signal = resample(record.signal[rows, :samples], record.fs, RATE)
    if signal.shape[1] < LEAST_SAMPLES + 2 * EDGE or not usable.any():
        return None
    wave = sosfiltfilt(_band(), signal, axis=1)[:, EDGE:-EDGE]
    amplitude = np.sqrt(np.square(wave).mean(axis=1)) * usable
    known = amplitude > _FLAT * amplitude.max()
    if not known.any():
        return None
    wave = np.where(known[:, None], wave / np.where(known, amplitude, 1)[:, None], 0)
    levels = np.round(127 * wave / np.maximum(np.abs(wave).max(axis=1, keepdims=True), 1e-9))
    signs = np.where(wave[list(SIGN_LEADS)] >= 0, 1, -1).astype(np.int8) * known[list(SIGN_LEADS), None]
    return Fingerprint(_shape(wave, known), signs.astype(np.int8), 1, levels.astype(np.int8))


def sample_hash(record: ECGRecord) -> str:
    """A hash of the voltages at every tenth of a second; "" if none of the leads changes.

    Equal for copies whose samples are the same, or every second or fifth of them.
    """
    at = np.round(np.arange(0, record.seconds, 1 / _HASHES_PER_SECOND) * record.fs).astype(int)
    steps = np.round(record.signal[:, at[at < record.signal.shape[1]]] / _HASH_STEP_MV).astype(np.int32)
    return hashlib.sha256(steps.tobytes()).hexdigest()[:16] if np.ptp(steps, axis=1).any() else ""


@cache
def _band() -> np.ndarray:
    return butter(2, BAND_HZ, "bandpass", fs=RATE, output="sos")


def _shape(wave: np.ndarray, known: np.ndarray) -> np.ndarray:
    """wave ``(8, T)`` with a mean square of 1 in each known lead."""
    length = wave.shape[1]
    own = np.stack([(wave[:, :-lag] * wave[:, lag:]).sum(axis=1) / length for lag in LAGS], axis=1)
    across = np.abs(wave @ wave.T / length)
    own[~known], across[~known], across[:, ~known] = np.nan, np.nan, np.nan
    shape = np.concatenate([own.ravel(), across[_PAIRS]])
    return np.where(np.isfinite(shape), np.round(127 * np.clip(shape, -1, 1)), UNKNOWN).astype(np.int8)

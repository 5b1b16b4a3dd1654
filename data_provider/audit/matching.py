"""Finds recordings whose fingerprints belong to the same ECG, without comparing each with each."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy import fft
from scipy.spatial import cKDTree

from cardiolect.data_provider.audit.fingerprint import (
    LAGS,
    LEAST_SAMPLES,
    N_LEADS,
    N_SHAPE,
    STORED_STEP,
    UNKNOWN,
    Fingerprint,
    half_a_sample_later,
)

NEAREST = 8  # recordings of the most similar shape that are examined, per group of leads
DIMENSIONS = 10  # of a shape in the search: all of its variance that matters, and few enough for a tree
AGREE = 0.5  # correlation of signs from which two recordings are examined closely
# Correlations from which two recordings are one ECG, and how much of the rest may lie on the beats if it is to be noise
# (`likeness`). Different recordings reach 0.934 in PTB-XL and 0.9975 among 8000 simulated ones, which have regular
# rhythms and little noise, and 0.9866 with a rest that looks like noise; copies have 0.998, or in noise of 30 uV 0.99.
SAME, SAME_IN_NOISE, NOISE_CONCENTRATION = 0.998, 0.99, 0.3
LIKE = 0.9  # correlation at the best lag of whole samples, without which a pair is not looked at any closer
# Correlations of signs and root mean squares of the difference of shapes from which a recording is taken as seen.
SIGNS_ALONE, SIGNS_WITH_SHAPE, SHAPE_DIFFERS = 0.96, 0.7, 1.5
_FINER = 8  # steps per sample of the lag
_TAPS = 4  # of the filter, on either side: 40 ms
_BATCH = 256  # pairs of recordings at once

# Groups of leads that recordings are looked up by; a copy with one lead exchanged or spoilt is found by the other.
_OWN = np.arange(N_LEADS * len(LAGS)).reshape(N_LEADS, len(LAGS))
_ACROSS = np.full((N_LEADS, N_LEADS), -1)
_ACROSS[np.triu_indices(N_LEADS, 1)] = np.arange(N_LEADS * len(LAGS), N_SHAPE)


def _columns(leads: Sequence[int]) -> np.ndarray:
    """The places in a shape that concern these of the eight leads."""
    across = _ACROSS[np.ix_(leads, leads)]
    return np.concatenate([_OWN[leads].ravel(), across[across >= 0]])


LIMB, CHEST = _columns([0, 1]), _columns([2, 3, 4, 5, 6, 7])
SINGLE = [_columns([lead]) for lead in range(N_LEADS)]


def candidates(shapes: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """Pairs ``(P, 2)`` of rows of ``shapes`` and of ``others`` that are among each other's nearest.

    Without ``others``, of rows of ``shapes``, the smaller first. Recordings that have neither all limb nor all chest
    leads are looked up by each of their leads.
    """
    indexed = shapes if others is None else others
    found = [np.empty((0, 2), int)]
    whole = np.zeros(len(shapes), bool)
    for columns in (LIMB, CHEST):
        asking = (shapes[:, columns] != UNKNOWN).all(axis=1)
        found.append(_nearest(shapes, indexed, columns, np.flatnonzero(asking)))
        whole |= asking
    for columns in SINGLE:
        asking = ~whole & (shapes[:, columns] != UNKNOWN).all(axis=1)
        found.append(_nearest(shapes, indexed, columns, np.flatnonzero(asking)))
    pairs = np.concatenate(found)
    if others is None:
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    return np.unique(pairs, axis=0)


def _nearest(shapes: np.ndarray, indexed: np.ndarray, columns: np.ndarray, asking: np.ndarray) -> np.ndarray:
    """Pairs of the rows ``asking`` and those of ``indexed`` that are nearest in these columns."""
    rows = np.flatnonzero((indexed[:, columns] != UNKNOWN).all(axis=1))
    if not len(asking) or not len(rows):
        return np.empty((0, 2), int)
    points = indexed[np.ix_(rows, columns)].astype(np.float32)
    centre = points.mean(axis=0)
    moments = (points - centre).T @ (points - centre)
    axes = np.linalg.eigh(moments)[1][:, -DIMENSIONS:]
    tree = cKDTree((points - centre) @ axes)
    _, nearest = tree.query((shapes[np.ix_(asking, columns)] - centre) @ axes, min(NEAREST + 1, len(rows)))
    nearest = np.asarray(nearest).reshape(len(asking), -1)
    return np.stack([np.repeat(asking, nearest.shape[1]), rows[nearest.ravel()]], axis=1)


def agreement(pairs: Sequence[tuple[Fingerprint, Fingerprint]]) -> np.ndarray:
    """float ``(P,)``: how the signs of each pair correlate at the best lag, the mean of their common leads.

    The first of each pair has its signs at 100 Hz; of the second, those that are stored suffice.
    """
    found = np.zeros(len(pairs))
    sizes = defaultdict(list)
    for at, (one, other) in enumerate(pairs):
        sizes[fft.next_fast_len(one.signs.shape[1] + (other.signs.shape[1] + 3) * other.step, real=True)].append(at)
    for size, places in sizes.items():
        for start in range(0, len(places), _BATCH):
            part = places[start : start + _BATCH]
            found[part] = _agreement([pairs[at] for at in part], size)
    return found


def _agreement(pairs: Sequence[tuple[Fingerprint, Fingerprint]], size: int) -> np.ndarray:
    leads = pairs[0][0].signs.shape[0]
    one, other = (np.zeros((len(pairs), leads + 1, size), np.float32) for _ in range(2))
    for row, (a, b) in enumerate(pairs):
        coarse = b.signs[:, :: STORED_STEP // b.step]
        one[row, :leads, : a.signs.shape[1]] = a.signs
        one[row, leads, : a.signs.shape[1]] = 1
        other[row, :leads, : STORED_STEP * coarse.shape[1] : STORED_STEP] = coarse
        other[row, leads, : STORED_STEP * coarse.shape[1] : STORED_STEP] = 1
    common = (one[:, :leads, 0] != 0) & (other[:, :leads, 0] != 0)
    product = fft.irfft(np.conj(fft.rfft(other, axis=2)) * fft.rfft(one, axis=2), size, axis=2)
    overlap = product[:, leads]
    match = (np.abs(product[:, :leads]) * common[:, :, None]).sum(axis=1) / np.maximum(common.sum(axis=1), 1)[:, None]
    return np.where(overlap > LEAST_SAMPLES / STORED_STEP - 0.5, match / np.maximum(overlap, 1), 0).max(axis=1)


def seen_among(asked: Sequence[Fingerprint], seen: Sequence[Fingerprint]) -> np.ndarray:
    """bool ``(len(asked),)``: whether a recording is one of ``seen``, of which only shapes and signs are known.

    Without the waves of both, copies with more than about 20 uV of noise or with exchanged leads are missed, as are
    short cuts that were also filtered.
    """
    found = np.zeros(len(asked), bool)
    if not len(asked) or not len(seen):
        return found
    shapes, others = (np.stack([each.shape for each in group]) for group in (asked, seen))
    pairs = candidates(shapes, others)
    agree = np.maximum(
        *(agreement([(moved(asked[a]), seen[b]) for a, b in pairs]) for moved in (lambda one: one, half_a_sample_later))
    )
    a, b = shapes[pairs[:, 0]].astype(float), others[pairs[:, 1]].astype(float)
    known = (a != UNKNOWN) & (b != UNKNOWN)
    differ = np.sqrt(np.where(known, np.square(a - b), 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1))
    same = (agree >= SIGNS_ALONE) | ((agree >= SIGNS_WITH_SHAPE) & (differ <= SHAPE_DIFFERS))
    found[pairs[same, 0]] = True
    return found


def same_ecg(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two waves ``(8, T)`` are one ECG: equal but for a linear filter and, if the rest looks like it, noise."""
    correlation, concentration = likeness(one, other)
    return correlation >= SAME or (correlation >= SAME_IN_NOISE and concentration <= NOISE_CONCENTRATION)


def likeness(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """How well one wave ``(8, T)`` follows from the other where they overlap; medians of the leads that both have.

    That is the correlation at the best lag, after the short filter, one for all leads, that fits best: it takes up
    filters of recorders and fractions of a sample. Leads may be inverted. The second number says which share of what
    is left lies in the quarter of the time with the most signal: 0.25 for added noise, more if the beats differ.
    """
    common = one.any(axis=1) & other.any(axis=1)
    if not common.any():
        return 0.0, 1.0
    a, b = one[common].astype(float), other[common].astype(float)
    lag, signs, correlation = _best_lag(a, b)
    if correlation < LIKE:
        return correlation, 1.0
    start, end = max(0, lag) + _TAPS, min(b.shape[1], a.shape[1] + lag) - _TAPS
    target = b[:, start:end] * signs[:, None]
    shifted = np.stack([a[:, start - lag - tap : end - lag - tap] for tap in range(-_TAPS, _TAPS + 1)])
    target, size = _unit(target), np.sqrt(np.square(shifted[_TAPS]).mean(axis=1)) + 1e-9
    shifted /= size[:, None]
    plain = (shifted[_TAPS] * target).mean(axis=1)
    best = plain >= np.median(plain)  # an exchanged or spoilt lead must not shape the filter
    taps = np.linalg.lstsq(shifted[:, best].reshape(len(shifted), -1).T, target[best].ravel(), rcond=None)[0]
    fitted = _unit(np.tensordot(taps, shifted, 1))
    correlations = (fitted * target).mean(axis=1)
    rest = np.square(target - correlations[:, None] * fitted)
    loudness = np.convolve(np.square(target).sum(axis=0), np.full(5, 0.2), "same")
    loud = loudness >= np.quantile(loudness, 0.75)
    return float(np.median(correlations)), float(np.median(rest[:, loud].sum(axis=1) / (rest.sum(axis=1) + 1e-9)))


def _best_lag(a: np.ndarray, b: np.ndarray) -> tuple[int, np.ndarray, float]:
    """The lag of ``b (L, T)`` after ``a (L, T)`` in samples, and the leads' signs and median correlation there."""
    size = fft.next_fast_len(a.shape[1] + b.shape[1], real=True)
    here_a, here_b = np.conj(fft.rfft(np.ones(a.shape[1]), size)), fft.rfft(np.ones(b.shape[1]), size)
    energy = fft.irfft(np.conj(fft.rfft(a * a, size)) * here_b, size) * fft.irfft(here_a * fft.rfft(b * b, size), size)
    energy = np.sqrt(np.maximum(energy, 1e-9))
    energy[:, fft.irfft(here_a * here_b, size) < LEAST_SAMPLES - 0.5] = np.inf
    spectra = np.conj(fft.rfft(a, size)) * fft.rfft(b, size)
    roughly = float(np.median(np.abs(fft.irfft(spectra, size) / energy), axis=0).max())
    if roughly < LIKE:
        return 0, np.ones(len(a)), roughly
    # In steps of 1.25 ms: in a regular rhythm, the next beat may match better than a wrong fraction of a sample.
    product = fft.irfft(spectra, _FINER * size) * _FINER
    steps = np.roll(product, _FINER // 2, axis=1).reshape(len(a), size, _FINER) / energy[:, :, None]
    lag, step = divmod(int(np.median(np.abs(steps), axis=0).argmax()), _FINER)
    signs = np.where(steps[:, lag, step] < 0, -1, 1)
    return lag if lag < b.shape[1] else lag - size, signs, float(np.median(np.abs(steps[:, lag, step])))


def _unit(wave: np.ndarray) -> np.ndarray:
    return wave / (np.sqrt(np.square(wave).mean(axis=1, keepdims=True)) + 1e-9)

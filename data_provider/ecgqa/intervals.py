"""Measures the intervals and voltages of a 12-lead ECG on its median beat.

Knows nothing of the simulator, so that simulated signals can be checked against their labels and ECG-QA's answers about
real recordings against their signals. QRS ends where the vector of all independent leads stops moving; P and T begin
and end where the tangent at the steepest point of their flank meets the level.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import butter, find_peaks, sosfiltfilt

from cardiolect.data_provider.ecgqa.r_peaks import NO_BEATS, find_r_peaks
from cardiolect.data_provider.record import INDEPENDENT, LIMB_FROM_I_II, resample

FS = 500
PEAK_FS = 250  # `find_r_peaks` was developed at this rate
SMOOTH_HZ, BASELINE_HZ = 45.0, 0.4
BEFORE = 0.50  # seconds of the median beat before R, at most
LONGEST_QTC = 0.62  # seconds; T is not looked for after this
LONGEST_PR, SHORTEST_P = 0.36, 0.03  # seconds
ALIKE = 0.90  # correlation with the median beat, from which a beat is one of the basic rhythm
V1, V5_V6 = 2, slice(6, 8)  # among the independent leads


@dataclass(frozen=True)
class Intervals:
    """Durations in ms, voltages in mV, the axis in degrees; NaN if it cannot be measured.

    rr: median of the intervals between beats of the basic rhythm, mean_rr their mean. rr_spread: standard deviation
    of these over their mean. beats: of the basic rhythm; others: beats of another shape, such as ventricular ones.
    p: duration of P; p_size: its height relative to what varies from beat to beat at its place.
    limb: largest peak-to-peak QRS of a limb lead. sokolow: S in V1 + larger R of V5 and V6.
    """

    rr: float
    mean_rr: float
    rr_spread: float
    beats: int
    others: int
    p: float = np.nan
    p_size: float = np.nan
    pr: float = np.nan
    qrs: float = np.nan
    qt: float = np.nan
    axis: float = np.nan
    limb: float = np.nan
    sokolow: float = np.nan

    @property
    def qtc(self) -> float:
        """QT corrected by Bazett's formula at the median RR interval."""
        return self.qt / (self.rr / 1000) ** 0.5


@dataclass(frozen=True)
class Delineation:
    """An ECG measured beat by beat, all at `FS` Hz.

    peaks: samples of the R waves; alike: whether each is of the basic rhythm. beats: mV ``(n, 8, T)``, those of the
    basic rhythm that are whole, with R at the sample ``r``. beat: mV ``(8, T)``, their median, relative to the level
    before QRS, with the samples of its QRS ``onset`` and ``end``. Both are None without two whole beats.
    """

    intervals: Intervals
    peaks: np.ndarray
    alike: np.ndarray
    beat: np.ndarray | None = None
    onset: int = 0
    end: int = 0
    beats: np.ndarray | None = None
    r: int = 0


def measure_intervals(signal: np.ndarray, fs: float) -> Intervals | None:
    """The intervals of ``(12, T)`` mV at ``fs`` Hz, leads in the order of LEADS; None with fewer than three beats."""
    found = delineate(signal, fs)
    return None if found is None else found.intervals


def delineate(signal: np.ndarray, fs: float) -> Delineation | None:
    """Measure ``(12, T)`` mV at ``fs`` Hz, leads in the order of LEADS; None with fewer than three beats."""
    signal = resample(signal, fs, FS).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            peaks = 2 * find_r_peaks(resample(signal, FS, PEAK_FS), PEAK_FS)
        except NO_BEATS:
            return None
    if len(peaks) < 3:
        return None
    smooth = sosfiltfilt(butter(2, SMOOTH_HZ, "lowpass", fs=FS, output="sos"), signal[list(INDEPENDENT)], axis=1)
    smooth -= sosfiltfilt(butter(1, BASELINE_HZ, "lowpass", fs=FS, output="sos"), smooth, axis=1)
    peaks, alike = _aligned(smooth, peaks)
    gaps = np.diff(peaks)
    basic = alike[1:] & alike[:-1]
    gaps = gaps[basic] if basic.sum() >= 2 else gaps
    rhythm = Intervals(
        rr=float(np.median(gaps)) * 1000 / FS,
        mean_rr=float(gaps.mean()) * 1000 / FS,
        rr_spread=float(gaps.std() / gaps.mean()),
        beats=int(alike.sum()),
        others=int((~alike).sum()),
    )
    cut = _windows(smooth, peaks[alike], rhythm.rr)
    return Delineation(rhythm, peaks, alike) if cut is None else _measure_beat(rhythm, peaks, alike, *cut)


def measure_halves(found: Delineation) -> list[Intervals]:
    """The intervals of the odd and of the even beats, each measured alone; empty with fewer than four whole beats."""
    if found.beats is None or len(found.beats) < 4:
        return []
    rhythm, halves = found.intervals, (found.beats[::2], found.beats[1::2])
    made = (_measure_beat(rhythm, found.peaks, found.alike, half, np.median(half, axis=0), found.r) for half in halves)
    return [each.intervals for each in made]


def _aligned(smooth: np.ndarray, peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Peaks moved to where their QRS fits the median QRS best, and whether it then resembles it."""
    half, reach = round(0.08 * FS), round(0.06 * FS)
    peaks = peaks[(peaks >= half + reach) & (peaks < smooth.shape[1] - half - reach)]
    alike = np.zeros(len(peaks), dtype=bool)
    if len(peaks) < 3:
        return peaks, alike
    for _ in range(2):
        middle = np.median([smooth[:, p - half : p + half] for p in peaks], axis=0)
        middle = (middle - middle.mean(axis=1, keepdims=True)).ravel()
        moved = []
        for i, peak in enumerate(peaks):
            shifts = range(max(peak - reach, half), min(peak + reach, smooth.shape[1] - half))
            fits = []
            for p in shifts:
                beat = smooth[:, p - half : p + half]
                beat = (beat - beat.mean(axis=1, keepdims=True)).ravel()
                fits.append(beat @ middle / (np.linalg.norm(beat) * np.linalg.norm(middle) + 1e-12))
            best = int(np.argmax(fits))
            moved.append(shifts[best])
            alike[i] = fits[best] >= ALIKE
        peaks = np.array(moved)
    return peaks, alike


def _windows(smooth: np.ndarray, peaks: np.ndarray, rr: float) -> tuple[np.ndarray, np.ndarray, int] | None:
    """Beats ``(n, 8, T)`` of the basic rhythm, their median ``(8, T)`` and the sample of R; None if there are none."""
    rr_samples = rr * FS / 1000
    before = round(min(BEFORE * FS, 0.6 * rr_samples))
    after = round(min(LONGEST_QTC * FS * (rr / 1000) ** 0.5, 0.85 * rr_samples))
    whole = peaks[(peaks >= before) & (peaks + after <= smooth.shape[1])]
    if len(whole) < 2:
        return None
    beats = np.stack([smooth[:, p - before : p + after] for p in whole])
    return beats, np.median(beats, axis=0), before


def _measure_beat(
    rhythm: Intervals, peaks: np.ndarray, alike: np.ndarray, beats: np.ndarray, beat: np.ndarray, r: int
) -> Delineation:
    onset, end = _qrs_ends(beat, r)
    beat = beat - np.median(beat[:, max(onset - 8, 0) : max(onset - 1, 1)], axis=1, keepdims=True)
    qrs = beat[:, onset : end + 1]
    limb = LIMB_FROM_I_II @ qrs[:2]
    t_end = _t_end(beat, end)
    # P is looked for from the end of the T wave before it.
    after_t = 0 if t_end is None else max(round(t_end - rhythm.rr * FS / 1000), 0)
    p = _p_ends(beat, onset, after_t)
    ms = 1000 / FS
    found = replace(
        rhythm,
        qrs=(end - onset) * ms,
        qt=np.nan if t_end is None else (t_end - onset) * ms,
        axis=_axis(*qrs[:2].sum(axis=1)),
        limb=float(np.ptp(limb, axis=1).max()),
        sokolow=float(max(-qrs[V1].min(), 0.0) + qrs[V5_V6].max()),
    )
    if p is not None:
        p_size = _constancy(beats, beat, slice(*p))
        found = replace(found, p=(p[1] - p[0]) * ms, p_size=p_size, pr=(onset - p[0]) * ms)
    return Delineation(found, peaks, alike, beat, onset, end, beats, r)


def _axis(area_i: float, area_ii: float) -> float:
    """Direction in degrees of the frontal vector with these projections on I and II."""
    return float(np.rad2deg(np.arctan2((2 * area_ii - area_i) / 3**0.5, area_i)))


def _constancy(beats: np.ndarray, beat: np.ndarray, place: slice) -> float:
    """Height of the median beat's wave at ``place`` over the deviation of single beats from it, all leads together."""
    beats = beats[:, :, place] - beats[:, :, place].mean(axis=2, keepdims=True)
    deviation = np.median(np.abs(beats - np.median(beats, axis=0)), axis=(0, 2))
    return float(np.linalg.norm(np.ptp(beat[:, place], axis=1)) / (np.linalg.norm(deviation) + 1e-9))


def _qrs_ends(beat: np.ndarray, r: int) -> tuple[int, int]:
    """First and last sample of QRS: where the speed of the vector of all leads stays under a share of its maximum."""
    speed = np.sqrt((np.gradient(beat, axis=1) ** 2).sum(axis=0))
    near = slice(max(r - 50, 0), r + 60)
    top = float(speed[near].max())
    quiet = max(0.06 * top, 1.5 * float(np.quantile(speed, 0.25)))
    fast = np.flatnonzero(speed[near] > 0.3 * top) + near.start
    onset, end = int(fast[0]), int(fast[-1])
    hold = round(0.010 * FS)
    while onset > hold and (speed[onset - hold : onset] > quiet).any():
        onset -= 1
    while end < len(speed) - hold - 1 and (speed[end + 1 : end + 1 + hold] > quiet).any():
        end += 1
    return onset, end


def _main_curve(segment: np.ndarray) -> np.ndarray:
    """The first principal component of ``(8, T)`` as a curve ``(T,)`` whose largest deflection is positive."""
    centred = segment - segment[:, -1:]
    u, _, _ = np.linalg.svd(centred, full_matrices=False)
    curve = u[:, 0] @ centred
    return curve * np.sign(curve[np.abs(curve).argmax()])


def _tangent(curve: np.ndarray, top: int, towards: int) -> float:
    """Where the steepest tangent of the flank of ``curve`` from ``top`` to ``towards`` meets zero."""
    slope = np.gradient(curve)
    flank = np.arange(top, towards, 1 if towards > top else -1)
    if len(flank) < 3:
        return float(towards)
    steepest = flank[np.abs(slope[flank]).argmax()]
    return float(steepest - curve[steepest] / slope[steepest]) if slope[steepest] else float(towards)


def _t_end(beat: np.ndarray, qrs_end: int) -> int | None:
    start = qrs_end + round(0.06 * FS)
    if beat.shape[1] - start < round(0.12 * FS):
        return None
    curve = _main_curve(beat[:, start:])
    curve = curve - np.median(curve[-10:])
    top = int(np.abs(curve).argmax())
    curve = curve * np.sign(curve[top])
    below = np.flatnonzero(curve[top:] < 0.1 * curve[top])
    last = top + int(below[0]) + 5 if len(below) else len(curve) - 1
    end = _tangent(curve, top, min(last, len(curve) - 1))
    return start + round(end) if top < len(curve) - 6 else None


def _p_ends(beat: np.ndarray, onset: int, after_t: int) -> tuple[int, int] | None:
    """First and last sample of P, by its magnitude over all leads; None without a peak between T and QRS."""
    first = max(onset - round(LONGEST_PR * FS), after_t)
    if onset - first < round(0.09 * FS):
        return None
    part = beat[:, first : onset + 1]
    level = np.linspace(0, 1, part.shape[1]) * (part[:, -1:] - part[:, :1]) + part[:, :1]
    size = np.sqrt(((part - level) ** 2).sum(axis=0))
    size = np.maximum(size - np.quantile(size, 0.1), 0)
    peaks, _ = find_peaks(size, height=0.35 * size.max(), prominence=0.1 * size.max())
    if not len(peaks):
        return None
    top = int(peaks[size[peaks].argmax()])
    humps = peaks[np.abs(peaks - top) < round(0.09 * FS)]
    reach = round(0.06 * FS)
    left = _tangent(size, int(humps[0]), max(int(humps[0]) - reach, 0))
    right = _tangent(size, int(humps[-1]), min(int(humps[-1]) + reach, len(size) - 1))
    left = max(round(left), int(humps[0]) - 2 * reach, 0)
    right = min(round(right), int(humps[-1]) + 2 * reach, len(size) - 1)
    return (first + left, first + right) if right - left >= SHORTEST_P * FS else None

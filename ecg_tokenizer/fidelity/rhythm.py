"""What a reader measures, in an ECG and in its reconstruction: R peaks, heart rate, QRS, PR and QT by neurokit2."""

import warnings
from dataclasses import dataclass

import neurokit2 as nk
import numpy as np

from cardiolect.data_provider.ecgqa.r_peaks import NO_BEATS, find_r_peaks
from cardiolect.data_provider.record import LEADS

R_TOLERANCE_MS = 50.0
WAVE_LEADS = ("I", "II", "III", "aVL", "aVF", "V5", "V6")
INTERVALS = ("qrs", "pr", "qt")
UNITS = {"heart_rate": "bpm", **dict.fromkeys(INTERVALS, "ms")}
# Noise far below what a reader sees (an ADC step of PTB-XL is 1 uV): what moves under it is the delineator's doing.
REPEAT_NOISE_MV = 0.01


@dataclass(frozen=True)
class Delineation:
    """R peaks in seconds, heart rate in bpm (NaN below two beats) and median intervals in ms (NaN where not found)."""

    r_peaks: np.ndarray
    heart_rate: float
    intervals: dict[str, float]


def upright_lead(signal: np.ndarray) -> int:
    """The row of ``(12, T)`` whose QRS points up most, of limb leads, V5 and V6: the delineator looks for an R wave."""

    def upward(row: int) -> float:
        lead = signal[row] - np.median(signal[row])
        return np.quantile(lead, 0.99) - np.quantile(-lead, 0.995)

    return max((LEADS.index(lead) for lead in WAVE_LEADS), key=upward)


def delineate(signal: np.ndarray, wave_lead: int, fs: float) -> Delineation:
    """R peaks of ``(12, T)`` mV in all leads together, the waves around them in row ``wave_lead``.

    Wavelet delineation of Martinez et al. 2004 (TBME 51:570) as in neurokit2. On the simulator, in the most upright
    lead and at 250 Hz, it finds QRS 23 ms too wide, PR 23 ms too short and QT 13 ms too long (medians): differences are
    to be trusted, lengths are not.
    """
    nothing = dict.fromkeys(INTERVALS, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            peaks = find_r_peaks(signal, fs)
        except NO_BEATS:
            peaks = np.array([], dtype=int)
        if len(peaks) < 2:
            return Delineation(peaks / fs, np.nan, nothing)
        rate = float(60 * fs / np.median(np.diff(peaks)))
        spans = {
            "qrs": ("ECG_R_Onsets", "ECG_R_Offsets"),
            "pr": ("ECG_P_Onsets", "ECG_R_Onsets"),
            "qt": ("ECG_R_Onsets", "ECG_T_Offsets"),
        }
        try:
            clean = nk.ecg_clean(signal[wave_lead].astype(float), sampling_rate=round(fs))
            waves = nk.ecg_delineate(clean, peaks, sampling_rate=round(fs), method="dwt")[1]
            found = {name: np.array(times, dtype=float) for name, times in waves.items()}
            intervals = {
                name: float(np.nanmedian(found[end] - found[start]) * 1000 / fs) for name, (start, end) in spans.items()
            }
        except NO_BEATS:
            intervals = nothing
    return Delineation(peaks / fs, rate, intervals)


def match_peaks(reference: np.ndarray, found: np.ndarray, tolerance_ms: float = R_TOLERANCE_MS) -> tuple[int, int, int]:
    """``(matched, missed, invented)`` beats; every beat is matched once at most. Times in seconds, ascending."""
    i = j = matched = 0
    tolerance = tolerance_ms / 1000 + 1e-9
    while i < len(reference) and j < len(found):
        distance = found[j] - reference[i]
        if abs(distance) <= tolerance:
            matched, i, j = matched + 1, i + 1, j + 1
        elif distance < 0:
            j += 1
        else:
            i += 1
    return matched, len(reference) - matched, len(found) - matched


def compare(original: Delineation, other: Delineation) -> dict[str, float]:
    """Errors of ``other`` against ``original``: beats matched, missed, invented; absolute errors in bpm and ms."""
    matched, missed, invented = match_peaks(original.r_peaks, other.r_peaks)
    return {
        "matched": matched,
        "missed": missed,
        "invented": invented,
        "heart_rate": abs(original.heart_rate - other.heart_rate),
        **{name: abs(original.intervals[name] - other.intervals[name]) for name in INTERVALS},
    }


def summarise(rows: list[tuple[dict[str, float], dict[str, float]]]) -> dict:
    """R-peak F1 over all beats, mean absolute errors, and of how many recordings.

    rows: `compare` of the original with its reconstruction, and with itself under a hair of noise. Errors of both are
    means over the same recordings, those measured in all three signals; what was lost in the reconstruction alone is
    counted, or a tokenizer that wipes out every doubtful P wave would look best.
    """
    sides = ("reconstruction", "original_with_noise")
    figures: dict = {side: {} for side in sides}
    for k, side in enumerate(sides):
        matched, missed, invented = (sum(row[k][key] for row in rows) for key in ("matched", "missed", "invented"))
        figures[side]["r_peak_f1"] = 2 * matched / max(2 * matched + missed + invented, 1)
    figures["recordings"], figures["lost"] = {}, {}
    for key, unit in UNITS.items():
        errors = np.array([[row[k][key] for k in (0, 1)] for row in rows]).reshape(-1, 2)
        known = ~np.isnan(errors)
        both = known.all(axis=1)
        for k, side in enumerate(sides):
            figures[side][f"{key}_error_{unit}"] = float(errors[both, k].mean()) if both.any() else None
        figures["recordings"][key] = int(both.sum())
        figures["lost"][key] = int((known[:, 1] & ~known[:, 0]).sum())
    return figures

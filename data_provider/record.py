"""One electrocardiogram in memory: millivolts, canonical leads and their relations, usable samples, resampling."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
LIMB_LEADS = LEADS[:6]
INDEPENDENT = tuple(LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))

# Every limb lead is a combination of I and II (Einthoven: III = II - I; Goldberger: the augmented leads).
LIMB_FROM_I_II = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])

SAID_OFFSET_MV, SAID_DRIFT_MV = 1.0, 2.0
WINDOW_SLACK = 0.1  # share of a window: a rest below it is not worth another window
CONTRADICTION = "its limb leads contradict Einthoven's law"  # how such a note begins

_MAX_DENOMINATOR = 10_000  # 257.3 Hz -> 500 Hz is 5000/2573 exactly; the clock error of any other pair stays below 1e-4
_HALF_FILTER = 10  # half the length of resample_poly's filter, in samples of the slower rate
_IN_CACHE = 2**18  # samples that stay in a processor's cache; more are slower to filter at once


@dataclass(frozen=True)
class ECGRecord:
    """A 12-lead ECG.

    signal: float32 ``(12, T)`` in millivolts, rows in the order of `LEADS`, with the offsets that the source has:
        `without_offsets` takes them off before an ECG is encoded. A lead's unusable samples are interpolated or its
        median, and 0 if it has no others.
    fs: sampling rate in Hz.
    good: bool ``(12, T)``, False where the source had no usable value (missing lead, gap, NaN).
    record_id: the key of the record within its corpus.
    patient_id: groups the records of one person; used for splits and floors, never in prompts.
    computed: leads that the source lacks and that were computed from two other limb leads.
    notes: what the reader cut, masked or assumed, a clause each.
    """

    signal: np.ndarray
    fs: float
    good: np.ndarray
    record_id: str
    patient_id: str | None = None
    computed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return self.signal.shape[1] / self.fs

    @property
    def lead_present(self) -> np.ndarray:
        """bool ``(12,)``: whether the lead has any usable sample."""
        return self.good.any(axis=1)

    @property
    def absent(self) -> tuple[str, ...]:
        """Leads that were neither recorded nor computed."""
        return tuple(lead for lead, present in zip(LEADS, self.lead_present, strict=True) if not present)

    @property
    def visible(self) -> np.ndarray:
        """``(12, T)`` mV as pictures show them: without offsets, NaN where there is no usable value."""
        return np.where(self.good, without_offsets(self.signal), np.nan)

    @property
    def contradicts(self) -> bool:
        """Whether the limb leads contradict one another: mislabelled, exchanged or inverted."""
        return any(note.startswith(CONTRADICTION) for note in self.notes)

    @property
    def masked(self) -> dict[str, float]:
        """Share of samples without a usable value, for the leads that have both."""
        shares = 1 - self.good.mean(axis=1)
        return {lead: float(share) for lead, share in zip(LEADS, shares, strict=True) if 0 < share < 1}

    def remarks(self) -> list[str]:
        """All that is not as a clean 12-lead ECG has it, a sentence each; empty if there is nothing to say."""
        found = []
        if self.absent:
            found.append(f"Not recorded, treated as flat: {', '.join(self.absent)}.")
        if self.computed:
            found.append(f"Not recorded, computed from other limb leads: {', '.join(self.computed)}.")
        found += [f"{note[0].upper()}{note[1:]}." for note in self.notes]
        if masked := self.masked:
            shares = ", ".join(f"{lead} {100 * share:.0f} %" for lead, share in masked.items() if share >= 0.005)
            found += [f"Share of samples without a voltage: {shares}."] if shares else []
        present = [row for row in range(len(LEADS)) if self.good[row].any()]
        offsets = {LEADS[row]: float(np.median(self.signal[row][self.good[row]])) for row in present}
        if large := [f"{lead} {mv:+.1f} mV" for lead, mv in offsets.items() if abs(mv) > SAID_OFFSET_MV]:
            found.append(f"Offsets, taken off before encoding: {', '.join(large)}.")
        drifts = {LEADS[row]: _drift(self.signal[row], self.good[row], self.fs) for row in present}
        if large := [f"{lead} {mv:.1f} mV" for lead, mv in drifts.items() if mv > SAID_DRIFT_MV]:
            found.append(f"Baselines that drift by more than codes keep: {', '.join(large)}.")
        return found


def part_of(record: ECGRecord, first: int, count: int) -> ECGRecord:
    """``count`` samples of a recording from sample ``first``, or as many as it has."""
    part = np.s_[:, first : first + count]
    return replace(record, signal=record.signal[part].copy(), good=record.good[part].copy())


def windows_of(record: ECGRecord, seconds: float, every: bool = True) -> list[ECGRecord]:
    """Windows of ``seconds`` that cover a recording: the first begins and the last ends with it, evenly spread.

    A recording that is not longer is its only window. Neighbours overlap as little as possible; up to `WINDOW_SLACK` of
    a window may be left uncovered. every: False gives the first window alone. seconds: 0 gives the whole recording.
    """
    count, samples = max(1, round(seconds * record.fs)), record.signal.shape[1]
    if not seconds or samples <= count:
        return [record]
    number = math.ceil(samples / count - WINDOW_SLACK) if every else 1
    starts = np.linspace(0, samples - count, number).round().astype(int) if number > 1 else [0]
    return [part_of(record, int(first), count) for first in starts]


def without_offsets(signal: np.ndarray) -> np.ndarray:
    """float32 ``(12, T)`` in mV, each lead less its median: a constant, such as an electrode's offset, is no ECG.

    Readers put the median of a lead where samples are masked, which therefore become 0.
    """
    signal = np.asarray(signal, dtype=np.float32)
    return (signal - _medians(signal)[:, None]).astype(np.float32)


def _medians(signal: np.ndarray) -> np.ndarray:
    """float64 ``(C,)``: the median of each row of float32 ``(C, T)``, as ``np.median`` gives it for float64."""
    if not signal.shape[1] or np.isnan(signal).any():
        return np.median(signal.astype(float), axis=1)
    half = signal.shape[1] // 2
    ordered = np.partition(signal, half, axis=1)
    upper = ordered[:, half].astype(float)
    return upper if signal.shape[1] % 2 else (ordered[:, :half].max(axis=1) + upper) / 2


def _drift(lead: np.ndarray, good: np.ndarray, fs: float) -> float:
    """Range in mV of the medians of whole seconds, which beats hardly move."""
    second = max(1, round(fs))
    pieces = [lead[i : i + second][good[i : i + second]] for i in range(0, len(lead), second)]
    medians = [float(np.median(piece)) for piece in pieces if len(piece) > second / 2]
    return max(medians) - min(medians) if medians else 0.0


def complete_limb_leads(signal: np.ndarray, usable: list[bool], absent: list[bool]) -> None:
    """Compute absent limb leads from two usable ones, in place; does nothing if fewer than two are usable.

    signal ``(12, T)`` in mV, in the order of `LEADS`, NaN where unknown; usable and absent have 12 flags each. A
    computed sample is NaN if either source is.
    """
    sources = [row for row in range(len(LIMB_LEADS)) if usable[row]][:2]
    if len(sources) < 2:
        return
    # Any two of the six rows are linearly independent, so I and II follow from any two leads.
    to_limb = LIMB_FROM_I_II @ np.linalg.inv(LIMB_FROM_I_II[sources])
    for row in range(len(LIMB_LEADS)):
        if absent[row]:
            signal[row] = to_limb[row] @ signal[sources]


def resample(signal: np.ndarray, fs_in: float, fs_out: float) -> np.ndarray:
    """Signal ``(C, T)`` at ``fs_in`` Hz -> float32 ``(C, round(T * fs_out / fs_in))`` at ``fs_out`` Hz.

    Raises ValueError if a rate is not positive or the signal has no samples.
    """
    if not (fs_in > 0 and fs_out > 0) or signal.shape[1] == 0:
        raise ValueError(f"cannot resample {signal.shape} from {fs_in} Hz to {fs_out} Hz")
    signal = np.asarray(signal, np.float32)
    if fs_in == fs_out:
        return signal
    ratio = Fraction(fs_out / fs_in).limit_denominator(_MAX_DENOMINATOR)
    n_out = max(1, round(signal.shape[1] * fs_out / fs_in))
    up, down = ratio.numerator, ratio.denominator
    # Both ends are padded with their point reflection for half a filter length, so that offset, drift and waves do not
    # ring there. A multiple of ``down`` keeps the first output sample on the first input sample.
    blocks = math.ceil(_HALF_FILTER * max(up, down) / (up * down)) + 1
    padded = np.pad(signal, ((0, 0), (blocks * down,) * 2), mode="reflect", reflect_type="odd")
    return np.ascontiguousarray(_filtered(padded, up, down)[:, blocks * up : blocks * up + n_out])


def _filtered(signal: np.ndarray, up: int, down: int) -> np.ndarray:
    """``scipy.signal.resample_poly`` of float32 ``(C, T)`` along time, with its default filter."""
    from scipy.signal import resample_poly  # takes a third of a second to import; reading alone does not need it

    weights = _weights(up, down)
    if up > 1 or signal.size > _IN_CACHE:
        return resample_poly(signal, up, down, axis=1, window=weights)
    # scipy's sum for each sample, in its order, but for all samples at once: equal bit by bit, and faster.
    half, n_out = _HALF_FILTER * down, -(-signal.shape[1] // down)
    padded = np.pad(signal, ((0, 0), (half, half + down)))
    phases = [np.ascontiguousarray(padded[:, phase::down]) for phase in range(down)]
    out = np.zeros((len(signal), n_out), np.float32)
    for k, weight in enumerate(weights[::-1]):
        out += phases[k % down][:, k // down : k // down + n_out] * weight
    return out


@lru_cache
def _weights(up: int, down: int) -> np.ndarray:
    """float32: the filter that ``resample_poly`` designs for every call."""
    from scipy.signal import firwin

    fastest = max(up, down)
    return firwin(2 * _HALF_FILTER * fastest + 1, 1 / fastest, window=("kaiser", 5.0)).astype(np.float32)

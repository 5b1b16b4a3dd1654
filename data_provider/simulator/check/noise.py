"""Whether the leads that a truth calls noisy are, and the others are not, as measured on the signal."""

from collections.abc import Iterable, Iterator

import numpy as np
from scipy.signal import butter, sosfiltfilt

from cardiolect.data_provider.ecgqa.findings import NOISES
from cardiolect.data_provider.ecgqa.r_peaks import NO_BEATS, find_r_peaks
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.data_provider.simulator.check.signals import enough
from cardiolect.data_provider.simulator.truth import Truth

FS = 500
LEAST = 0.95  # share of leads judged right
DRIFT, STATIC, BURST, ELECTRODE = NOISES
# Size of the noise as `_sizes` measures it, in mV: a lead with more has it.
LIMITS_MV = {DRIFT: 0.20, STATIC: 0.018, BURST: 0.10, ELECTRODE: 0.55}
LIMB_LEADS = 6


def noise_judgements(truth: Truth, signal: np.ndarray) -> Iterator[tuple[str, bool]]:
    """(kind, whether truth and signal ``(12, T)`` in mV agree) for each kind and lead that the truth decides."""
    sizes = _sizes(signal)
    left_open = getattr(truth, "open", ())
    for kind, named in ((kind, truth.noise.get(kind, ())) for kind in NOISES if kind not in left_open):
        # Limb leads share their electrodes, so noise of one is in others by halves; and other noise looks like this.
        others = [other for other in truth.noise if other != kind]
        for row, lead in enumerate(LEADS):
            if lead in named:
                yield kind, bool(sizes[kind][row] > LIMITS_MV[kind])
            elif not others and not any(LEADS.index(each) < LIMB_LEADS for each in named):
                yield kind, bool(sizes[kind][row] <= LIMITS_MV[kind])


def _sizes(signal: np.ndarray) -> dict[str, np.ndarray]:
    """Kind -> size ``(12,)`` in mV.

    Drift: see `_drift`. Static: typical deviation above 45 Hz, in the quietest half of short windows.
    Burst: the same in the loudest of them. Electrode: how far the level of half a second is from that of the recording.
    """
    fast = sosfiltfilt(butter(4, 45, "highpass", fs=FS, output="sos"), signal, axis=1)
    windows = fast[:, : fast.shape[1] // 50 * 50].reshape(len(fast), -1, 50).std(axis=2)
    longer = np.sqrt((windows[:, : windows.shape[1] // 3 * 3] ** 2).reshape(len(fast), -1, 3).min(axis=2))
    level = np.median(signal[:, : signal.shape[1] // 250 * 250].reshape(len(signal), -1, 250), axis=2)
    return {
        DRIFT: _drift(signal),
        STATIC: np.quantile(windows, 0.25, axis=1),
        BURST: longer.max(axis=1),
        ELECTRODE: np.abs(level - np.median(level, axis=1, keepdims=True)).max(axis=1),
    }


def _drift(signal: np.ndarray) -> np.ndarray:
    """How far the level before QRS varies over beats, ``(12,)``; filters would take T waves of slow hearts for drift.

    From the 10th to the 90th percentile, which leaves out single beats after extrasystoles.
    """
    try:
        peaks = 2 * find_r_peaks(resample(signal, FS, FS / 2), FS / 2)
    except NO_BEATS:
        peaks = np.array([], dtype=int)
    before, width = round(0.1 * FS), 10
    levels = [
        np.median(signal[:, p - before - width : p - before + width], axis=1) for p in peaks if p > before + width
    ]
    return np.subtract(*np.quantile(levels, [0.9, 0.1], axis=0)) if levels else np.zeros(len(signal))


def judge_noise(judgements: Iterable[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """A row of the table for each kind of noise, and whether enough leads are judged right."""
    found: dict[str, list[bool]] = {kind: [] for kind in NOISES}
    for kind, right in judgements:
        found[kind].append(right)
    for kind, judged in found.items():
        share = float(np.mean(judged)) if judged else 1.0
        good = enough(share, LEAST, len(judged) / len(LEADS))  # the leads of a recording are alike
        yield (
            (
                f"| {kind}, by lead | {len(judged)} | {100 * share:.0f} % | | "
                f"at least {100 * LEAST:.0f} %{'' if good else ': OUT OF BOUNDS'} |"
            ),
            good,
        )

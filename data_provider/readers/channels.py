"""Turns the channels of a file into a 12-lead ECG: leads by name, in millivolts, unusable samples masked or refused.

Every reader uses this module, so the same rules apply to every format.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cardiolect.data_provider.record import LEADS, complete_limb_leads

MIN_LEADS = 6
MIN_SECONDS = 1.0
MAX_MV = 50.0  # ten times the largest QRS; above it, the gain or unit must be wrong
MAX_BRIDGED_SECONDS = 0.2
MIN_USABLE_FRACTION = 0.5  # a lead with fewer good samples does not count towards MIN_LEADS
MAX_HZ = 100_000.0

MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}  # micro sign, and Greek mu
LONG_UNITS = {"millivolt": "mv", "microvolt": "uv", "nanovolt": "nv", "volt": "v"}


class FileError(ValueError):
    """The file is invalid or not an ECG; the message gives the reason, the caller adds the file name."""


@dataclass(frozen=True)
class Channels:
    """The leads in a file, and what the file says about them.

    leads: canonical name -> float millivolts ``(T,)``, NaN where unknown.
    fs: Hz.
    kind: format and version ("SCP-ECG 2.0").
    names: canonical name -> name in the file.
    ignored: names of the file's other signals.
    scales: canonical name -> what one step of the stored numbers means ("2.5 uV").
    notes: what was cut, assumed or left out, a clause each, without a full stop.
    """

    leads: Mapping[str, np.ndarray]
    fs: float
    kind: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    scales: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def mv_per_unit(unit: str) -> float:
    """The factor from a voltage unit ("uV", "MICROVOLTS") to millivolts. Raises `FileError` on any other unit."""
    text = unit.strip().lower()
    text = LONG_UNITS.get(text.removesuffix("s"), text)
    if text not in MV_PER_UNIT:
        raise FileError(f"the unknown unit '{unit.strip()[:20]}'; use uV, mV or V")
    return MV_PER_UNIT[text]


def assemble(channels: Channels) -> tuple[np.ndarray, np.ndarray]:
    """``signal (12, T)`` float32 mV and ``good (12, T)`` as in `ECGRecord`.

    Missing limb leads are computed if two others are usable. A constant lead becomes zero and not good: its electrode
    was off. Gaps of up to 0.2 s are bridged by a line, longer ones set to zero; neither is good. Raises `FileError` if
    the result is not a plausible ECG.
    """
    fs, leads = channels.fs, channels.leads
    if not 0 < fs <= MAX_HZ:
        raise FileError(f"the sampling rate is {fs:g} Hz")
    lengths = {len(values) for values in leads.values()}
    if len(lengths) != 1:
        raise FileError("its leads have different lengths")
    n_samples = lengths.pop()
    if n_samples < MIN_SECONDS * fs:
        raise FileError(f"only {n_samples / fs:.2f} s long; at least {MIN_SECONDS:g} s are needed")
    signal = np.full((len(LEADS), n_samples), np.nan)
    for lead, values in leads.items():
        known = values[np.isfinite(values)]
        if known.size == 0 or np.ptp(known) == 0:
            continue
        if np.abs(known).max() > MAX_MV:
            raise FileError(f"lead {lead} reaches {np.abs(known).max():.0f} mV; check gain and unit")
        signal[LEADS.index(lead)] = values
    signal[~np.isfinite(signal)] = np.nan
    complete_limb_leads(signal, _usable(signal), [lead not in leads for lead in LEADS])
    n_usable = sum(_usable(signal))
    if n_usable < MIN_LEADS:
        raise FileError(f"only {n_usable} usable leads; at least {MIN_LEADS} are needed")
    filled = np.stack([bridge_gaps(lead, fs) for lead in signal])
    return filled.astype(np.float32), np.isfinite(signal)


def _usable(signal: np.ndarray) -> list[bool]:
    return (np.isfinite(signal).mean(axis=1) >= MIN_USABLE_FRACTION).tolist()


def bridge_gaps(values: np.ndarray, fs: float) -> np.ndarray:
    """Values ``(T,)`` with NaN gaps of at most 0.2 s between two samples filled by a line, other gaps by 0."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    known = np.flatnonzero(finite)
    filled = np.where(finite, values, 0)
    longest = MAX_BRIDGED_SECONDS * fs
    steps = np.diff(known)
    for left, step in zip(known[:-1][steps > 1], steps[steps > 1], strict=True):
        if step - 1 <= longest:
            filled[left : left + step + 1] = np.linspace(values[left], values[left + step], step + 1)
    return filled

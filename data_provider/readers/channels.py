"""From the channels of a file to a 12-lead ECG: by name, in millivolts, with what cannot be trusted masked or refused.

Every reader ends here, so every format obeys the same rules.
"""

from dataclasses import dataclass

import numpy as np

from cardiolect.data_provider.record import LEADS, canonical_lead, complete_limb_leads

MIN_LEADS = 6
MIN_SECONDS = 1.0
MAX_MV = 50.0  # ten times the largest QRS: beyond it, gain or unit is wrong
MAX_BRIDGED_SECONDS = 0.2
MIN_USABLE_FRACTION = 0.5  # a lead with fewer good samples does not count towards MIN_LEADS
MAX_HZ = 100_000.0

MV_PER_UNIT = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6, "v": 1e3}  # micro sign, and Greek mu
LONG_UNITS = {"millivolt": "mv", "microvolt": "uv", "nanovolt": "nv", "volt": "v"}


class FileError(ValueError):
    """The file is wrong or not an ECG; the message says how, the caller names the file."""


@dataclass(frozen=True)
class Channels:
    """What a file holds of the 12 leads: float millivolts ``(T,)`` by canonical name, NaN where unknown; fs in Hz."""

    leads: dict[str, np.ndarray]
    fs: float


def mv_per_unit(unit: str) -> float:
    """The factor from a voltage unit ("uV", "MICROVOLTS") to millivolts; raises `FileError` on any other."""
    text = unit.strip().lower()
    text = LONG_UNITS.get(text.removesuffix("s"), text)
    if text not in MV_PER_UNIT:
        raise FileError(f"the unit '{unit.strip()[:20]}'; known are uV, mV, V")
    return MV_PER_UNIT[text]


def lead_rows(names: list[str]) -> dict[str, int]:
    """Canonical lead -> index in ``names``; other signals are left out. Raises `FileError` on doubled or no leads."""
    rows: dict[str, int] = {}
    for index, name in enumerate(names):
        lead = canonical_lead(name)
        if lead is None:
            continue
        if lead in rows:
            raise FileError(f"lead {lead} stands twice in the file")
        rows[lead] = index
    if not rows:
        raise FileError(f"none of its signals is one of the 12 leads ({', '.join(names)[:60]})")
    return rows


def assemble(channels: Channels) -> tuple[np.ndarray, np.ndarray]:
    """``signal (12, T)`` float32 mV and ``good (12, T)`` as in `ECGRecord`.

    Limb leads that the file does not have are computed where two others are usable. A lead that never changes is zero
    and not good: its electrode was off. Gaps up to 0.2 s are bridged by a line, longer ones are zero; neither is good.
    Raises `FileError` on what is no plausible ECG.
    """
    fs, leads = channels.fs, channels.leads
    if not 0 < fs <= MAX_HZ:
        raise FileError(f"the sampling rate is {fs:g} Hz")
    lengths = {len(values) for values in leads.values()}
    if len(lengths) != 1:
        raise FileError("its leads differ in length")
    n_samples = lengths.pop()
    if n_samples < MIN_SECONDS * fs:
        raise FileError(f"{n_samples / fs:.2f} s long; at least {MIN_SECONDS:g} s are needed")
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
        raise FileError(f"{n_usable} usable leads; at least {MIN_LEADS} are needed")
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

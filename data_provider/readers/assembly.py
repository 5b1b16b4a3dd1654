"""From the channels of a file to a 12-lead ECG: samples that are not voltages are masked, contradictions are refused.

Every reader ends here, so the same rules hold for every format.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, FileError
from cardiolect.data_provider.readers.scale import unusual_scale
from cardiolect.data_provider.readers.usable import Run, padding, plainly_usable, unusable_runs
from cardiolect.data_provider.record import (
    CONTRADICTION,
    LEADS,
    LIMB_FROM_I_II,
    LIMB_LEADS,
    complete_limb_leads,
)

MIN_LEADS = 6
MIN_SECONDS = 1.0
MAX_BRIDGED_SECONDS = 0.2
MIN_USABLE_FRACTION = 0.5  # a lead with fewer good samples does not count towards MIN_LEADS
MAX_HZ = 100_000.0
# 1,010 recordings of nine corpora break the law by at most 0.09, most by less than 0.01; wrong orders by 0.15 to 1.2.
SUSPECT_LAW_BROKEN, MAX_LAW_BROKEN = 0.05, 0.2
MAX_LAW_MV = 0.03  # leads of a few microvolts break it by rounding
LISTED_RUNS = 4  # of a lead, in words
LISTED_NAMES, LONGEST_NAME = 5, 20  # of signals that are none of the twelve leads


class Assembled(NamedTuple):
    """An ECG as in `ECGRecord`: signal and good ``(12, T)``, and what there is to say about it.

    computed: leads that the file lacks and that were computed from others. notes: clauses on what was cut, masked or
    contradicts itself.
    """

    signal: np.ndarray
    good: np.ndarray
    computed: tuple[str, ...]
    notes: tuple[str, ...]


def assemble(channels: Channels, check_leads: bool = True) -> Assembled:
    """Leads in canonical order and float32 mV; samples that are not voltages are masked.

    Padding at the ends, in all leads at once, is cut off. Gaps of up to 0.2 s are bridged by a line, longer ones get
    the lead's median; neither is good. Missing limb leads are computed from two others; a lead that is constant
    throughout counts as not recorded and is 0. Offsets of leads stay as they are, see `record.without_offsets`.

    Raises `FileError` if the result is not a plausible ECG, or if its limb leads contradict one another; with
    ``check_leads`` false, the latter is a note.
    """
    fs, leads = channels.fs, channels.leads
    if not 0 < fs <= MAX_HZ:
        raise FileError(f"the sampling rate is {fs:g} Hz")
    if len({len(values) for values in leads.values()}) != 1:
        raise FileError("its leads have different lengths")
    signal = np.empty((len(LEADS), len(next(iter(leads.values())))))
    for row, lead in enumerate(LEADS):
        signal[row] = leads.get(lead, np.nan)
    if not (finite := np.isfinite(signal)).all():
        signal[~finite] = np.nan
    recorded = [lead in leads for lead in LEADS]
    signal, cut = _without_padding(signal, recorded, fs)
    n_samples = signal.shape[1]
    if n_samples < MIN_SECONDS * fs:
        raise FileError(f"only {n_samples / fs:.2f} s long; at least {MIN_SECONDS:g} s are needed{_in_brackets(cut)}")
    plain = plainly_usable(signal, fs)
    masked = [] if plain.all() else _gaps(signal, fs)
    for row in np.flatnonzero(~plain):
        if recorded[row]:
            signal[row], told = _masked(signal[row], fs, LEADS[row])
            masked += told
    contradiction = _contradiction(signal)
    if contradiction and check_leads:
        raise FileError(f"{contradiction[0]}; correct the names, or read it all the same with LEAD_LAW=warn")
    good = np.isfinite(signal)
    computed = ()
    if not good.all():
        complete_limb_leads(signal, _usable(signal), [not there for there in recorded])
        usable = [lead for lead, enough in zip(LEADS, _usable(signal), strict=True) if enough]
        if len(usable) < MIN_LEADS:
            raise FileError(_too_few(usable, channels.ignored) + _in_brackets([*cut, *masked]))
        good = np.isfinite(signal)
        computed = tuple(
            lead for lead, there, row in zip(LEADS, recorded, good, strict=True) if not there and row.any()
        )
    filled = signal if good.all() else np.stack([bridge_gaps(lead, fs) for lead in signal])
    odd = unusual_scale(channels, signal)
    notes = (*channels.notes, *cut, *masked, *contradiction, *odd)
    return Assembled(filled.astype(np.float32), good, computed, notes)


def _too_few(usable: Sequence[str], others: Sequence[str]) -> str:
    """The error of a recording with fewer than `MIN_LEADS` usable leads, and ``others`` that are none of the twelve."""
    leads = (
        f"only {len(usable)} usable lead{'s' * (len(usable) > 1)} ({', '.join(usable)})" if usable else "no usable lead"
    )
    names = [" ".join(name.split())[:LONGEST_NAME] for name in others if name.strip()]
    listed = ", ".join(names[:LISTED_NAMES]) + (
        f" and {len(names) - LISTED_NAMES} more" if names[LISTED_NAMES:] else ""
    )
    none = f"; {listed} {'is' if len(names) == 1 else 'are'} none of the 12" if names else ""
    return f"{leads}{none}; at least {MIN_LEADS} are needed"


def law_broken(signal: np.ndarray) -> float:
    """How far the limb leads contradict Einthoven's and Goldberger's laws: 0 in theory and at most 0.09 in practice.

    signal: ``(12, T)`` mV, NaN where unknown; offsets of leads do not count. It is the root of the share of the limb
    leads' energy that the first two of them do not explain; 0 if fewer than three are known at the same time.
    """
    return _unexplained(*_limb_energy(signal))[0]


def _limb_energy(signal: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Mean products in mV^2 of the known limb leads over the samples known in all of them, and their rows."""
    values, known = signal[: len(LIMB_LEADS)], list(range(len(LIMB_LEADS)))
    finite = np.isfinite(values)
    if not finite.all():
        known = np.flatnonzero(finite.mean(axis=1) >= MIN_USABLE_FRACTION).tolist()
        values = values[known][:, finite[known].all(axis=0)]
    if not values.size:
        return np.zeros((0, 0)), []
    values = values - values.mean(axis=1, keepdims=True)
    return values @ values.T / values.shape[1], known


def _unexplained(
    energy: np.ndarray, known: Sequence[int], order: Sequence[int] = range(len(LIMB_LEADS))
) -> tuple[float, float]:
    """Of `_limb_energy`, what `law_broken` says, and the root mean square in mV of what is left.

    order: the row that is taken for each of `LIMB_LEADS`.
    """
    rows = [row for row in range(len(LIMB_LEADS)) if order[row] in known]
    if len(rows) < 3:
        return 0.0, 0.0
    taken = [known.index(order[row]) for row in rows]
    left = np.eye(len(rows))
    left[:, :2] -= LIMB_FROM_I_II[rows] @ np.linalg.inv(LIMB_FROM_I_II[rows[:2]])
    unexplained = max(0.0, float(np.trace(left @ energy[np.ix_(taken, taken)] @ left.T)))
    return float(np.sqrt(unexplained / max(float(np.trace(energy)), 1e-12))), float(np.sqrt(unexplained / len(rows)))


def _contradiction(signal: np.ndarray) -> tuple[str, ...]:
    """What is wrong with the limb leads, a clause, or nothing.

    Leads as alike as aVL and aVF may be exchanged without breaking the law by much: other orders are tried then.
    """
    energy, known = _limb_energy(signal)
    broken, left_mv = _unexplained(energy, known)
    if broken <= SUSPECT_LAW_BROKEN:
        return ()
    fits = min(permutations(range(len(LIMB_LEADS))), key=lambda order: _unexplained(energy, known, order)[0])
    clause = f"{CONTRADICTION} (III = II - I, aVR = -(I + II) / 2, ...): "
    if _unexplained(energy, known, fits)[0] < broken / 5:
        names = ", ".join(LIMB_LEADS[fits.index(row)] for row in range(len(LIMB_LEADS)))
        return (f"{clause}{', '.join(LIMB_LEADS)} fit it if they are {names}",)
    if broken > MAX_LAW_BROKEN and left_mv > MAX_LAW_MV:
        return (f"{clause}{100 * broken:.0f} % of their amplitude is unexplained; leads are mislabelled or inverted",)
    return ()


def bridge_gaps(values: np.ndarray, fs: float) -> np.ndarray:
    """Values ``(T,)`` with NaN gaps of at most 0.2 s between two samples filled by a line, others by the median."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    known = np.flatnonzero(finite)
    filled = np.where(finite, values, np.median(values[finite]) if finite.any() else 0)
    longest = MAX_BRIDGED_SECONDS * fs
    steps = np.diff(known)
    for left, step in zip(known[:-1][steps > 1], steps[steps > 1], strict=True):
        if step - 1 <= longest:
            filled[left : left + step + 1] = np.linspace(values[left], values[left + step], step + 1)
    return filled


def _without_padding(signal: np.ndarray, recorded: Sequence[bool], fs: float) -> tuple[np.ndarray, list[str]]:
    begin, end = padding([lead for lead, there in zip(signal, recorded, strict=True) if there], fs)
    n_samples = signal.shape[1]
    if begin >= n_samples:
        raise FileError("none of its leads ever changes, so it holds no ECG")
    told = [
        f"{count / fs:.2f} s without any signal cut off at the {place}"
        for count, place in ((begin, "beginning"), (end, "end"))
        if count
    ]
    return signal[:, begin : n_samples - end], told


def _masked(values: np.ndarray, fs: float, lead: str) -> tuple[np.ndarray, list[str]]:
    """Values ``(T,)`` with NaN for samples that are not voltages, and one clause about them."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return values, []
    if np.ptp(known) == 0:
        return np.full_like(values, np.nan), [f"{lead} never changes and counts as not recorded"]
    runs = unusable_runs(values, fs, lead)
    values = values.copy()
    for run in runs:
        values[run.first : run.end] = np.nan
    if not runs:
        return values, []
    return values, [f"masked in {lead}: {_spans(runs, fs)}"]


def _gaps(signal: np.ndarray, fs: float) -> list[str]:
    """Clauses on stretches for which the file has no value, for all leads with the same ones together."""
    found: dict[str, list[str]] = {}
    for lead, values in zip(LEADS, signal, strict=True):
        unknown = np.isnan(values)
        if unknown.any() and not unknown.all():
            edges = np.flatnonzero(np.diff(unknown, prepend=False, append=False))
            runs = [Run(int(first), int(end), "") for first, end in edges.reshape(-1, 2)]
            found.setdefault(_spans(runs, fs), []).append(lead)
    return [f"no value in {_all_or(names)}: {spans}" for spans, names in found.items()]


def _all_or(names: Sequence[str]) -> str:
    return "all leads" if len(names) == len(LEADS) else ", ".join(names)


def _spans(runs: Sequence[Run], fs: float) -> str:
    spans = [
        f"{run.first / fs:.2f}-{run.end / fs:.2f} s" + (f" ({run.why})" if run.why else "")
        for run in runs[:LISTED_RUNS]
    ]
    if more := runs[LISTED_RUNS:]:
        spans.append(f"{len(more)} more stretches of {sum(r.end - r.first for r in more) / fs:.2f} s in all")
    return ", ".join(spans)


def _usable(signal: np.ndarray) -> list[bool]:
    return (np.isfinite(signal).mean(axis=1) >= MIN_USABLE_FRACTION).tolist()


def _in_brackets(clauses: Sequence[str]) -> str:
    return f" ({'; '.join(clauses)[:200]})" if clauses else ""

"""Rate, gain and amplitude that no ECG is likely to have: a file may state them all the same, so they are said."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from cardiolect.data_provider.readers.channels import Channels, mv_per_unit

USUAL_HZ = (100.0, 4000.0)
USUAL_MV = (0.1, 20.0)  # of the largest lead, 1st to 99th percentile; units are a thousandfold apart
FEWEST_LEADS = 6
MOST_ODD = 1 / 4  # of the leads; where more differ, every lead has a gain of its own


def unusual_scale(channels: Channels, signal: np.ndarray) -> list[str]:
    """Clauses on what is unlikely. signal: ``(12, T)`` mV, NaN where there is no usable value."""
    notes = []
    if not USUAL_HZ[0] <= channels.fs <= USUAL_HZ[1]:
        notes.append(f"a sampling rate of {channels.fs:g} Hz is unusual; check it")
    ranges = np.ptp(signal, axis=1)  # NaN if any sample is
    # No lead spans more than its range, and percentiles take most of the time: those of one lead usually suffice.
    if not (ranges.max() <= USUAL_MV[1] and _span(signal[np.argmax(ranges)]) >= USUAL_MV[0]):
        spans = [_span(lead) for lead in signal if np.isfinite(lead).any()]
        if spans and not USUAL_MV[0] <= max(spans) <= USUAL_MV[1]:
            notes.append(f"its largest lead spans {max(spans):.3g} mV, which is unusual; check gain and unit")
    return notes + _odd_steps(channels.scales)


def _span(lead: np.ndarray) -> float:
    return float(np.ptp(np.percentile(lead[np.isfinite(lead)], (1, 99))))


def _odd_steps(scales: Mapping[str, str]) -> list[str]:
    """Leads whose step differs from the one that nearly all leads share."""
    if len(scales) < FEWEST_LEADS:
        return []
    steps = {lead: step_in_mv(scale) for lead, scale in scales.items()}
    usual, count = Counter(steps.values()).most_common(1)[0]
    odd = [lead for lead, step in steps.items() if step != usual]
    if not odd or len(scales) - count > MOST_ODD * len(scales):
        return []
    lead = next(lead for lead in scales if lead not in odd)
    listed = ", ".join(f"{each} in steps of {scales[each]}" for each in odd)
    return [f"{listed}, the other leads in steps of {scales[lead]}; check their gain"]


def step_in_mv(scale: str) -> float | None:
    """An entry of `Channels.scales` in mV ("2.5 uV" is 0.0025); None if it is not a voltage."""
    number, _, unit = scale.partition(" ")
    try:
        return round(abs(float(number)) * mv_per_unit(unit), 12)
    except ValueError:  # a FileError is one
        return None

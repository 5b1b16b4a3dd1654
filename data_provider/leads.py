"""The twelve leads: their names in file headers, and limb leads computed from two others."""

import re

import numpy as np

from data_provider.record import LEADS

LIMB_LEADS = LEADS[:6]
INDEPENDENT = tuple(LEADS.index(lead) for lead in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))

# Every limb lead is a combination of I and II (Einthoven: III = II - I; Goldberger: the augmented leads).
LIMB_FROM_I_II = np.array([[1, 0], [0, 1], [-1, 1], [-0.5, -0.5], [1, -0.5], [-0.5, 1]])

_PREFIX = re.compile(r"^(mdc_ecg_lead|lead|ecg|ekg)[\s_:]*(?=\S)")
_CANONICAL = {lead.lower(): lead for lead in LEADS} | {"di": "I", "dii": "II", "diii": "III"}


def canonical_lead(name: str) -> str | None:
    """The member of `LEADS` that a header means by ``name`` ("AVR", "lead I", "ECG V1"), None for any other signal.

    A sign is kept, so "-aVR" (Cabrera) is not taken for aVR; monitor leads such as "MLII" are not taken for limb leads.
    """
    text = name.strip().lower()
    return _CANONICAL.get(_PREFIX.sub("", text).replace(" ", ""))


def complete_limb_leads(signal: np.ndarray, usable: list[bool], absent: list[bool]) -> None:
    """Fill absent limb leads from two usable ones, in place; does nothing where fewer than two are usable.

    signal ``(12, T)`` in mV, in the order of `LEADS`, NaN where unknown; usable and absent have 12 flags. A computed
    sample is NaN where either source is.
    """
    sources = [row for row in range(len(LIMB_LEADS)) if usable[row]][:2]
    if len(sources) < 2:
        return
    # Any two of the six rows are linearly independent, so I and II follow from whichever two there are.
    to_limb = LIMB_FROM_I_II @ np.linalg.inv(LIMB_FROM_I_II[sources])
    for row in range(len(LIMB_LEADS)):
        if absent[row]:
            signal[row] = to_limb[row] @ signal[sources]

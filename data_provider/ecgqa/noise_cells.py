"""Reads the free text of PTB-XL's noise columns ("I-AVR", "V2,3", "alle Abl.", "V4 stark")."""

import re

from cardiolect.data_provider.record import LEADS

_PLACES = {lead.upper(): k for k, lead in enumerate(LEADS)} | {"ALF": LEADS.index("aVF")}
_PLACES |= {str(k): LEADS.index(f"V{k}") for k in range(1, 7)}  # "V2,3", "V1-6"
_ALL = re.compile(r"ALLES?")
# How strong the noise is and of what kind; which lead has it is said by what is left.
_REMARKS = re.compile(
    r"\b(?:NOISY RECORDING|NOISE|DRIFT|STUFEN?|ABL(?:EITUNG(?:EN)?)?\b\.?"
    r"|(?:LEICHT|MITTEL|STARK|SCHWACH)(?:E[RS]?)?\b!*)"
)
_SLIPS = {"V!": "V1", "V&": "V6"}  # digits typed with the shift key held


def noisy_leads(cell: str) -> set[str] | None:
    """The leads that the cell names; None if it names none, doubts them ("V1???") or cannot be read."""
    text = cell.upper()
    if not text.strip():
        return set()
    text = _REMARKS.sub(" ", text)
    for slip, meant in _SLIPS.items():
        text = text.replace(slip, meant)
    text = re.sub(r"\s*(?:[-\u2013\u2014]+|\bBIS\b)\s*", "-", re.sub(r"\bV\s+(?=\d)", "V", text))
    found: set[str] = set()
    for part in re.split(r"[,.;/+\s]+|\bUND\b", text):
        if not part:
            continue
        if _ALL.fullmatch(part):
            return set(LEADS)
        first, dash, last = part.partition("-")
        if first not in _PLACES or (last if dash else first) not in _PLACES:
            return None
        ends = sorted((_PLACES[first], _PLACES[last if dash else first]))  # "AVL-III" is III-AVL
        found |= set(LEADS[ends[0] : ends[1] + 1])
    return found or None

"""The twelve leads by the names that files give them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from cardiolect.data_provider.readers.channels import FileError, NoLeadsError
from cardiolect.data_provider.record import LEADS, LIMB_LEADS

# "ECG", "Lead", "MDC_ECG_LEAD_", "Ableitung" and what joins them to the name; a sign counts unless it directly follows.
_PREFIX = re.compile(r"^(?:(?:mdc_ecg_lead|lead|ecg|ekg|ableitung|abl\.|abl(?=[\s_-]))(?:-|[\s_:]*))+(?=\S)")
_UNIT = re.compile(r"\s*[\[(]\s*(?:milli|micro|nano|[muµμn])?v(?:olts?)?\s*[\])]$")
_CANONICAL = {lead.lower(): lead for lead in LEADS}
_CANONICAL |= {f"{letter}{n}": lead for letter in "dl" for lead in LEADS[:3] for n in (len(lead), lead.lower())}
_NUMBERED = {"1": "I", "2": "II", "3": "III"}  # after "lead" or "Ableitung" only: a recorder's "ECG 1" may be any lead
_IEC_CHEST = {f"c{n}": f"V{n}" for n in range(1, 7)}

# Leads that are none of the twelve: right and posterior chest, Frank, monitor and inverted ones.
_OTHER = re.compile(r"^(v[1-9]r|v[789]|v?[xyz]|mli{1,3}|ml[1-6]|mcl\d|mv\d|c[mcs]\d|[adj]|es|as|ai|-avr)$")
_LEAD_LIKE = re.compile(r"^(-?av\w{0,2}|v\d\w{0,2}|c\d{1,2}|[dl](\d|i+)|i{1,3}|iv|-?i{1,3}\b.*)$")
_EEG = re.compile(r"^(fp[12z]|f[3-8z]|c[z]|cp\w+|fc\w+|p[3-8z]|o[12z]|t[3-8])$")


class FoundLeads(NamedTuple):
    """rows: canonical name -> index among the channels; names: -> its name in the file; ignored: the other channels."""

    rows: dict[str, int]
    names: dict[str, str]
    ignored: tuple[str, ...]


def canonical_lead(name: str) -> str | None:
    """The member of `LEADS` that a file calls ``name`` ("AVR", "lead 1", "ECG-V1", "I [mV]"); None for other signals.

    Signs count, so "-aVR" (Cabrera) is not aVR; monitor leads such as "MLII" are not limb leads. IEC's C1 to C6 depend
    on the other channels, see `find_leads`.
    """
    text, numbered = _bare(name)
    return _CANONICAL.get(text) or (_NUMBERED.get(text) if numbered else None)


def find_leads(names: Sequence[str]) -> FoundLeads:
    """Which channels are leads, by name. C1 to C6 are V1 to V6 unless there are V leads or electrodes of an EEG.

    Raises `FileError` if a lead occurs twice, if there is none, or if a lead of the twelve is missing and a channel
    looks like one but has an unknown name: it would pass for a lead that was not recorded.
    """
    found = [canonical_lead(name) for name in names]
    bare = [_bare(name)[0] for name in names]
    if not any(lead and lead.startswith("V") for lead in found) and not any(map(_EEG.match, bare)):
        found = [lead or _IEC_CHEST.get(text) for lead, text in zip(found, bare, strict=True)]
    rows: dict[str, int] = {}
    for index, lead in enumerate(found):
        if lead in rows:
            raise FileError(f"lead {lead} occurs twice in the file")
        if lead is not None:
            rows[lead] = index
    ignored = [index for index, lead in enumerate(found) if lead is None]
    unknown = [str(names[index]).strip() for index in ignored if _looks_like_a_lead(names[index])]
    limb = sum(lead in rows for lead in LIMB_LEADS)
    if unknown and (limb < 2 or any(lead not in rows for lead in LEADS[6:])):
        raise FileError(
            f"channels that look like leads have unknown names: {', '.join(unknown)[:80]}; rename them to "
            f"{', '.join(LEADS[:4])}, ..., V6"
        )
    if not rows:
        raise NoLeadsError(f"none of its signals is one of the 12 leads ({', '.join(names)[:60]})")
    return FoundLeads(
        rows, {lead: str(names[row]).strip() for lead, row in rows.items()}, tuple(str(names[i]) for i in ignored)
    )


def _bare(name: str) -> tuple[str, bool]:
    """A name in lower case without quotes, prefix, unit and sign of the electrode; whether "lead" was its prefix."""
    text = _UNIT.sub("", str(name).strip().strip("'\"").strip().lower())
    bare = _PREFIX.sub("", text).replace(" ", "").removesuffix("+")
    return bare, ("lead" in text or "abl" in text) and bare != text


def _looks_like_a_lead(name: str) -> bool:
    text = str(name).strip().strip("'\"").lower()
    bare, _ = _bare(name)
    return not _OTHER.match(bare) and bool(_PREFIX.match(text) or _LEAD_LIKE.match(bare))

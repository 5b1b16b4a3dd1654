"""Which leads of a recording must be usable before a question about it can be answered.

Leads of infarcts, axis, bundle branch blocks and hypertrophy as in Surawicz and Knilans, Chou's Electrocardiography. A
change that may be in any wall cannot be denied unless every wall has been seen.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from cardiolect.data_provider.ecgqa.asked import Asked, asked
from cardiolect.data_provider.ecgqa.labels import EXTRASYSTOLES
from cardiolect.data_provider.ecgqa.scp_statements import NAMES, RHYTHMS
from cardiolect.data_provider.ecgqa.templates import ANY_EXTRASYSTOLE, ANY_NOISE_IN_LEAD, NOISE_IN_LEAD
from cardiolect.data_provider.record import LEADS, ECGRecord
from cardiolect.data_provider.texts.numbers import NUMBER

FLAT_MV = 0.03  # a lead whose range is below is flat
LEAST_GOOD = 0.5  # share of usable samples, of a lead and of all leads that were recorded
RHYTHM_SECONDS = 5.0  # below, too few beats for a rhythm or for the absence of extra beats

CHEST = ("V1", "V2", "V3", "V4", "V5", "V6")
EVERY_WALL = ("I", "II", *CHEST)  # the other limb leads follow from I and II
_ANTERIOR, _INFERIOR, _LATERAL = ("V1", "V2", "V3", "V4"), ("II", "III", "aVF"), ("I", "aVL", "V5", "V6")
_AXIS, _BUNDLES, _HYPERTROPHY, _ATRIA = ("I", "aVF"), ("I", "V1", "V6"), ("V1", "V5"), ("II", "V1")
_ANY_OF_INTERVALS = ("II", "V1", "V5")

_ALL_OF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("AMI", "ASMI", "INJAS", "ISCAN", "ISCAS"), _ANTERIOR),
    **dict.fromkeys(("IMI", "INJIN", "ISCIN"), _INFERIOR),
    **dict.fromkeys(("LMI", "INJLA", "ISCLA"), _LATERAL),
    **dict.fromkeys(("ALMI", "INJAL", "ISCAL"), ("V1", "V2", "V3", "V4", *_LATERAL)),
    **dict.fromkeys(("ILMI", "INJIL", "ISCIL"), (*_INFERIOR, *_LATERAL)),
    **dict.fromkeys(("PMI", "IPMI", "IPLMI"), (*_INFERIOR, "V1", "V2", "V3")),
    **dict.fromkeys(("LAFB", "LPFB"), ("I", "II", "aVF")),
    **dict.fromkeys(("CLBBB", "ILBBB", "CRBBB", "IRBBB", "IVCD"), _BUNDLES),
    **dict.fromkeys(("LVH", "VCLVH"), _HYPERTROPHY),
    **dict.fromkeys(("LAO/LAE", "RAO/RAE"), _ATRIA),
}
_INTERVAL_CODES = ("1AVB", "LPR", "LNGQT")
_RHYTHM_NAMES = {
    *RHYTHMS.values(),
    *EXTRASYSTOLES.values(),
    ANY_EXTRASYSTOLE,
    *(NAMES[code] for code in ("PVC", "PAC", "SVTAC", "BIGU")),
    "heart rate",
    "rr interval",
}
_RHYTHM_TEMPLATES, _ABOUT_RATE = (7, 10, 37, 38), ("heart rate", "rr interval")
_AXIS_TEMPLATES = (20, 21, 22, 106)


def usable_leads(record: ECGRecord) -> tuple[str, ...]:
    """Leads with enough usable samples that are not flat."""
    enough = record.good.mean(axis=1) >= LEAST_GOOD
    heights = [np.ptp(row[good]) if good.any() else 0.0 for row, good in zip(record.signal, record.good, strict=True)]
    return tuple(lead for lead, ok, mv in zip(LEADS, enough, heights, strict=True) if ok and mv >= FLAT_MV)


def why_unanswerable(record: ECGRecord, question: str) -> str | None:
    """Why a recording does not show what a question asks about; None if it may.

    question: in ECG-QA's words, or any other, such as a request for a report: that only needs a signal.
    """
    usable = usable_leads(record)
    if not usable:
        return "no lead of this recording has a usable signal"
    recorded = record.good[record.lead_present]
    if (share := recorded.mean()) < LEAST_GOOD:
        return f"only {100 * share:.0f} % of the samples of this recording are usable"
    about = asked(question)
    return None if about is None else _why(about, usable, record.seconds)


def unseen_walls(record: ECGRecord) -> str | None:
    """What a report on a recording cannot deny, for the lack of leads; None if every wall was seen."""
    if missing := [lead for lead in EVERY_WALL if lead not in usable_leads(record)]:
        return f"findings that need {_listed(missing)}, which {'have' if len(missing) > 1 else 'has'} no usable signal"
    return None


def _why(about: Asked, usable: Sequence[str], seconds: float) -> str | None:
    if about.template_id in (NOISE_IN_LEAD, ANY_NOISE_IN_LEAD):
        return _missing([about.names[-1]], usable)
    if about.attribute_type == "noise":
        return None  # a missing lead is not noise in the others
    names = set(about.names)
    is_rhythm = bool(names) and names <= _RHYTHM_NAMES
    if is_rhythm or about.template_id in _RHYTHM_TEMPLATES or (names and about.names[0] in _ABOUT_RATE):
        short = seconds < RHYTHM_SECONDS
        return f"{seconds:.1f} s are too short; this needs {RHYTHM_SECONDS:g} s" if short else None
    if about.template_id in _AXIS_TEMPLATES:
        return _missing(_AXIS, usable)
    if about.attribute_type in ("numeric_feature", NUMBER):
        return _none_of(_ANY_OF_INTERVALS, usable)
    codes = [code for code, name in NAMES.items() if name in names]
    if codes and all(code in _INTERVAL_CODES for code in codes):
        return _none_of(_ANY_OF_INTERVALS, usable)
    needed = [lead for code in codes for lead in _ALL_OF.get(code, EVERY_WALL)]
    return _missing(needed or EVERY_WALL, usable)


def _missing(needed: Iterable[str], usable: Sequence[str]) -> str | None:
    missing = [lead for lead in LEADS if lead in set(needed) - set(usable)]
    if not missing:
        return None
    return f"this needs {_listed(missing)}, which {'have' if len(missing) > 1 else 'has'} no usable signal"


def _none_of(wanted: Sequence[str], usable: Sequence[str]) -> str | None:
    if set(wanted) & set(usable):
        return None
    return f"this needs one of {', '.join(wanted)}, none of which has a usable signal"


def _listed(leads: Sequence[str]) -> str:
    return ("lead " if len(leads) == 1 else "leads ") + ", ".join(leads)

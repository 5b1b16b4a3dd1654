"""PTB-XL's label columns in ECG-QA's words; None where the labels leave a question open or contradict each other.

Wagner et al. 2020, Scientific Data 7:154; names as in ECG-QA's answer lists (arXiv 2306.15681).
"""

import ast
import re
from functools import lru_cache
from types import MappingProxyType

from cardiolect.data_provider.ecgqa.noise_cells import noisy_leads
from cardiolect.data_provider.ecgqa.scp_statements import (
    DIAGNOSES,
    DRIVING_RHYTHMS,
    FORMS,
    INFARCTS,
    LISTED_DIAGNOSES,
    LISTED_RHYTHMS,
    RHYTHMS,
    UNNAMED,
    Standing,
    is_excluded,
    leaving_open,
    standing,
)
from cardiolect.utils.errors import UserError
from cardiolect.utils.scp_codes import CLASSES, DIAGNOSTIC, RHYTHM

__all__ = ["DIAGNOSES", "FORMS", "RHYTHMS", "noisy_leads"]  # of those imported, what others import from here

# ECG-QA's axes have PTB-XL's meaning: its LAD is the German "Linkstyp". On folds 1-8 of 2,197 recordings its MID lies
# between 0 and 90 degrees (98 %), LAD between -32 and -4 (the middle half) and ALAD below -30 (90 %).
AXES = {
    "MID": "normal heart axis",
    "LAD": "left axis deviation",
    "ALAD": "left axis deviation",
    "RAD": "right axis deviation",
    "ARAD": "right axis deviation",
}
# In clinical text, left axis deviation begins at -30 degrees: PTB-XL's LAD is neither that nor its MID.
CLINICAL_AXES = {code: name for code, name in AXES.items() if code != "LAD"}
NOISES = {
    "baseline_drift": "baseline drift",
    "static_noise": "static noise",
    "burst_noise": "burst noise",
    "electrodes_problems": "electrodes problems",
}
UNKNOWN_STAGE = "unknown stage of myocardial infarction"
# Values of infarction_stadium1 and 2; nothing is asked about those between two stages ("Stadium II-III").
STAGES = {
    "Stadium I": "early stage of myocardial infarction",
    "Stadium II": "middle stage of myocardial infarction",
    "Stadium III": "old stage of myocardial infarction",
    "unknown": UNKNOWN_STAGE,
}
NO_STAGE = "none of myocardial infarction"
EXTRASYSTOLES = {"SVES": "supraventricular extrasystoles", "VES": "ventricular extrasystoles", "ES": "extrasystoles"}
# The same beats as statements, and as patterns or beats of unknown origin.
BEAT_CODES = {"SVES": "PAC", "VES": "PVC"}
ECTOPIC = frozenset({*BEAT_CODES.values(), "BIGU", "TRIGU", "PRC(S)"})
NOT_SURE = "not sure"

Row = dict[str, str]
Answer = tuple[str, ...] | None


def scp_codes(row: Row) -> MappingProxyType[str, float]:
    """Code -> likelihood. Raises `UserError` if the cell is not a dictionary of these."""
    try:
        return _parse_codes(row["scp_codes"])
    except (ValueError, SyntaxError, TypeError, AttributeError):
        raise UserError(
            f"ecg_id {row.get('ecg_id', '?')}: scp_codes is not a dictionary of codes and numbers; use the "
            "ptbxl_database.csv that PTB-XL publishes"
        ) from None


@lru_cache(maxsize=65536)
def _parse_codes(cell: str) -> MappingProxyType[str, float]:
    return MappingProxyType({code: float(likelihood) for code, likelihood in ast.literal_eval(cell).items()})


def _cell(row: Row, column: str) -> str:
    return (row.get(column) or "").strip()


def has_code(row: Row, code: str) -> bool | None:
    """Whether the labels state a code.

    None if its likelihood is doubtful, if another code or column excludes it, or if one says what may be the same: then
    nobody denies it.
    """
    codes = scp_codes(row)
    if code in codes:
        doubtful = standing(code, codes[code]) is not Standing.STATED
        return None if doubtful or is_excluded(code, codes) or _column_names_others(row, code) else True
    unread = code in RHYTHM and not DRIVING_RHYTHMS & codes.keys()
    return None if unread or leaving_open(code, set(codes)) or _column_states(row, code) else False


def code_answer(row: Row, code: str) -> Answer:
    """The answer to "Does this ECG show symptoms of ...?"; a doubtful likelihood is "not sure", as in ECG-QA."""
    codes = scp_codes(row)
    if code in codes and standing(code, codes[code]) is Standing.DOUBTFUL:
        return (NOT_SURE,)
    return None if (state := has_code(row, code)) is None else ("yes",) if state else ("no",)


def _column_states(row: Row, code: str) -> bool:
    """Whether another column may state a code that ``scp_codes`` does not have."""
    if code == "PACE":
        return bool(_cell(row, "pacemaker"))
    if code not in BEAT_CODES.values() or not (cell := _cell(row, "extra_beats")):
        return False
    kinds = _kinds(cell)
    if any(BEAT_CODES.get(kind) == code for kind in kinds):
        return True
    if kinds <= {"ES"}:  # of no kind here: of that in the codes, if there is one
        return not set(BEAT_CODES.values()) & scp_codes(row).keys()
    return "ES" in kinds


def _column_names_others(row: Row, code: str) -> bool:
    """Whether ``extra_beats`` names a kind of beats, and not the kind of this code."""
    kinds = _kinds(_cell(row, "extra_beats")) & BEAT_CODES.keys()
    return code in BEAT_CODES.values() and bool(kinds) and code not in {BEAT_CODES[kind] for kind in kinds}


def names_of_codes(row: Row, names: dict[str, str]) -> Answer:
    """The names of all codes that the recording has, or "none"; None if one of them is open.

    What is open only because another name in the answer may mean it is left out: the answer to a recording with sinus
    bradycardia is that, although it is also sinus rhythm.
    """
    codes = scp_codes(row)
    present = {code: has_code(row, code) for code in names}
    stated = {code for code, state in present.items() if state}
    for code, state in present.items():
        others = set() if code in codes else leaving_open(code, set(codes))
        if state is None and not (others and others <= stated):
            return None
    return tuple(dict.fromkeys(names[code] for code in names if code in stated)) or ("none",)


def diagnoses(row: Row) -> Answer:
    """All diagnoses by ECG-QA's names; None if one is doubtful or has no name there."""
    return None if DIAGNOSTIC & UNNAMED & scp_codes(row).keys() else names_of_codes(row, LISTED_DIAGNOSES)


def rhythms(row: Row) -> Answer:
    """All rhythms by ECG-QA's names; None if none is stated or one has no name there."""
    return None if RHYTHM & UNNAMED & scp_codes(row).keys() else names_of_codes(row, LISTED_RHYTHMS)


def _stated_stages(row: Row) -> Answer:
    """The stages of the infarcts, unknown ones too; None if it is uncertain whether there is any infarct."""
    codes = scp_codes(row)
    cells = [cell for column in ("infarction_stadium1", "infarction_stadium2") if (cell := _cell(row, column))]
    if not cells:
        return None if set(CLASSES["MI"]) & codes.keys() else (NO_STAGE,)
    stated = any(code in INFARCTS and standing(code, codes[code]) is Standing.STATED for code in codes)
    if not set(cells) <= STAGES.keys() or not stated:
        return None
    return tuple(dict.fromkeys(STAGES[cell] for cell in cells))


def stages(row: Row) -> Answer:
    """The stages of the infarcts; None if one is of unknown age, as nothing in the signal is a reader's doubt."""
    found = _stated_stages(row)
    return None if found is None or UNKNOWN_STAGE in found else found


def has_stage(row: Row, stage: str) -> bool | None:
    """Whether an infarct is in this stage; None for one of unknown age."""
    found = _stated_stages(row)
    if found is None or (UNKNOWN_STAGE in found and stage not in found):
        return None
    return stage in found


def _kinds(cell: str) -> set[str]:
    """All kinds of `EXTRASYSTOLES` in a cell ("VES,SVES2,alles"); entries such as "1,V3" have none."""
    return set(re.findall(r"(?<![A-Z])(?:SVES|VES|ES)(?![A-Z])", cell.upper()))


def extrasystoles(row: Row) -> Answer:
    """The kinds of extrasystoles in the column.

    None if it has beats of no kind, or if it is empty but the codes name ectopic beats. Entries such as "1ES" count
    beats without giving their kind.
    """
    if not (cell := _cell(row, "extra_beats")):
        return None if ECTOPIC & scp_codes(row).keys() else ("none",)
    kinds = _kinds(cell)
    return tuple(name for kind, name in EXTRASYSTOLES.items() if kind in kinds) or None


def agreed_extrasystoles(row: Row) -> Answer:
    """`extrasystoles` if the codes name these beats too, else None."""
    kinds, codes = extrasystoles(row), scp_codes(row).keys()
    if kinds in (None, ("none",)):
        return kinds
    named = {kind for kind, name in EXTRASYSTOLES.items() if name in kinds}
    stated = {kind for kind, code in BEAT_CODES.items() if code in codes}
    if named & BEAT_CODES.keys():
        return kinds if named - {"ES"} == stated else None
    return kinds if ECTOPIC & codes else None


def has_extrasystole(row: Row, kind: str) -> bool | None:
    """Whether there are extrasystoles of this kind; None unless column and codes agree."""
    code = next(BEAT_CODES[key] for key in BEAT_CODES if EXTRASYSTOLES[key] == kind)
    kinds = extrasystoles(row)
    if kinds is None or (kind not in kinds and EXTRASYSTOLES["ES"] in kinds):
        return None
    return (kind in kinds) if has_code(row, code) is (kind in kinds) else None


def any_extrasystole(row: Row) -> bool | None:
    """Whether there are extrasystoles of whatever kind; None unless column and codes agree."""
    filled, stated = bool(_cell(row, "extra_beats")), bool(ECTOPIC & scp_codes(row).keys())
    return filled if filled == stated else None


def axis_of(row: Row) -> str | None:
    """The heart axis in ECG-QA's words, which have PTB-XL's limits."""
    return AXES.get(_cell(row, "heart_axis"))


def clinical_axis_of(row: Row) -> str | None:
    """The heart axis as clinical text names it: left axis deviation is beyond -30 degrees."""
    return CLINICAL_AXES.get(_cell(row, "heart_axis"))


def has_noise(row: Row, column: str) -> bool | None:
    """Whether a column has noise; None if it does not say in which lead, which ECG-QA answers with no."""
    leads = noisy_leads(row.get(column) or "")
    return None if leads is None else bool(leads)


def has_noise_in(row: Row, column: str, lead: str) -> bool | None:
    leads = noisy_leads(row.get(column) or "")
    return None if leads is None else lead in leads


def has_any_noise_in(row: Row, lead: str) -> bool | None:
    found = {has_noise_in(row, column, lead) for column in NOISES}
    return True if True in found else None if None in found else False


def noises(row: Row) -> Answer:
    """The kinds of noise, or "none"."""
    present = {name: has_noise(row, column) for column, name in NOISES.items()}
    if None in present.values():
        return None
    return tuple(name for name, holds in present.items() if holds) or ("none",)

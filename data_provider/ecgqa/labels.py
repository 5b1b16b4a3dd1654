"""PTB-XL's label columns in ECG-QA's words; None where the labels leave a question open.

Wagner et al. 2020, Scientific Data 7:154; names as in ECG-QA's answer lists (arXiv 2306.15681).
"""

import ast
import re

from cardiolect.data_provider.record import LEADS

DIAGNOSES = {
    "CLBBB": "complete left bundle branch block",
    "CRBBB": "complete right bundle branch block",
    "IRBBB": "incomplete right bundle branch block",
    "LAFB": "left anterior fascicular block",
    "1AVB": "first degree av block",
    "LVH": "left ventricular hypertrophy",
    "LAO/LAE": "left atrial overload/enlargement",
    "ASMI": "myocardial infarction in anteroseptal leads",
    "AMI": "myocardial infarction in anterior leads",
    "IMI": "myocardial infarction in inferior leads",
    "NDT": "non-diagnostic t abnormalities",
    "NST_": "non-specific st changes",
    "ISC_": "non-specific ischemic",
    "LNGQT": "long qt-interval",
    "DIG": "digitalis effect",
}
RHYTHMS = {
    "SR": "sinus rhythm",
    "SBRAD": "sinus bradycardia",
    "STACH": "sinus tachycardia",
    "SARRH": "sinus arrhythmia",
    "AFIB": "atrial fibrillation",
    "AFLT": "atrial flutter",
    "PACE": "normal functioning artificial pacemaker",
}
FORMS = {
    "ABQRS": "abnormal qrs",
    "PVC": "ventricular premature complex",
    "PAC": "atrial premature complex",
    "INVT": "inverted t-waves",
    "LOWT": "low amplitude t-wave",
    "STD_": "non-specific st depression",
    "LVOLT": "low qrs voltages in the frontal and horizontal leads",
    "QWAVE": "q waves present",
    "VCLVH": "voltage criteria (qrs) for left ventricular hypertrophy",
}
AXES = {
    "MID": "normal heart axis",
    "LAD": "left axis deviation",
    "ALAD": "left axis deviation",
    "RAD": "right axis deviation",
    "ARAD": "right axis deviation",
}
NOISES = {
    "baseline_drift": "baseline drift",
    "static_noise": "static noise",
    "burst_noise": "burst noise",
    "electrodes_problems": "electrodes problems",
}
# Values of infarction_stadium1 and 2; nothing is asked about those between two stages ("Stadium II-III").
STAGES = {
    "Stadium I": "early stage of myocardial infarction",
    "Stadium II": "middle stage of myocardial infarction",
    "Stadium III": "old stage of myocardial infarction",
    "unknown": "unknown stage of myocardial infarction",
}
INFARCTS = ("AMI", "ASMI", "ALMI", "IMI", "ILMI", "IPMI", "IPLMI", "LMI", "PMI")
NO_STAGE = "none of myocardial infarction"
ECTOPIC = ("PVC", "PAC", "BIGU", "TRIGU")
EXTRASYSTOLES = {"SVES": "supraventricular extrasystoles", "VES": "ventricular extrasystoles", "ES": "extrasystoles"}
SURE = 50  # percent; a less likely diagnosis is neither stated nor denied

Row = dict[str, str]
Answer = tuple[str, ...] | None


def scp_codes(row: Row) -> dict[str, float]:
    return ast.literal_eval(row["scp_codes"])


def has_code(row: Row, code: str) -> bool | None:
    """Whether the labels give a code to the recording; None if they leave it open.

    Form and rhythm statements have the likelihood 0 and hold nevertheless; for a diagnosis 0 means unknown. If the
    recording has a code without a name here (an infarct elsewhere, for instance), nothing is denied.
    """
    codes = scp_codes(row)
    if code not in codes:
        return None if set(codes) - {*DIAGNOSES, *RHYTHMS, *FORMS, "NORM"} else False
    sure = codes[code] >= SURE or (codes[code] == 0 and code not in DIAGNOSES)
    return True if sure else None


def names_of_codes(row: Row, names: dict[str, str]) -> Answer:
    """The names of all codes that the recording has, or "none"."""
    present = {name: has_code(row, code) for code, name in names.items()}
    if None in present.values():
        return None
    return tuple(dict.fromkeys(name for name, holds in present.items() if holds)) or ("none",)


def stages(row: Row) -> Answer:
    """The stages of the infarcts; None if it is uncertain whether there is any."""
    infarcts = [likelihood for code, likelihood in scp_codes(row).items() if code in INFARCTS]
    cells = [cell for column in ("infarction_stadium1", "infarction_stadium2") if (cell := row[column].strip())]
    if not cells:
        return None if infarcts else (NO_STAGE,)
    if not set(cells) <= STAGES.keys() or max(infarcts, default=0) < SURE:
        return None
    return tuple(dict.fromkeys(STAGES[cell] for cell in cells))


def has_stage(row: Row, stage: str) -> bool | None:
    """Whether an infarct is in this stage; None for one of unknown age."""
    found = stages(row)
    if found is None or (STAGES["unknown"] in found and stage not in found):
        return None
    return stage in found


def extrasystoles(row: Row) -> Answer:
    """The kind of extrasystoles in the column; None if it is empty but the codes name ectopic beats.

    Entries such as "1ES" count beats without giving their kind.
    """
    kind = row["extra_beats"].strip().lstrip("0123456789")
    if not kind:
        return None if set(ECTOPIC) & scp_codes(row).keys() else ("none",)
    return (EXTRASYSTOLES[kind],) if kind in EXTRASYSTOLES else None


def has_extrasystole(row: Row, kind: str) -> bool | None:
    kinds = extrasystoles(row)
    return None if kinds in (None, (EXTRASYSTOLES["ES"],)) else kinds == (kind,)


def any_extrasystole(row: Row) -> bool | None:
    """Whether there are extrasystoles, including those that `extrasystoles` cannot name."""
    return True if row["extra_beats"].strip() else (None if extrasystoles(row) is None else False)


def axis_of(row: Row) -> str | None:
    return AXES.get(row["heart_axis"])


def noisy_leads(cell: str) -> set[str] | None:
    """The leads that a noise column of PTB-XL names ("I-AVR", "V2,3", "alles"); None if it cannot be parsed."""
    places = {lead.upper(): k for k, lead in enumerate(LEADS)}
    found: set[str] = set()
    for part in re.split(r"[,.;]", cell.upper()):
        first, _, last = (end.strip() for end in part.partition("-"))
        if first == "ALLES":
            return set(LEADS)
        if first.isdigit():
            first = f"V{first}"
        if not first:
            continue
        if first not in places or (last or first) not in places:
            return None
        found |= set(LEADS[places[first] : places[last or first] + 1])
    return found


def has_noise_in(row: Row, column: str, lead: str) -> bool | None:
    leads = noisy_leads(row[column])
    return None if leads is None else lead in leads

"""What the label columns of PTB-XL's database say, in ECG-QA's words; None where they leave it open.

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
# infarction_stadium1 and 2; between two stages ("Stadium II-III") nothing is asked.
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
SURE = 50  # percent; a diagnosis of lower stated likelihood is neither asked about nor denied

Row = dict[str, str]
Answer = tuple[str, ...] | None


def scp_codes(row: Row) -> dict[str, float]:
    return ast.literal_eval(row["scp_codes"])


def states(row: Row, code: str) -> bool | None:
    """Whether the labels say so; None where they leave it open.

    Form and rhythm statements carry likelihood 0 and are meant; a diagnosis of likelihood 0 is of unknown likelihood.
    With a code on the record that has no name here (an infarct elsewhere, say) nothing is denied.
    """
    codes = scp_codes(row)
    if code not in codes:
        return None if set(codes) - {*DIAGNOSES, *RHYTHMS, *FORMS, "NORM"} else False
    sure = codes[code] >= SURE or (codes[code] == 0 and code not in DIAGNOSES)
    return True if sure else None


def listed(row: Row, names: dict[str, str]) -> Answer:
    """The names of all codes that hold, "none" where none does."""
    stated = {name: states(row, code) for code, name in names.items()}
    if None in stated.values():
        return None
    return tuple(dict.fromkeys(name for name, holds in stated.items() if holds)) or ("none",)


def stages(row: Row) -> Answer:
    """How old infarcts are; None where it is not sure that there is one, or that there is none."""
    infarcts = [likelihood for code, likelihood in scp_codes(row).items() if code in INFARCTS]
    cells = [cell for column in ("infarction_stadium1", "infarction_stadium2") if (cell := row[column].strip())]
    if not cells:
        return None if infarcts else (NO_STAGE,)
    if not set(cells) <= STAGES.keys() or max(infarcts, default=0) < SURE:
        return None
    return tuple(dict.fromkeys(STAGES[cell] for cell in cells))


def is_stage(row: Row, stage: str) -> bool | None:
    """An infarct of unknown age is neither said to be of an age nor not to be."""
    said = stages(row)
    if said is None or (STAGES["unknown"] in said and stage not in said):
        return None
    return stage in said


def extrasystoles(row: Row) -> Answer:
    """What the column says; None where it says nothing and the codes name ectopic beats.

    "1ES" and the like count beats of a kind that is not told.
    """
    kind = row["extra_beats"].strip().lstrip("0123456789")
    if not kind:
        return None if set(ECTOPIC) & scp_codes(row).keys() else ("none",)
    return (EXTRASYSTOLES[kind],) if kind in EXTRASYSTOLES else None


def is_extrasystole(row: Row, kind: str) -> bool | None:
    said = extrasystoles(row)
    return None if said in (None, (EXTRASYSTOLES["ES"],)) else said == (kind,)


def any_extrasystole(row: Row) -> bool | None:
    """The column may say what `extrasystoles` cannot name; that counts as well."""
    return True if row["extra_beats"].strip() else (None if extrasystoles(row) is None else False)


def axis_of(row: Row) -> str | None:
    return AXES.get(row["heart_axis"])


def noisy_leads(cell: str) -> set[str] | None:
    """The leads that a noise column of PTB-XL names ("I-AVR", "V2,3", "alles"); None where it cannot be read."""
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


def noise_in(row: Row, column: str, lead: str) -> bool | None:
    leads = noisy_leads(row[column])
    return None if leads is None else lead in leads

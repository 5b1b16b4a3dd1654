"""PTB-XL's SCP statements: ECG-QA's name of each code, what its likelihood says, and which findings it leaves open.

Names as in ECG-QA's answer lists (arXiv 2306.15681); flags of the codes from PTB-XL's scp_statements.csv (Wagner et al.
2020, Scientific Data 7:154), in `utils.scp_codes`.
"""

from collections.abc import Mapping
from enum import Enum

from cardiolect.utils.scp_codes import CLASSES, DIAGNOSTIC, FORM, RHYTHM, SCP_CODES

# What questions ask about, by kind.
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
# Codes that ECG-QA names too; they are listed where a question asks for all diagnoses or rhythms.
OTHERS = {
    "IVCD": "non-specific intraventricular conduction disturbance (block)",
    "LPFB": "left posterior fascicular block",
    "ILBBB": "incomplete left bundle branch block",
    "RAO/RAE": "right atrial overload/enlargement",
    "ALMI": "myocardial infarction in anterolateral leads",
    "ILMI": "myocardial infarction in inferolateral leads",
    "IPMI": "myocardial infarction in inferoposterior leads",
    "IPLMI": "myocardial infarction in inferoposterolateral leads",
    "LMI": "myocardial infarction in lateral leads",
    "PMI": "myocardial infarction in posterior leads",
    "INJAL": "subendocardial injury in anterolateral leads",
    "INJAS": "subendocardial injury in anteroseptal leads",
    "INJIN": "subendocardial injury in inferior leads",
    "INJIL": "subendocardial injury in inferolateral leads",
    "INJLA": "subendocardial injury in lateral leads",
    "ISCAN": "ischemic in anterior leads",
    "ISCAL": "ischemic in anterolateral leads",
    "ISCAS": "ischemic in anteroseptal leads",
    "ISCIN": "ischemic in inferior leads",
    "ISCIL": "ischemic in inferolateral leads",
    "ISCLA": "ischemic in lateral leads",
    "SVTAC": "supraventricular tachycardia",
    "BIGU": "bigeminal pattern (unknown origin, supraventricular, or ventricular)",
    "HVOLT": "high qrs voltage",
    "LPR": "prolonged pr interval",
    "NT_": "non-specific t-wave changes",
    "STE_": "non-specific st elevation",
    "TAB_": "t-wave abnormality",
}
NAMES = {**DIAGNOSES, **RHYTHMS, **FORMS, **OTHERS}
CODE_OF = {name: code for code, name in NAMES.items()}
LISTED_DIAGNOSES = {code: name for code, name in NAMES.items() if code in DIAGNOSTIC}
LISTED_RHYTHMS = {code: name for code, name in NAMES.items() if code in RHYTHM}
UNNAMED = SCP_CODES - {*NAMES, "NORM"}

INFARCTS = frozenset(code for code in CLASSES["MI"] if not code.startswith("INJ"))
# Rhythm codes that say what drives the heart; bigeminy and trigeminy only say how extra beats are spread.
DRIVING_RHYTHMS = RHYTHM - {"BIGU", "TRIGU"}


class Standing(Enum):
    """What a likelihood in PTB-XL's ``scp_codes`` says about its code."""

    STATED, DOUBTFUL, UNKNOWN = range(3)


def standing(code: str, likelihood: float) -> Standing:
    """As ECG-QA reads it: 100 is stated and 1-99 "not sure".

    Form and rhythm statements carry no likelihood, so their 0 is stated too; the 0 of any other diagnosis means that
    PTB-XL does not know it.
    """
    if likelihood >= 100 or (likelihood == 0 and code in FORM | RHYTHM):
        return Standing.STATED
    return Standing.DOUBTFUL if likelihood > 0 else Standing.UNKNOWN


# Pairs of codes that exclude each other: if PTB-XL states both, one is a slip, and neither is answered.
EXCLUSIVE = (
    *(("CLBBB", other) for other in ("CRBBB", "IRBBB", "LAFB", "LPFB", "IVCD", "PACE")),
    ("CRBBB", "IRBBB"),
    ("LAFB", "LPFB"),
    *((other, "LVOLT") for other in ("LVH", "VCLVH")),
    *((rhythm, finding) for rhythm in ("AFIB", "AFLT", "PACE") for finding in ("1AVB", "PAC", "LAO/LAE", "SARRH")),
    *((rhythm, other) for rhythm in ("AFIB", "AFLT", "PACE") for other in ("SR", "SBRAD", "STACH", "NORM")),
    ("AFIB", "AFLT"),
    ("PACE", "AFIB"),
    ("PACE", "AFLT"),
    ("SBRAD", "STACH"),
    ("SR", "SBRAD"),
    ("SR", "STACH"),
    ("SARRH", "STACH"),
)
_EXCLUDED_BY = {
    code: {other for pair in EXCLUSIVE if code in pair for other in pair if other != code} for code in SCP_CODES
}


def is_excluded(code: str, codes: Mapping[str, float]) -> bool:
    """Whether a recording's ``codes`` (code -> likelihood) state another one that excludes ``code``."""
    return any(standing(other, codes[other]) is Standing.STATED for other in _EXCLUDED_BY[code] & codes.keys())


# Stated or doubtful codes, the codes that they leave open if these are not stated themselves, and why: the finding is
# the same in other words, is part of the statement, or may be what it describes. All else that is not stated is denied:
# what a statement only makes likely (Q waves in an infarct) is not left open, or the denied would be the healthy.
_LEAVES_OPEN = (
    ("SBRAD STACH SARRH", "SR", "they are sinus rhythm; PTB-XL states its rate or irregularity in its place"),
    ("PACE", "SR AFIB AFLT", "the rhythm of the atria under a pacemaker is seldom stated"),
    ("PACE", "CLBBB", "paced beats have the shape of a left bundle branch block"),
    ("SVARR", "SR SARRH AFIB AFLT PAC", "an arrhythmia above the ventricles of no stated kind"),
    ("SVTAC PSVT", "STACH AFIB AFLT", "a fast rhythm above the ventricles of no stated kind"),
    ("PSVT", "SR", "between paroxysms"),
    ("LPR", "1AVB", "the same in other words"),
    ("1AVB", "LPR", "the same in other words"),
    ("2AVB 3AVB", "1AVB LPR", "conducted beats may be delayed too"),
    ("RVH", "IRBBB", "its R' in V1 looks the same"),
    ("IVCD", "ABQRS", "an abnormal QRS complex of no stated kind, in other words"),
    ("VCLVH HVOLT SEHYP", "LVH", "high voltages are its first criterion; septal hypertrophy is of the left ventricle"),
    ("LVH HVOLT", "VCLVH", "hypertrophy is mostly stated for its voltages"),
    ("AMI ALMI INJAS INJAL ANEUR", "ASMI", "the walls overlap; aneurysms follow mostly anterior infarcts"),
    ("ASMI ALMI INJAS INJAL ANEUR", "AMI", "the walls overlap; PTB-XL's injury covers subendocardial infarction"),
    ("ILMI IPMI IPLMI INJIN INJIL", "IMI", "the inferior wall is part of the statement"),
    ("ISCAN ISCAS ISCAL ISCLA ISCIN ISCIL", "ISC_", "the same without its leads"),
    ("INJAS INJAL INJLA INJIN INJIL ANEUR", "ISC_", "injury is ischaemic"),
    ("EL", "DIG LNGQT", "electrolytes or a drug, of no stated kind"),
    ("NDT NT_ TAB_", "LOWT INVT", "T waves of no stated change"),
    ("NT_", "NDT", "the same in other words"),
    ("LOWT INVT TAB_", "NDT", "the same in other words, unless a cause is stated"),
    ("NST_", "STD_", "ST segments of no stated change"),
    ("STD_ STE_", "NST_", "the same in other words, unless a cause is stated"),
    ("BIGU TRIGU PRC(S)", "PVC PAC", "extra beats of no stated kind"),
)
_OPENED_BY = {
    code: {other for codes, opened, _ in _LEAVES_OPEN if code in opened.split() for other in codes.split()}
    for code in SCP_CODES
}

# Changes with a stated cause are not "non-specific" or "non-diagnostic".
_CAUSES = frozenset(CLASSES["MI"]) | {code for code in CLASSES["STTC"] if code[:3] in ("ISC", "DIG", "ANE")} | {"EL"}
_UNEXPLAINED = {"NDT": {"LOWT", "INVT", "TAB_"}, "NST_": {"STD_", "STE_"}}


def leaving_open(code: str, codes: set[str]) -> set[str]:
    """Which of a recording's ``codes`` forbid to deny ``code``, which is not among them.

    A code that PTB-XL does not have may mean anything. If a kind of extra beat is stated, a pattern or a beat of
    unknown origin is taken to be of that kind.
    """
    found = (codes & _OPENED_BY[code]) | (codes - SCP_CODES)
    if codes & _CAUSES:
        found -= _UNEXPLAINED.get(code, set())
    if codes & {"PVC", "PAC"}:
        found -= {"BIGU", "TRIGU", "PRC(S)"}
    return found

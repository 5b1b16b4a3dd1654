"""The names of findings, in the vocabulary of ECG-QA, and the order in which they are listed.

Names come from ECG-QA's ``answers_for_each_template.csv`` (Oh et al., NeurIPS 2023) if it has one.
"""

from cardiolect.data_provider.ecgqa import labels

RHYTHMS = ("sinus rhythm", "sinus bradycardia", "sinus tachycardia", "atrial fibrillation", "atrial flutter")
ECTOPIES = ("supraventricular extrasystoles", "ventricular extrasystoles")
AV_BLOCK = "first degree av block"
LBBB = "complete left bundle branch block"
RBBB = "complete right bundle branch block"
AXES = ("normal heart axis", "left axis deviation", "right axis deviation")
POSTERIOR_FASCICLE = "left posterior fascicular block"
UNSPECIFIC_DELAY = "non-specific intraventricular conduction disturbance"
LVH = "left ventricular hypertrophy"
LOW_VOLTAGE = "low qrs voltages in the frontal and horizontal leads"
TERRITORIES = ("anterior", "inferior", "lateral")
INVERTED_T = "inverted t-waves"
LONG_QT = "long qt-interval"
NORMAL, ABNORMAL = "normal ecg", "abnormal ecg"
NOISES = ("baseline drift", "static noise", "burst noise", "electrodes problems")

# The order in which findings are listed, reported and answered.
FINDINGS = (
    *RHYTHMS,
    *ECTOPIES,
    AV_BLOCK,
    LBBB,
    RBBB,
    *AXES,
    LVH,
    LOW_VOLTAGE,
    *(f"myocardial infarction in {t} leads" for t in TERRITORIES),
    INVERTED_T,
    LONG_QT,
    NORMAL,
    ABNORMAL,
    *NOISES,
)
UNREMARKABLE = frozenset({RHYTHMS[0], AXES[0], *NOISES})
NOT_DIAGNOSES = UNREMARKABLE | {NORMAL, ABNORMAL}

# The findings of varied recordings go by PTB-XL's codes.
NOT_SIMULATED = ("DIG", "ABQRS")  # codes that are never asked about in simulated recordings
MORE = {  # codes that are asked about in simulated recordings only
    "LMI": f"myocardial infarction in {TERRITORIES[2]} leads",
    "LPFB": POSTERIOR_FASCICLE,
    "IVCD": UNSPECIFIC_DELAY,
}
NAMES = {**labels.DIAGNOSES, **labels.RHYTHMS, **labels.FORMS, **MORE}
RENAMED = {"PVC": ECTOPIES[1], "PAC": ECTOPIES[0]}  # codes whose findings keep the names in FINDINGS
_NEW = [NAMES[code] for code in NAMES if NAMES[code] not in FINDINGS and code not in (*NOT_SIMULATED, *RENAMED)]
VARIED_FINDINGS = (*FINDINGS[: FINDINGS.index(NORMAL)], *_NEW, *FINDINGS[FINDINGS.index(NORMAL) :])

"""How people name what an ECG shows: short phrases for each question that a model can be trained on.

Phrases are in the form that `wordings.normal_form` gives: lower case, no hyphens, "infarct" for infarction and MI. Only
what means the same is listed. Left out, for example: "LAD", which may be an artery; "AMI", which may be acute; and
"acute", because a label of infarction says nothing of its age.
"""

from cardiolect.data_provider.ecgqa.labels import AXES, EXTRASYSTOLES, NOISES, STAGES
from cardiolect.data_provider.ecgqa.scp_statements import NAMES
from cardiolect.data_provider.ecgqa.templates import ANY_EXTRASYSTOLE, ANY_NOISE, TEMPLATES
from cardiolect.data_provider.texts.numbers import QUANTITIES

REPORT = "Report"
LEFT, RIGHT, NORMAL_AXIS = AXES["ALAD"], AXES["RAD"], AXES["MID"]
ATRIAL, VENTRICULAR = EXTRASYSTOLES["SVES"], EXTRASYSTOLES["VES"]
DRIFT, STATIC, BURST, ELECTRODES = NOISES.values()

# What is there or is not: answered by yes or no.
CODE_PHRASES = {
    "AFIB": "af, afib, atrial fib, atrial fibrillation",
    "AFLT": "atrial flutter, aflutter, flutter",
    "SR": "sinus rhythm, sinus, normal sinus rhythm, nsr, rhythm sinus",
    "SBRAD": "sinus bradycardia, sinus brady",
    "STACH": "sinus tachycardia, sinus tachy, sinus tach",
    "SARRH": "sinus arrhythmia",
    "SVTAC": "supraventricular tachycardia, svt",
    "BIGU": "bigeminy, bigeminal pattern",
    "PACE": "pacemaker, pacemaker rhythm, artificial pacemaker, paced, paced rhythm, paced beat, pacing, pacing spike",
    "CLBBB": "lbbb, left bundle branch block, complete lbbb, clbbb",
    "CRBBB": "rbbb, right bundle branch block, complete rbbb, crbbb",
    "IRBBB": "incomplete rbbb, irbbb",
    "ILBBB": "incomplete lbbb, ilbbb",
    "LAFB": "lafb, left anterior fascicular block, left anterior hemiblock, lahb",
    "LPFB": "lpfb, left posterior fascicular block, left posterior hemiblock, lphb",
    "1AVB": "first degree avb, first degree av block, first degree heart block, first degree atrioventricular block",
    "LVH": "lvh, left ventricular hypertrophy, left ventricle hypertrophy, hypertrophy of the left ventricle",
    "VCLVH": "voltage criteria for lvh, lvh voltage criteria, lvh by voltage, voltage criteria of lvh, "
    "voltage criteria for left ventricular hypertrophy",
    "LAO/LAE": "lae, left atrial enlargement, left atrial overload, enlarged left atrium, p mitrale",
    "RAO/RAE": "rae, right atrial enlargement, right atrial overload, enlarged right atrium, p pulmonale",
    "INVT": "t wave inversion, inverted t wave, inverted t, t inversion, twi, t wave inverted",
    "LOWT": "low t wave, low amplitude t wave, flat t wave, flattened t wave, t wave flattening, t wave flat, "
    "low t wave amplitude",
    "STD_": "st depression, st segment depression, depressed st segment, depressed st, st depressed, "
    "st segment depressed",
    "STE_": "st elevation, st segment elevation, elevated st segment, st elevated, st segment elevated",
    "NDT": "non diagnostic t wave abnormality, non diagnostic t abnormality, non diagnostic t wave change",
    "NT_": "nonspecific t wave change, nonspecific t wave abnormality",
    "NST_": "nonspecific st change, nonspecific st segment change",
    "ISC_": "nonspecific ischemia, nonspecific ischemic change",
    "QWAVE": "q wave, pathological q wave, abnormal q wave, pathologic q wave",
    "LVOLT": "low voltage, low qrs voltage, low voltage qrs, low qrs amplitude",
    "HVOLT": "high voltage, high voltage qrs",
    "LNGQT": "long qt, long qt interval, qt long, qt interval long, qt prolongation, long qtc, qtc long, "
    "qtc prolongation, long qtc interval, qtc interval long",
    "DIG": "digitalis effect, digoxin effect, dig effect",
    "ABQRS": "abnormal qrs complex",
}
WALLS = {
    "ASMI": "anteroseptal",
    "AMI": "anterior",
    "IMI": "inferior",
    "LMI": "lateral",
    "ALMI": "anterolateral",
    "ILMI": "inferolateral",
    "PMI": "posterior",
}
# An age that is past changes little: what is asked about is an infarct of any age. "Acute" and "new" would change much.
_PAST = ("", "old ", "previous ", "prior ", "past ")
_INFARCT = ("{} infarct", "{} wall infarct", "{} myocardial infarct", "infarct in {} leads", "infarct of the {} wall")
OTHER_PHRASES = {
    (20, LEFT): "left axis deviation, left axis, axis left, leftward axis, axis deviated to the left, axis leftward",
    (20, RIGHT): "right axis deviation, right axis, axis right, rightward axis, axis deviated to the right, "
    "axis rightward, rad",
    (20, NORMAL_AXIS): "normal axis, axis normal, normal electrical axis, heart axis normal, electrical axis normal",
    (23, STAGES["Stadium I"]): "early stage of infarct",
    (23, STAGES["Stadium III"]): "old stage of infarct",
    (27, DRIFT): "baseline wander, baseline wandering, wandering baseline, drifting baseline",
    (27, ELECTRODES): "electrode problem, problem with the electrode",
    (29, ANY_NOISE): "noise, kind of noise, artefact, noisy, signal noise, signal noisy, noise in the signal",
    (35, ANY_EXTRASYSTOLE): "extra beat, extrasystole, extra systole, ectopy, ectopic, ectopic beat, premature beat, "
    "kind of extrasystole, kind of extra beat",
}
EXTRA_BEATS = {  # asked as beats or, if a model knows only that, as the statement
    (VENTRICULAR, "PVC"): "pvc, vpc, vpb, ves, ventricular ectopy, ventricular ectopic, ventricular ectopic beat, "
    "ventricular premature beat, premature ventricular beat, premature ventricular contraction, "
    "premature ventricular complex, ventricular extra beat",
    (ATRIAL, "PAC"): "pac, apc, apb, sves, atrial ectopy, atrial ectopic, atrial ectopic beat, atrial extrasystole, "
    "atrial premature beat, premature atrial beat, premature atrial contraction, premature atrial complex, "
    "supraventricular ectopy, supraventricular ectopic beat",
}

# What is a number; if a model was trained on ranges only, some are answered by the range. A rate is not: the range of
# the RR interval is "below" for a fast heart.
RATE, PR, QRS, QT, QTC, AXIS = (quantity.question for quantity in QUANTITIES)
MEASURED = {
    (RATE,): "rate, heart rate, hr, ventricular rate, beat per minute, bpm",
    (PR, TEMPLATES[41].text("pr interval")): "pr, pr interval, pr duration, pq, pq interval, pr time",
    (QRS, TEMPLATES[41].text("qrs duration")): "qrs, qrs duration, qrs width, qrs interval, width of the qrs",
    (QT, TEMPLATES[41].text("qt interval")): "qt, qt interval, qt duration, qt time",
    (QTC, TEMPLATES[41].text("qt corrected")): "qtc, qtc interval, corrected qt, corrected qt interval, qt corrected",
    (AXIS,): "axis in degrees, frontal axis in degrees, heart axis in degrees, electrical axis in degrees",
    (TEMPLATES[41].text("p duration"),): "p wave duration, p duration, duration of the p wave, width of the p wave",
    (TEMPLATES[41].text("rr interval"),): "rr, rr interval",
}
WHOLE = {  # whole questions
    (RATE,): "how fast is it, how fast is the heart, how fast is the heart beating, how fast is the rhythm, "
    "how high is the heart rate, how fast is the heart rate, how many beat per minute",
    (QRS, TEMPLATES[41].text("qrs duration")): "how wide is the qrs complex, how long is the qrs complex, "
    "qrs complex duration, qrs complex width",
}

# What is open: answered by names.
RHYTHM, DIAGNOSES, DIRECTION = (TEMPLATES[number].text() for number in (7, 5, 22))
STAGE, NOISE_KINDS, BEAT_KINDS = (TEMPLATES[number].text() for number in (25, 32, 38))
OPEN = {
    (RHYTHM,): "rhythm, heart rhythm, cardiac rhythm, underlying rhythm, rhythm is this, rhythm is it, "
    "rhythm does this ecg show, kind of rhythm is this",
    (DIAGNOSES,): "diagnosis, diagnostic statement, diagnoses",
    (DIRECTION, AXIS): "axis, heart axis, cardiac axis, electrical axis, qrs axis, frontal axis, direction of the axis",
    (STAGE,): "stage of infarct, infarct stage, stage of the infarct",
    (NOISE_KINDS,): "kind of noise, type of noise, noise is there, kind of artefact, signal quality, quality, "
    "recording quality, quality of the signal, quality of the recording",
    (
        BEAT_KINDS,
    ): "kind of extrasystole, kind of extra systole, kind of extra beat, type of extra beat, type of extrasystole, "
    "extra beat are there, kind of ectopy",
    (REPORT,): "report, interpretation, interpret, full report, write a report, describe, describe this ecg, "
    "interpret this ecg, read this ecg, summary, summarise this ecg, summarize this ecg, findings, "
    "does this ecg show, do you see",
}

# States: asked like findings, answered by what cannot be mistaken for yes or no about something else.
STATES = {
    (TEMPLATES[39].text("rr interval"), RATE): "rate normal, normal rate, heart rate normal, "
    "normal heart rate, rate ok, heart rate ok",
    (TEMPLATES[39].text("pr interval"),): "pr normal, pr interval normal, normal pr interval, normal pr",
    (TEMPLATES[39].text("qrs duration"),): "qrs duration normal, qrs width normal, normal qrs duration",
    (TEMPLATES[39].text("qt interval"),): "qt normal, qt interval normal, normal qt interval, normal qt",
    (TEMPLATES[39].text("qt corrected"),): "qtc normal, normal qtc, qtc interval normal, corrected qt normal",
    (TEMPLATES[39].text("p duration"),): "p wave duration normal, p duration normal",
    (TEMPLATES[41].text("pr interval"), PR): "long pr, pr long, long pr interval, pr interval long, short pr, "
    "pr short, short pr interval, pr interval short, pr prolongation",
    (TEMPLATES[41].text("qrs duration"), QRS): "wide qrs, qrs wide, wide qrs complex, qrs complex wide, narrow qrs, "
    "qrs narrow, qrs long, long qrs, narrow qrs complex, qrs complex narrow",
    (
        RATE,
    ): "tachycardia, tachycardic, tachy, bradycardia, bradycardic, brady, heart rate fast, heart rate slow, rate fast, "
    "rate slow, heart rate high, heart rate low, rate high, rate low, fast heart rate, slow heart rate",
    (DIRECTION,): "axis deviation, axis deviated, axis abnormal, abnormal axis",
    (NOISE_KINDS,): "signal quality ok, signal quality good, signal quality bad, signal quality poor, quality ok, "
    "quality good, signal quality acceptable, signal ok, signal good, poor signal quality, good signal quality",
    (REPORT,): "normal, abnormal, ecg normal, ecg abnormal, ecg ok, normal ecg, abnormal ecg, anything abnormal, "
    "anything wrong, abnormality, ok, everything ok, everything normal, normal or abnormal, ecg normal or abnormal",
}

# Phrases that mean more than one finding: those that can be asked about, each on its own.
SHARED = {
    ("ASMI", "AMI", "ALMI", "LMI", "ILMI", "IMI", "IPMI", "IPLMI", "PMI"): "infarct, "
    + ", ".join(f"{past}infarct" for past in _PAST if past),
    ("CLBBB", "CRBBB", "ILBBB", "IRBBB"): "bundle branch block, bbb",
    ("1AVB",): "av block, avb, heart block, atrioventricular block",
    ("LAFB", "LPFB"): "fascicular block, hemiblock",
    ("ISC_", "ISCAL", "ISCAN", "ISCAS", "ISCIL", "ISCIN", "ISCLA"): "ischemia, ischemic change",
    ("LVH",): "hypertrophy, ventricular hypertrophy",
    ("LAO/LAE", "RAO/RAE"): "atrial enlargement, atrial overload, enlarged atrium",
    ("STD_", "STE_", "NST_"): "st change, st segment change, st abnormality, st segment abnormality",
    ("INVT", "LOWT", "NDT", "NT_", "TAB_"): "t wave change, t change, t wave abnormality, abnormal t wave",
}


def phrases(listed: str) -> list[str]:
    """The single phrases of a cell of these tables."""
    return [phrase.strip() for phrase in listed.split(",")]


def findings() -> dict[str, tuple[str, ...]]:
    """Phrase -> questions of the same meaning that are answered by yes or no, the best one first."""
    table: dict[str, tuple[str, ...]] = {}

    def add(listed: list[str], *questions: str) -> None:
        for phrase in listed:
            table.setdefault(phrase, questions)

    for code, listed in CODE_PHRASES.items():
        add(phrases(listed), TEMPLATES[1].text(NAMES[code]))
    for code, wall in WALLS.items():
        listed = [past + form.format(wall) for past in _PAST for form in _INFARCT]
        add(listed, TEMPLATES[1].text(NAMES[code]))
    for (number, name), listed in OTHER_PHRASES.items():
        add(phrases(listed), TEMPLATES[number].text(name))
    for (kind, code), listed in EXTRA_BEATS.items():
        add(phrases(listed), TEMPLATES[36].text(kind), TEMPLATES[1].text(NAMES[code]))
    return table


# What no ECG shows, as patterns for text in normal form. They are tried after the phrases above: "digoxin effect" is
# a finding.
NOT_IN_AN_ECG = (
    r"bp|blood (?:pressure|sugar|glucose|type|gas|count|test|thinner)s?|hypertension|hypertensive|hypotension",
    r"diabet\w*|cholesterol|lipids?|hba1c|glucose|obes\w*|anemi\w*|thyroid|kidney|renal|liver|cancer|asthma|copd",
    r"pregnan\w*|troponins?|d dimer|bnp|creatinine|h(?:a)?emoglobin|lab(?:oratory)? (?:values?|results?)",
    r"drugs?|meds?|medication\w*|medicin\w*|pills?|dose|dosage|tablets?|anticoag\w*|aspirin|beta ?blockers?|statins?"
    r"|warfarin|amiodarone|prescri\w*",
    r"treat\w*|therap\w*|surgery|operation|operated|ablat\w*|cardiover\w*|stents?|stented|bypass|pci|cabg|shock\w*",
    r"history|family|famil\w*|inherit\w*|genetic\w*|mutation|parents?|mother|father|smok\w*|alcohol|drinks?|allerg\w*",
    r"how old|years old|age(?! of the infarct| of infarct| indeterminate| undetermined| unknown)|birthday|gender|sex"
    r"|male|female|man|woman|bmi|weight|weigh",
    r"(?:patient s|his|her|my) (?:name|height|address)|how tall (?:is|am) (?:the patient|he|she|i)|ethnic\w*",
    r"ejection fraction|lvef|ef|stenos\w*|regurgitation|calcium score|coronary arter\w*|plaque|which artery|clots?",
    r"symptoms? (?:does|did|do) (?:the|this|my) patient|chest pain|pain|dizz\w*|dyspn\w*|breath\w*|fever|temperature",
    r"oxygen|saturation|spo2|surviv\w*|prognosis|die|mortality|risk|life expectancy|should (?:i|we)|worry",
    r"covid|infection|pneumonia|stress|anxi\w*|sport|exercise|when (?:did|was|were)|since when|yesterday|tomorrow",
)

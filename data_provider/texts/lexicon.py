"""The statements that machine-style English reports make, one per finding, and the findings that a report states."""

import re

from cardiolect.data_provider.ecgqa.findings import (
    ABNORMAL,
    AV_BLOCK,
    AXES,
    ECTOPIES,
    INVERTED_T,
    LBBB,
    LONG_QT,
    LOW_VOLTAGE,
    LVH,
    NOISES,
    NORMAL,
    RBBB,
    RHYTHMS,
    TERRITORIES,
    VARIED_FINDINGS,
)

# One statement per finding.
LEXICON: dict[str, str] = {
    RHYTHMS[0]: "Sinus rhythm.",
    RHYTHMS[1]: "Sinus bradycardia.",
    RHYTHMS[2]: "Sinus tachycardia.",
    RHYTHMS[3]: "Atrial fibrillation.",
    RHYTHMS[4]: "Atrial flutter.",
    ECTOPIES[0]: "Supraventricular extrasystoles.",
    ECTOPIES[1]: "Ventricular extrasystoles.",
    AV_BLOCK: "First degree AV block.",
    LBBB: "Complete left bundle branch block.",
    RBBB: "Complete right bundle branch block.",
    AXES[0]: "Normal heart axis.",
    AXES[1]: "Left axis deviation.",
    AXES[2]: "Right axis deviation.",
    LVH: "Left ventricular hypertrophy.",
    LOW_VOLTAGE: "Low QRS voltages in the frontal and horizontal leads.",
    **{f"myocardial infarction in {t} leads": f"Acute myocardial infarction in {t} leads." for t in TERRITORIES},
    INVERTED_T: "Inverted T-waves.",
    LONG_QT: "Long QT-interval.",
    NORMAL: "Normal ECG.",
    ABNORMAL: "Abnormal ECG.",
    NOISES[0]: "Baseline drift.",
    NOISES[1]: "Static noise.",
    NOISES[2]: "Burst noise.",
    NOISES[3]: "Electrodes problems.",
}


def _normalised(statement: str) -> str:
    return " ".join(statement.lower().split()).strip(" .")


def _sentence(finding: str) -> str:
    text = finding[0].upper() + finding[1:]
    return text.replace("(qrs)", "(QRS)").replace(" st ", " ST ").replace(" t ", " T ") + "."


# Infarcts in varied recordings are of any age, so their statements do not begin with "Acute".
_INFARCTIONS = {f"myocardial infarction in {t} leads" for t in TERRITORIES}
VARIED_LEXICON = {f: LEXICON[f] if f in LEXICON and f not in _INFARCTIONS else _sentence(f) for f in VARIED_FINDINGS}
_FINDING_OF = {_normalised(s): finding for lexicon in (LEXICON, VARIED_LEXICON) for finding, s in lexicon.items()}


def findings_in(text: str) -> set[str]:
    """The findings of FINDINGS or VARIED_FINDINGS that a report states, whatever its case and spacing.

    Statements end with a full stop, semicolon or line break; unknown ones are ignored.
    """
    statements = (_normalised(part) for part in re.split(r"[.;\n]", text))
    return {_FINDING_OF[s] for s in statements if s in _FINDING_OF}

"""Machine-style English reports from a fixed lexicon, and the findings read back from such reports."""

import json
import re
from pathlib import Path

from cardiolect.data_provider.ecgqa.ranges import NORMAL_RANGES_MS, RANGES
from cardiolect.data_provider.simulator.truth import (
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
    Truth,
)
from cardiolect.data_provider.simulator.varied.truth import VARIED_FINDINGS, VariedTruth

# One statement per finding. Reports follow the order of FINDINGS: rhythm, ectopy, AV block, conduction, axis, voltage,
# infarction, T wave, QT, conclusion, technical quality. Intervals out of range come before the conclusion.
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


def report(truth: Truth) -> str:
    """The report of one ECG: its statements in the order of FINDINGS, separated by spaces."""
    lexicon = VARIED_LEXICON if isinstance(truth, VariedTruth) else LEXICON
    intervals = []
    for feature in NORMAL_RANGES_MS:
        if (place := truth.range_of(feature)) in (RANGES[0], RANGES[2]):
            wave, what = feature.split()
            intervals.append(f"{wave.upper()} {what} {place}.")
    statements = []
    for finding in truth.findings:
        if finding in (NORMAL, ABNORMAL):
            statements += intervals
        statements.append(lexicon[finding])
    return " ".join(statements)


def findings_in(text: str) -> set[str]:
    """The findings of FINDINGS or VARIED_FINDINGS that a report states, regardless of case and spacing.

    Statements end with a full stop, semicolon or line break; unknown ones are ignored.
    """
    statements = (_normalised(part) for part in re.split(r"[.;\n]", text))
    return {_FINDING_OF[s] for s in statements if s in _FINDING_OF}


def load_true_findings(root: Path) -> dict[str, set[str]] | None:
    """record_id -> findings of a simulated corpus; None if ``root`` is not one."""
    path = root / "truth.jsonl"
    if not path.is_file():
        return None
    rows = map(json.loads, path.read_text().splitlines())
    return {str(row["record_id"]): set(row["findings"]) for row in rows}

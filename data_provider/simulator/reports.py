"""Machine-style English reports from a fixed lexicon, and the way back from a report to its findings."""

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
from cardiolect.data_provider.simulator.varied.lexicon import varied_lexicon
from cardiolect.data_provider.simulator.varied.truth import VariedTruth

# One statement per finding. Reports follow the order of FINDINGS: rhythm, ectopy, AV block, conduction, axis, voltage,
# infarction, T wave, QT, conclusion, technical quality; intervals out of range stand before the conclusion.
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


VARIED_LEXICON = varied_lexicon(LEXICON)
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
    """The finding keys that a report states, of FINDINGS or VARIED_FINDINGS; others, case and spacing do not matter.

    Statements end with a full stop, semicolon or line break.
    """
    statements = (_normalised(part) for part in re.split(r"[.;\n]", text))
    return {_FINDING_OF[s] for s in statements if s in _FINDING_OF}


def load_true_findings(root: Path) -> dict[str, set[str]] | None:
    """record_id -> finding keys of a simulated corpus; None where ``root`` is no simulated corpus."""
    path = root / "truth.jsonl"
    if not path.is_file():
        return None
    rows = map(json.loads, path.read_text().splitlines())
    return {str(row["record_id"]): set(row["findings"]) for row in rows}

"""The text of each recording for pretraining: patient, findings as stated, and waveforms from their descriptions.

Written as reports (``{"ecg_id": ..., "report": ...}``), which TRAIN_DATA, VALID_DATA and TEST_DATA name, and which
``cardiolect prepare --texts`` takes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cardiolect.data_provider.texts.background import age_and_sex
from cardiolect.data_provider.texts.describe.corpus import RecordStatements
from cardiolect.data_provider.texts.describe.describing import text_of
from cardiolect.data_provider.texts.describe.statements import NORMAL

NO_SPLIT = "recordings of no split"
_LISTED = ("finding", "normal", "negated")


def record_text(record: RecordStatements, described: Mapping[str, Mapping[str, Any]], patient: bool = False) -> str:
    """ "56-year-old female. ECG findings: a, b. Waveforms: ...", "" if the recording has no finding.

    Findings keep their words, and so hedges and denials; administrative and unknown statements and remarks are left
    out. The waveforms of a normal ECG are left out if another statement has a finding. patient: whether to begin with
    age and sex, as far as they are known.
    """
    results = [described[statement] for statement in record.statements]
    stated = [result.get("english", result["statement"]).strip(" .") for result in results if is_listed(result)]
    if not stated:
        return ""
    abnormal = any(result["class"] == "finding" for result in results)
    rows = {row["text"]: row for result in results for row in result["waveforms"] if is_listed(result)}
    waveforms = text_of([row for row in rows.values() if not (abnormal and row["code"] == NORMAL)])
    parts = [person(record.background)] if patient else []
    parts += [f"ECG findings: {', '.join(stated)}."]
    return " ".join(filter(None, [*parts, waveforms and f"Waveforms: {waveforms}"]))


def is_listed(result: Mapping[str, Any]) -> bool:
    """Whether a statement is among a recording's findings: also a verdict on the whole ECG, such as "abnormal ECG"."""
    return result["class"] in _LISTED or (result["class"] == "comment" and bool(result["findings"]))


def person(background: str) -> str:
    """ "56-year-old female.", as far as a background says so; nobody over 89 is given an age."""
    age, sex = age_and_sex(background)
    if age is None:
        return f"{sex.capitalize()}." if sex else ""
    years = f"Over-{age:g}-year-old" if "age over" in background else f"{age:g}-year-old"
    return f"{years} {sex}".strip() + "."


def reports(
    records: Sequence[RecordStatements],
    described: Mapping[str, Mapping[str, Any]],
    patient: bool,
    left_out: Counter[str],
) -> dict[str, list[dict[str, str]]]:
    """Split -> the items of its JSON file. Recordings without a text are left out.

    So are those of no split, whose patients might be held out elsewhere; they are counted in ``left_out``.
    """
    found: dict[str, list[dict[str, str]]] = {}
    for record in records:
        if record.record_id and (text := record_text(record, described, patient)):
            if record.split:
                found.setdefault(record.split, []).append({"ecg_id": record.record_id, "report": text})
            else:
                left_out[NO_SPLIT] += 1
    return found

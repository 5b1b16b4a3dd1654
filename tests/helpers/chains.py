"""Reasoning chains as they are published, of one or two loops."""

from typing import Any

FURTHER = "Further findings are required to confirm the diagnosis"


def question(kind: str, text: str, options: list[str], answer: str | list[str]) -> dict[str, Any]:
    return {"question": text, "options": options, "answer": answer, "question_type": kind}


def loop(finding: str, decision: str, grounding: list[dict], number: int = 1) -> dict[str, Any]:
    return {
        "criterion_selection": question(
            "criterion_selection",
            f"Which criterion is number {number}?",
            ["low voltage", "ST depression", "inverted T"],
            ["ST depression", "inverted T"][number - 1],
        ),
        "finding_identification": question("finding_identification", f"Is it met ({number})?", ["Yes", "No"], finding),
        "ecg_grounding": grounding,
        "diagnostic_decision": question("diagnostic_decision", "So?", ["Yes", "No", FURTHER], decision),
    }


def leads(*names: str) -> dict[str, Any]:
    options = ["Lead I", "Lead II", "Lead V2", "Lead V3", "Lead V4"]
    return question("lead_grounding", "Which leads? Select all possible leads.", options, [f"Lead {n}" for n in names])


def wave(answer: str, *others: str) -> dict[str, Any]:
    return question("wave_grounding", "Where is the QRS complex?", sorted([answer, *others]), answer)


def measured(answer: str) -> dict[str, Any]:
    options = ["Below 100ms", "[100ms - 120ms]", "Above 120ms"]
    return question("measurement_grounding", "Which range does the QRS duration fall into?", options, answer)


def row(number: int, ecg_id: object, label: bool, *loops: dict, diagnosis: str = "anterior_ischemia") -> dict[str, Any]:
    """One line of a published file."""
    return {
        "metadata": {
            "data_source": "ptbxl",
            "ecg_id": str(ecg_id),
            "target_dx": diagnosis,
            "dx_label": label,
            "path_idx": 0,
            "id": number,
        },
        "data": {
            "initial_diagnostic_question": question(
                "initial_diagnostic_question", "Does this ECG suggest it?", ["Yes", "No"], "Yes" if label else "No"
            ),
            "reasoning": list(loops),
        },
    }


def positive(number: int, ecg_id: object, qrs: str = "[1.00s - 1.10s]") -> dict[str, Any]:
    """A finding in two leads and at one time; the other ranges are 0.2 s long."""
    others = ("[0.50s - 0.70s]", "[2.00s - 2.20s]")
    return row(number, ecg_id, True, loop("Yes", "Yes", [leads("V2", "V3"), wave(qrs, *others)]))


def negative(number: int, ecg_id: object) -> dict[str, Any]:
    """Two criteria that are not met; nothing is to be located."""
    return row(number, ecg_id, False, loop("No", FURTHER, []), loop("No", "No", [], number=2))

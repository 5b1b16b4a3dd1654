"""What a result says, in words, and what speaks against believing it."""

from collections.abc import Mapping
from typing import Any

from cardiolect.model.evaluation.breakdown import FEWEST_PATIENTS
from cardiolect.model.evaluation.conditions import CONDITIONS, NO_ECG, OTHER_ECG


def score_name(key: str) -> str:
    """The name of a score for readers; only ``em`` is not its own name."""
    return "exact match" if key == "em" else key


def gaps(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Signal-use gaps: of the main score, and of reports of what they say."""
    return [result[key] for key in ("gap", "content_gap") if key in result]


def verdict(result: Mapping[str, Any], gap: Mapping[str, Any]) -> str:
    """What a signal-use gap says, in a sentence or two."""
    low, high = gap["ci95"]
    if low is None:
        return "All samples are of one patient: there is no interval, and nothing can be said of other patients."
    if low > 0 and OTHER_ECG in result["conditions"]:
        said = "The interval lies above zero: the answers depend on the ECG."
    elif low > 0:
        said = (
            "The interval lies above zero: better than these floors. Whether the ECG matters is not known without "
            "another patient's ECG (FLOORS=other_ecg)."
        )
    elif high < 0:
        said = "The interval lies below zero: a floor that sees no ECG, or another one, does better."
    else:
        said = "The interval covers zero: this evaluation does not show that the model uses the ECG."
    if result["patients"] < FEWEST_PATIENTS:
        said += f" Of {result['patients']} patients it is too narrow: do not rely on it."
    return said


def warnings(result: Mapping[str, Any]) -> list[str]:
    """What a reader should know before believing the scores."""
    found = []
    training = result.get("checkpoint", {}).get("settings") or {}
    if NO_ECG in result["conditions"] and training.get("ecg_dropout") == 0:
        found.append("Training never left the ECG out (ECG_DROPOUT=0): without it this model is no fair floor.")
    if result.get("cut_off"):
        cut = ", ".join(f"{CONDITIONS[name].heading} {n}" for name, n in result["cut_off"].items())
        found.append(f"Texts cut off by MAX_NEW_TOKENS: {cut}.")
    return found

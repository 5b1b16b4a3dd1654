"""The conclusion of a result in words, and warnings about it."""

from collections.abc import Mapping
from typing import Any

from cardiolect.model.evaluation.breakdown import FEWEST_PATIENTS
from cardiolect.model.evaluation.conditions import CONDITIONS, NO_ECG, OTHER_ECG


def score_name(key: str) -> str:
    """The name of a score for readers; only ``em`` is not its own name."""
    return "exact match" if key == "em" else key


def gaps(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The signal-use gaps: of the main score, and for reports also of their content."""
    return [result[key] for key in ("gap", "content_gap") if key in result]


def verdict(result: Mapping[str, Any], gap: Mapping[str, Any]) -> str:
    """The meaning of a signal-use gap, in a sentence or two."""
    low, high = gap["ci95"]
    if low is None:
        return "All samples are of one patient, so there is no interval and no conclusion about other patients."
    if low > 0 and OTHER_ECG in result["conditions"]:
        text = "The interval lies above zero: the answers depend on the ECG."
    elif low > 0:
        text = (
            "The interval lies above zero: the model is better than these floors. To know whether the ECG matters, "
            "evaluate with another patient's ECG (FLOORS=other_ecg)."
        )
    elif high < 0:
        text = "The interval lies below zero: a floor without the ECG, or with another one, is better."
    else:
        text = "The interval covers zero: this evaluation does not show that the model uses the ECG."
    if result["patients"] < FEWEST_PATIENTS:
        text += f" With {result['patients']} patients it is too narrow: do not rely on it."
    return text


def warnings(result: Mapping[str, Any]) -> list[str]:
    """Reasons to be careful with the scores."""
    found = []
    training = result.get("checkpoint", {}).get("settings") or {}
    if NO_ECG in result["conditions"] and training.get("ecg_dropout") == 0:
        found.append("Training never left the ECG out (ECG_DROPOUT=0), so the model without it is not a fair floor.")
    if result.get("cut_off"):
        cut = ", ".join(f"{CONDITIONS[name].heading} {n}" for name, n in result["cut_off"].items())
        found.append(f"Texts cut off by MAX_NEW_TOKENS: {cut}.")
    return found

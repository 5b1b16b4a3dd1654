"""Under which conditions a model answers, and which of them are floors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

WITH_ECG = "with_ecg"
NO_ECG, OTHER_ECG, SILENCED, REVERSED = "no_ecg", "other_ecg", "silenced_leads", "reversed_leads"
GENERATED = "generated"
MAJORITY, MAJORITY_PER_QUESTION = "majority", "majority_per_question"


class Condition(NamedTuple):
    """heading: for a column; meaning: in a sentence; floor: whether the signal-use gap is measured against it.

    colour: Okabe & Ito's, told apart with any colour vision.
    """

    heading: str
    meaning: str
    floor: bool
    colour: str


CONDITIONS: dict[str, Condition] = {  # in the order of their columns
    WITH_ECG: Condition("with ECG", "the model with the ECG", False, "#0072B2"),
    NO_ECG: Condition("no ECG", "the same prompt without the codes", True, "#E69F00"),
    OTHER_ECG: Condition("other ECG", "the codes of another patient's recording", True, "#CC79A7"),
    SILENCED: Condition("silenced", "the codes of a flat line, all twelve leads at 0 mV", True, "#56B4E9"),
    # What is in time survives it, so a rhythm may still be read: it tells what the leads are worth, and is no floor.
    REVERSED: Condition(
        "reversed", "the codes of the same recording with its twelve leads in reverse order", False, "#009E73"
    ),
    GENERATED: Condition("generated", "free generation with the ECG, where the answers are ranked", False, "#D55E00"),
    MAJORITY: Condition("majority", "the most common training answer of the question's template", True, "#999999"),
    MAJORITY_PER_QUESTION: Condition(
        "maj./question", "the most common training answer of the very question", True, "#555555"
    ),
}
CHOICES = (NO_ECG, OTHER_ECG, SILENCED, REVERSED)  # of FLOORS


def floors(names) -> list[str]:
    """Those of ``names`` that the signal-use gap is measured against."""
    return [name for name in names if name in CONDITIONS and CONDITIONS[name].floor]


def colours(names) -> dict[str, str]:
    """Heading -> colour of the conditions ``names``, in the order of columns."""
    return {each.heading: each.colour for name, each in CONDITIONS.items() if name in names}


def verdict(gap: Mapping[str, Any]) -> str:
    """What a signal-use gap says, in a sentence."""
    low, high = gap["ci95"]
    if low is None:
        return "All samples are of one patient: there is no interval, and nothing can be said of other patients."
    if low > 0:
        return "The interval lies above zero: the answers depend on the ECG."
    if high < 0:
        return "The interval lies below zero: a floor that sees no ECG, or another one, does better."
    return "The interval covers zero: this evaluation does not show that the model uses the ECG."

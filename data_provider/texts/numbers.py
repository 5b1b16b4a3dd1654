"""Questions whose answer is a number: rate, intervals and axis, in words that a model can learn.

They are Cardiolect's own, not ECG-QA's, which asks only whether a measurement is in its normal range.
"""

import math
import re
from dataclasses import dataclass

NUMBER = "single-number"  # the question type
NOT_MEASURABLE = "not measurable"  # such as the PR interval in atrial fibrillation
NO_BEATS = "fewer than three beats found, so nothing can be measured"  # on the whole ECG


@dataclass(frozen=True)
class Quantity:
    """What is asked for.

    template_id: beyond those of ECG-QA, which end at 70. step: answers are rounded to multiples of it, in ``unit``.
    close: the largest error that still counts as close, in ``unit``.
    """

    name: str
    template_id: int
    question: str
    unit: str
    step: int
    close: float

    def answer(self, value: float | None) -> str:
        """A value in ``unit`` as an answer; None and NaN cannot be measured."""
        if value is None or math.isnan(value):
            return NOT_MEASURABLE
        return f"{round(value / self.step) * self.step} {self.unit}"


QUANTITIES = (
    Quantity("heart rate", 101, "What is the heart rate?", "bpm", 1, 5.0),
    Quantity("pr interval", 102, "How long is the PR interval?", "ms", 10, 20.0),
    Quantity("qrs duration", 103, "How long is the QRS complex?", "ms", 5, 15.0),
    Quantity("qt interval", 104, "How long is the QT interval?", "ms", 10, 30.0),
    Quantity("qt corrected", 105, "How long is the corrected QT interval?", "ms", 10, 30.0),
    Quantity("axis", 106, "What is the frontal axis in degrees?", "degrees", 10, 20.0),
)
BY_TEMPLATE = {quantity.template_id: quantity for quantity in QUANTITIES}
_VALUE = re.compile(r"(-?\d{1,4}(?:\.\d+)?)\s*(bpm|ms|degrees)\.?", re.IGNORECASE)


def value_of(text: str, unit: str) -> float | None:
    """The number in an answer that consists of one number and this unit; None for any other text."""
    found = _VALUE.fullmatch(text.strip())
    return float(found[1]) if found and found[2].lower() == unit else None

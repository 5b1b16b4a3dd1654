"""What is measured on one recording, in words for people: next to the answers of a model, and independent of it."""

import math

from cardiolect.data_provider.ecgqa.asked import asked
from cardiolect.data_provider.ecgqa.findings import AXES
from cardiolect.data_provider.ecgqa.intervals import Delineation, delineate, measure_halves
from cardiolect.data_provider.ecgqa.range_fit import AXIS, REGULAR, values_of
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.numbers import NO_BEATS, QUANTITIES, value_of
from cardiolect.utils.answers import NO, YES

NORMAL_AXIS = (-30, 90)  # degrees
AXIS_MARGIN = 5.0  # degrees; half the step of a measured axis, which is then never on the limit that it is held against

_SHORT = {
    "heart rate": "rate",
    "pr interval": "PR",
    "qrs duration": "QRS",
    "qt interval": "QT",
    "qt corrected": "QTc",
    "axis": "axis",
}


def measured_in_words(record: ECGRecord) -> str:
    """For example "rate 62 bpm, PR 160 ms, QRS 90 ms, QT 390 ms, QTc 400 ms, axis 40 degrees".

    A value is "uncertain" if the odd or the even beats, each measured alone, differ from it by more than a close answer
    may (`Quantity.close`), and "not measurable" if it cannot be read off, such as PR without constant P waves. The rate
    is always that of all beats.
    """
    found = delineate(record.signal, record.fs)
    if found is None:
        return NO_BEATS
    whole, halves = values_of(found.intervals), [values_of(half) for half in measure_halves(found)]
    words = []
    for quantity in QUANTITIES:
        value = whole[quantity.name]
        apart = [_apart(half[quantity.name], value, quantity.name) for half in halves]
        uncertain = not math.isnan(value) and not all(each <= quantity.close for each in apart)
        words.append(f"{_SHORT[quantity.name]} {quantity.answer(value)}{' (uncertain)' if uncertain else ''}")
    return ", ".join(words) + _rhythm(found)


def measured_otherwise(record: ECGRecord, question: str, answer: str) -> str | None:
    """What is measured on a recording if an answer differs from it; None if it does not or if this cannot be told.

    An answer is a number, which differs if it is not close, or names the axis, which differs if the measured one lies
    clearly on the other side of a limit. For example "measured on the signal: 173 bpm".
    """
    quantity = next((each for each in QUANTITIES if each.question == question.strip()), None)
    named = {} if quantity else _named_axes(question.strip(), answer)
    found = (quantity or named) and delineate(record.signal, record.fs)
    if not found:
        return None
    if named:
        return _axis_otherwise(found.intervals.axis, named)
    value, given = values_of(found.intervals)[quantity.name], value_of(answer, quantity.unit)
    if math.isnan(value):
        same = given is None
    else:
        same = given is not None and _apart(given, value, quantity.name) <= quantity.close
    return None if same else f"measured on the signal: {quantity.answer(value)}"


def _named_axes(question: str, answer: str) -> dict[str, bool]:
    """Which of `AXES` an answer says the ECG has or has not."""
    about = asked(question)
    if about is None or about.attribute_type != "heart_axis":
        return {}
    if answer in (YES, NO):
        return {name: answer == YES for name in about.names if name in AXES}
    return {name: True for name in AXES if name in answer}


def _axis_otherwise(degrees: float, named: dict[str, bool]) -> str | None:
    low, high = NORMAL_AXIS
    if math.isnan(degrees) or min(abs(degrees - low), abs(degrees - high)) <= AXIS_MARGIN or degrees < -90:
        return None
    measured = AXES[0] if low < degrees < high else AXES[1] if degrees < low else AXES[2]
    if all((name == measured) == given for name, given in named.items()):
        return None
    left = named.get(AXES[1]) and measured == AXES[0]
    usage = "; PTB-XL's label for a left axis begins near 0 degrees" if left else ""
    value = next(each for each in QUANTITIES if each.name == AXIS).answer(degrees)
    return f"measured on the signal: axis {value}; {low} to {high} is normal{usage}"


def _apart(a: float, b: float, name: str) -> float:
    """The difference of two values; of directions, at most 180 degrees."""
    return abs((a - b + 180) % 360 - 180) if name == AXIS else abs(a - b)


def _rhythm(found: Delineation) -> str:
    read = found.intervals
    words = [f"irregular: RR intervals vary by {read.rr_spread:.0%}"] if read.rr_spread > REGULAR else []
    if read.others:
        words.append(f"{read.others} of {read.beats + read.others} beats of another shape")
    return f"; {'; '.join(words)}" if words else ""

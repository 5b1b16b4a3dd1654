"""What is measured on one recording, in words for people: next to the answers of a model, and independent of it."""

import math

from cardiolect.data_provider.ecgqa.intervals import Delineation, delineate, measure_halves
from cardiolect.data_provider.ecgqa.range_fit import AXIS, REGULAR, values_of
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.numbers import NO_BEATS, QUANTITIES, value_of

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
    """What is measured on a recording if the number in an answer is not close to it; None if it is or cannot be told.

    For example "measured on the signal: 173 bpm".
    """
    quantity = next((each for each in QUANTITIES if each.question == question.strip()), None)
    found = quantity and delineate(record.signal, record.fs)
    if not found:
        return None
    value, given = values_of(found.intervals)[quantity.name], value_of(answer, quantity.unit)
    if math.isnan(value):
        same = given is None
    else:
        same = given is not None and _apart(given, value, quantity.name) <= quantity.close
    return None if same else f"measured on the signal: {quantity.answer(value)}"


def _apart(a: float, b: float, name: str) -> float:
    """The difference of two values; of directions, at most 180 degrees."""
    return abs((a - b + 180) % 360 - 180) if name == AXIS else abs(a - b)


def _rhythm(found: Delineation) -> str:
    read = found.intervals
    words = [f"irregular: RR intervals vary by {read.rr_spread:.0%}"] if read.rr_spread > REGULAR else []
    if read.others:
        words.append(f"{read.others} of {read.beats + read.others} beats of another shape")
    return f"; {'; '.join(words)}" if words else ""

"""What is measured on one recording, in words for people: next to the answers of a model, and independent of it."""

import math
import re

from cardiolect.data_provider.ecgqa.asked import asked
from cardiolect.data_provider.ecgqa.findings import AXES
from cardiolect.data_provider.ecgqa.intervals import Delineation, delineate, measure_halves
from cardiolect.data_provider.ecgqa.range_fit import AXIS, RATE, REGULAR, values_of
from cardiolect.data_provider.ecgqa.scp_statements import NAMES
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.numbers import NO_BEATS, QUANTITIES, value_of
from cardiolect.utils.answers import NO, YES
from cardiolect.utils.metrics.statements import extract

NORMAL_AXIS = (-30, 90)  # degrees
# SCP code -> quantity, the values that it can have with the finding, and beyond which value the finding is there; wide
# enough for the delineator's errors.
IMPLIED = {
    "SBRAD": (RATE, 0, 63, 54),
    "STACH": (RATE, 95, math.inf, 106),
    "1AVB": ("pr interval", 185, math.inf, 215),
    "CRBBB": ("qrs duration", 108, math.inf, math.inf),
    "CLBBB": ("qrs duration", 108, math.inf, math.inf),
    "LNGQT": ("qt corrected", 440, math.inf, 500),
}
_IN_REPORTS = {  # not after a negation
    name: rf"(?<!\bno )(?<!\bnot )(?<!\bwithout )\b{words}\b"
    for name, words in zip(AXES, ("normal (?:heart )?axis", "left axis", "right axis"), strict=True)
}
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


def measured_otherwise(record: ECGRecord, question: str, answer: str, report: bool = False) -> list[str]:
    """What is measured on a recording if an answer, or a report, clearly contradicts it: one line each.

    An answer is a number, which contradicts if it is not close; names the axis, if the measured one lies clearly on the
    other side of a limit; or is about one of `IMPLIED`. For example "measured on the signal: 173 bpm". report: the
    answer is one, whatever the question.
    """
    question = question.strip()
    quantity = next((each for each in QUANTITIES if each.question == question), None)
    stated = {} if quantity else _in_report(answer) if report else _stated(question, answer)
    found = (quantity or stated) and delineate(record.signal, record.fs)
    if not found:
        return []
    values = values_of(found.intervals)
    if quantity:
        value, given = values[quantity.name], value_of(answer, quantity.unit)
        if math.isnan(value):
            same = given is None
        else:
            same = given is not None and _apart(given, value, quantity.name) <= quantity.close
        lines = [] if same else [quantity.answer(value)]
    else:
        axes = {name: given for name, given in stated.items() if name in AXES}
        lines = [*_axis_otherwise(values[AXIS], axes), *_findings_otherwise(values, stated)]
    return [f"measured on the signal: {line}" for line in lines]


def _in_report(text: str) -> dict[str, bool]:
    """Which of `AXES` and of the findings in `IMPLIED` a report states."""
    present = {code for code, status in extract(text).items() if status == "present"}
    axes = {name: True for name, words in _IN_REPORTS.items() if re.search(words, text.lower())}
    return axes | {NAMES[code]: True for code in IMPLIED if code in present}


def _stated(question: str, answer: str) -> dict[str, bool]:
    """Which of them an answer says the ECG has or has not."""
    about = asked(question)
    if about is None:
        return {}
    named = {*AXES, *(NAMES[code] for code in IMPLIED)}
    if answer in (YES, NO):
        return {name: answer == YES for name in about.names if name in named}
    return {name: True for name in AXES if name in answer} if about.attribute_type == "heart_axis" else {}


def _axis_otherwise(degrees: float, named: dict[str, bool]) -> list[str]:
    low, high = NORMAL_AXIS
    if (
        not named
        or math.isnan(degrees)
        or min(abs(degrees - each) for each in (low, high, -90, 180, -180)) <= AXIS_MARGIN
    ):
        return []
    extreme = degrees < -90  # or beyond 180, which is the same
    measured = "" if extreme else AXES[0] if low < degrees < high else AXES[1] if degrees < low else AXES[2]
    if all((name == measured) == given for name, given in named.items()):
        return []
    left = named.get(AXES[1]) and measured == AXES[0]
    usage = "; PTB-XL's label for a left axis begins near 0 degrees" if left else ""
    value = next(each for each in QUANTITIES if each.name == AXIS).answer(degrees)
    return [f"axis {value}; {low} to {high} is normal{usage}"]


def _findings_otherwise(values: dict[str, float], stated: dict[str, bool]) -> list[str]:
    lines = {}
    for code, (name, low, high, surely) in IMPLIED.items():
        given, value = stated.get(NAMES[code]), values[name]
        if given is None or math.isnan(value):
            continue
        denied = given and not low <= value <= high
        with_p_waves = name != RATE or not math.isnan(values["pr interval"])  # as a sinus rhythm has
        implied = not given and with_p_waves and (value < surely if low == 0 else value > surely)
        if denied or implied:
            quantity = next(each for each in QUANTITIES if each.name == name)
            lines[f"{_SHORT[name]} {quantity.answer(value)}"] = None
    return list(lines)


def _apart(a: float, b: float, name: str) -> float:
    """The difference of two values; of directions, at most 180 degrees."""
    return abs((a - b + 180) % 360 - 180) if name == AXIS else abs(a - b)


def _rhythm(found: Delineation) -> str:
    read = found.intervals
    words = [f"irregular: RR intervals vary by {100 * read.rr_spread:.0f} %"] if read.rr_spread > REGULAR else []
    if read.others:
        words.append(f"{read.others} of {read.beats + read.others} beats of another shape")
    return f"; {'; '.join(words)}" if words else ""

"""The patient background in a prompt: age, sex, height and weight, and nothing that identifies the patient."""

import math
import re

_NUMBER = re.compile(
    r"\b(age|height|weight)\s*[:=]?\s*(over\s+)?(\d+(?:\.\d+)?)"
    r"[\s-]*(?!(?:age|sex|height|weight)\b)([a-z]+|['\"])?",  # the next key is not a unit
    re.IGNORECASE,
)
_OTHER_UNITS = {  # other than years, cm and kg
    "age": {"month", "months", "mo", "mos", "m", "week", "weeks", "wk", "wks", "w", "day", "days", "d"},
    "height": {"m", "mm", "metre", "metres", "meter", "meters", "in", "inch", "inches", "ft", "feet", "foot", "'", '"'},
    "weight": {"lb", "lbs", "pound", "pounds", "st", "stone", "stones", "g", "oz"},
}
_SEX = re.compile(r"\bsex\s*[:=]?\s*(\w+)", re.IGNORECASE)
_SEXES = {"0": "male", "m": "male", "male": "male", "1": "female", "f": "female", "female": "female"}  # PTB-XL's codes
_OLDEST = 89  # PTB-XL gives 300 for anyone older, so that nobody can be identified


def describe_patient(age: str = "", sex: str = "", height: str = "", weight: str = "") -> str:
    """One sentence from PTB-XL's columns as written ("56.0", "1", "", "63.0"): "age 56, sex female, weight 63 kg".

    height in cm, weight in kg. Empty, nan and impossible values are left out; "" if nothing is known.
    """
    parts = []
    years = _number(age, 0, 300)
    if years is not None:
        parts.append(f"age {years:g}" if years <= _OLDEST else f"age over {_OLDEST}")
    sex_word = _SEXES.get(sex.strip().lower().removesuffix(".0"))
    if sex_word:
        parts.append(f"sex {sex_word}")
    centimetres = _number(height, 30, 250)
    if centimetres is not None:
        parts.append(f"height {centimetres:g} cm")
    kilograms = _number(weight, 1, 400)
    if kilograms is not None:
        parts.append(f"weight {kilograms:g} kg")
    return ", ".join(parts)


def parse_background(text: str) -> str:
    """The same sentence from HeartLLM's background ("... - Patient ID: 9496; - Age: 54; - Sex: 1; ...").

    Only these four values are taken, so identifiers and dates cannot pass; values in other units are left out.
    """
    values = {}
    for key, over, value, unit in _NUMBER.findall(text):  # "over": the function accepts its own "age over 89"
        if (unit if unit == "M" else unit.lower()) in _OTHER_UNITS[key.lower()]:  # in "age 56 M", M means male
            continue
        values[key.lower()] = str(_OLDEST + 1) if over and key.lower() == "age" else value
    sex = _SEX.search(text)
    return describe_patient(sex=sex[1] if sex else "", **values)


def _number(text: str, low: float, high: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None

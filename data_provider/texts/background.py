"""The patient background in a prompt: age, sex, height and weight, and nothing that identifies the patient."""

import math
import re
from collections.abc import Iterable

_NUMBER = re.compile(
    r"\b(age|height|weight)\s*[:=]?\s*(over\s+|>=?\s*)?(\d++(?:\.\d++)?)(?!\s*-\s*\d|/(?:12|52|7)\b)"  # 8/12: months
    r"[\s-]*(?!(?:age|sex|gender|height|weight)\b)([a-z]+|['\"])?",  # the next key is not a unit
    re.IGNORECASE,
)
_OTHER_UNITS = {  # other than years, cm and kg
    "age": re.compile(r"m|mos?|mons?|mn?ths?|months?|monate?|w|wks?|weeks?|wochen?|d|days?|tage?|h|hrs?|hours?"),
    "height": re.compile(r"m|mm|met(re|er)s?|in|inch(es)?|ft|feet|foot|['\"]"),
    "weight": re.compile(r"lbs?|pounds?|st|stones?|g|oz"),
}
_SEX = re.compile(r"\b(?:sex|gender)\s*[:=]?\s*(\w+)", re.IGNORECASE)
_SEX_WORDS = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}
_SEXES = {"0": "male", "1": "female"} | _SEX_WORDS  # PTB-XL's codes
_OLDEST = 89  # PTB-XL gives 300 for anyone older, so that nobody can be identified

# A comment in a header: "#Age: 74", "# <age>: 65 <sex>: F <diagnoses> ...", "#Age (years) = 74, gender = F".
_KEY = re.compile(r"<?\b(age|sex|gender)\s*(?:[(\[]\s*(\w*)[^)\]]*[)\]]\s*)?>?\s*[:=]", re.IGNORECASE)
_COMMENT = re.compile(r"[#\s]*(?:patient(?:'s)?\s+)?(?=<?(?:age|sex|gender)\b)", re.IGNORECASE)
_AGE = re.compile(
    r"(?P<over>over|>=?)?\s*(?P<years>\d+(?:\.\d*)?)\s*(?P<plus>\+|(?:years )?(?:or|and) (?:older|over))?\s*"
    r"(?:y|yo|yrs?|years?|y\.o\.|jahre?)?(?: old)?\.?",
    re.IGNORECASE,
)
_YEARS = ("", "y", "yr", "yrs", "year", "years")


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
        key = key.lower()
        if unit != "M" and _OTHER_UNITS[key].fullmatch(unit.lower()):  # in "age 56 M", M means male
            continue
        if over:
            value = _at_least(value) if key == "age" else ""
        values[key] = value
    sex = next((word for word in _SEX.findall(text) if word.lower() in _SEXES), "")
    return describe_patient(sex=sex, **values)


def age_and_sex(background: str) -> tuple[float | None, str]:
    """Age in years and "male" or "female", from a sentence of `describe_patient`; None and "" if it says neither."""
    age = re.search(r"\bage (?:over )?(\d+(?:\.\d+)?)", background)
    sex = re.search(r"\bsex (male|female)", background)
    return (float(age[1]) if age else None), (sex[1] if sex else "")


def parse_comments(lines: Iterable[str]) -> str:
    """The same sentence, age and sex only, from the comments of a header, as the PhysioNet Challenge, PTB and INCART
    write them.

    A comment must begin with the key. Left out are ages in other units than years, ranges, sexes as numbers, whose
    meaning differs between corpora, and what two comments contradict each other about.
    """
    ages, sexes = set(), set()
    for line in lines:
        if not line.startswith("#") or not (start := _COMMENT.match(line)):
            continue
        _, *parts = _KEY.split(line[start.end() :])
        for key, unit, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            value = re.split(r"[<,;|#(]", text, maxsplit=1)[0].strip()
            if key.lower() != "age":
                sexes.add(_SEX_WORDS.get(value.lower(), ""))
            elif (unit or "").lower() in _YEARS:
                ages.add(_age(value))
    return describe_patient(*("".join(known) if len(known := values - {""}) == 1 else "" for values in (ages, sexes)))


def _age(text: str) -> str:
    """Years as `describe_patient` takes them, "" for anything else."""
    match = _AGE.fullmatch(text)
    if match is None:
        return ""
    return _at_least(match["years"]) if match["over"] or match["plus"] else match["years"]


def _at_least(years: str) -> str:
    """Years for "over 89" and "90+"; "over 50" is no age."""
    return str(_OLDEST + 1) if float(years) >= _OLDEST else ""


def _number(text: str, low: float, high: float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and low <= value <= high else None

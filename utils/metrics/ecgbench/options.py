"""Finds the options of a question in an answer, for ECGBench's form of ECG-QA."""

import re
from collections.abc import Sequence

from cardiolect.utils.metrics.ecgbench.label_sets import Form

_REQUEST = "Only answer based on the given Options without any explanation."  # follows the options
_OUTSIDE_PARENTHESES = re.compile(r"[,;\n](?![^()]*\))")


def options_of(question: str | Sequence[str], form: Form = "strict") -> list[str]:
    """The options after "Options:" in a question; [] if it has none.

    The question may be a list of characters, as ECGBench's file stores it. legacy: split at every comma. strict:
    lower-cased, split at commas, semicolons and line ends outside parentheses (ECG-QA has the answer "bigeminal pattern
    (unknown origin, supraventricular, or ventricular)"), without bullets and a closing full stop.
    """
    text = question if isinstance(question, str) else "".join(question)
    _, found, listed = text.rpartition("Options:")
    if not found:
        return []
    listed = listed.replace(_REQUEST, "")
    if form == "legacy":
        options = [option.strip() for option in listed.split(",")]
    else:
        options = [option.strip(" \t\r*-.").lower() for option in _OUTSIDE_PARENTHESES.split(listed)]
    return [option for option in dict.fromkeys(options) if option]


def find_options(text: str, options: Sequence[str], form: Form = "strict") -> set[str]:
    """The ``options`` that a lower-cased text names.

    legacy: substrings, so that "normal" and "not sure" contain "no"; an option with a capital is never found ("lead I"
    is not in "lead i"). strict: ``options`` are lower-case and must be separate words, the longest option first; text
    that matched one option does not match another, so "incomplete left bundle branch block" is not also "left bundle
    branch block". Neither understands negation.
    """
    text = text.lower()
    if form == "legacy":
        return {option for option in options if option in text}
    found = set()
    for option in sorted(options, key=len, reverse=True):
        text, times = re.subn(rf"(?<![\w-]){re.escape(option)}(?![\w-])", "\0", text)
        if times:
            found.add(option)
    return found

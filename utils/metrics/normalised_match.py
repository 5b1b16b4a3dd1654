"""Answers compared as a reader would: case, spaces, punctuation around answers, order and repetition do not matter."""

import re
from collections import Counter
from collections.abc import Sequence

from cardiolect.utils.errors import UserError

# A decimal number, else a full stop. A number is a separate word: in "V1.2nd" the stop ends the answer "V1".
_NUMBER_OR_STOP = re.compile(r"(?<![\w.])\d*\.\d+|\.")
# A comma or semicolon between answers, not the decimal comma of "0,5".
_SEPARATOR = re.compile(r"(?<!\d)[,;]|[,;](?!\d)")
_PUNCTUATION = ",;:!?()[]\"'"
_QUOTES = "\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_AROUND_ANSWERS = f",;:!?*_\N{HORIZONTAL ELLIPSIS} {_QUOTES}"  # not -, + and %, which belong to numbers
_IN_BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]*)[)\]}]?|([^()\[\]{}]*)[)\]}]")  # one of them may be at another answer


def statements(text: str) -> list[str]:
    """The answers or statements of a text: lower case, single spaces, split at full stops outside numbers.

    "ST depression 0.5 mV.Sinus rhythm. " gives "st depression 0.5 mv" and "sinus rhythm". Two answers that are
    both whole numbers, "30.5", look like a decimal and are kept as one.
    """
    return [part.casefold() for part in split_at_stops(text)]


def split_at_stops(text: str) -> list[str]:
    """`statements` in the case in which they are written."""
    parts, start = [], 0
    for found in _NUMBER_OR_STOP.finditer(text):
        if found.group() == ".":
            parts.append(text[start : found.start()])
            start = found.end()
    parts.append(text[start:])
    return [joined for part in parts if (joined := " ".join(part.split()))]


def words(text: str) -> list[str]:
    """The words of all `statements`, without punctuation at their ends; "ST-T" and "0.5" are one word each."""
    return [bare for part in statements(text) for word in part.split() if (bare := word.strip(_PUNCTUATION))]


def answer_set(texts: str | Sequence[str]) -> set[str]:
    """The set of answers in generated text, or in a list of gold answers, without empty ones.

    Answers are separated by full stops, commas and semicolons outside numbers, and have no punctuation around them:
    "lead V1, lead V2!" gives "lead v1" and "lead v2". Text of punctuation only is kept as it is.
    """
    parts = [part for text in ([texts] if isinstance(texts, str) else texts) for part in statements(text)]
    return {bare for part in parts for piece in _SEPARATOR.split(part) if (bare := _bare(piece))} or set(parts)


def _bare(answer: str) -> str:
    answer = answer.strip(_AROUND_ANSWERS)
    if enclosed := _IN_BRACKETS.fullmatch(answer):
        answer = (enclosed[1] or enclosed[2] or "").strip(_AROUND_ANSWERS)
    return answer


def normalised_match(prediction: str, answers: Sequence[str]) -> bool:
    """Whether a generated answer names exactly the gold answers, up to `answer_set`."""
    if isinstance(answers, str):
        raise UserError(f"gold answers must be a list of strings, not the single string {answers!r}")
    gold = answer_set(answers)
    return bool(gold) and answer_set(prediction) == gold


def token_f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """F1 of the words that two texts share, each counted as often as both have it; 0 if there are none.

    Source: Rajpurkar et al. 2016 (SQuAD, arXiv 1606.05250), section 6.1.
    """
    shared = (Counter(prediction) & Counter(reference)).total()
    return 2 * shared / (len(prediction) + len(reference)) if shared else 0.0


def answer_f1(prediction: str, answers: Sequence[str]) -> float:
    """`token_f1` of answer sets: a repeated answer counts once, so that a right answer scores 1."""
    predicted, gold = (
        [word for answer in answer_set(texts) for word in words(answer)] for texts in (prediction, answers)
    )
    return token_f1(predicted, gold)

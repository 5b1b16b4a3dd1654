"""The option letter in an answer to a multiple-choice question."""

import re
from random import Random

LETTERS = "ABCDEFGH"

# A letter that stands alone: before it no word, after it none that it is part of; "A" before a word is the article.
_LETTER = r"[\s*_(\[\"']*([A-H])(?![\w'-])(?!(?<=A)\s+(?!(?:because|since|as)\b)\w)"
_STATED = re.compile(rf"\b(?i:answer|choice|option)(?:\s+is|\s*:)\s*:?[\s*_]*(?:(?i:option)\b)?{_LETTER}")
_MARKED = re.compile(r"(?<![\w.'-])\(?([A-H])[.):](?!\w)")
_BARE = re.compile(r"\W*([A-Ha-h])\W*")


def find_letter(text: str) -> str | None:
    """The letter A-H that an answer gives; None where it gives none, or several.

    The first of these that names a letter decides: an answer that is nothing but a letter, in either case; a
    statement ("Answer: C", "the correct option is C"); a letter set off as option lists do ("C.", "C)", "(C)", "C:").
    Letters are words of their own: "AHA." holds no A, and "A normal ECG" none either.
    """
    if bare := _BARE.fullmatch(text):
        return bare[1].upper()
    for pattern in (_STATED, _MARKED):
        found = {match[1] for match in pattern.finditer(text)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def find_letter_legacy(text: str) -> str | None:
    """The letter that PULSE's scorer reads; None where it would guess.

    In this order: a bare letter; the alphabetically first of "A." to "H." that is a substring, wherever it stands
    ("AHA." is an A); the letter behind "The correct option is "; the alphabetically first letter within what follows
    "Answer:" ("Answer: C, Atrial fibrillation" is an A).
    """
    if (bare := text.strip()) in LETTERS and len(bare) == 1:
        return bare
    for letter in LETTERS:
        if f"{letter}." in text:
            return letter
    _, stated, behind = text.partition("The correct option is ")
    if stated and behind[:1] and behind[0] in LETTERS:
        return behind[0]
    _, stated, behind = text.rpartition("Answer:")
    return next((letter for letter in LETTERS if stated and letter in behind), None)


def guess_letter(letters: str, seed: int, sample: str) -> str:
    """A letter by chance, the same for a sample whatever the order of the samples."""
    return Random(f"{seed} {sample}").choice(letters)


def gold_letter(text: str) -> str | None:
    """The letter of a gold answer: alone, or before its text as in "C. Sinus rhythm"; None where there is none."""
    match = re.match(r"\s*\(?([A-H])(?:[.):]|\s*$)", text)
    return match[1] if match else None

"""The option letter in an answer to a multiple-choice question."""

import re
from random import Random

LETTERS = "ABCDEFGH"

# A letter that is a separate word; "A" before a word is the article.
_LETTER = r"[\s*_(\[\"']*([A-H])(?![\w'-])(?!(?<=A)\s+(?!(?:because|since|as)\b)\w)"
_STATED = re.compile(rf"\b(?i:answer|choice|option)(?:\s+is|\s*:)\s*:?[\s*_]*(?:(?i:option)\b)?{_LETTER}")
_MARKED = re.compile(r"(?<![\w.'-])\(?([A-H])[.):](?!\w)")
_BARE = re.compile(r"\W*([A-Ha-h])\W*")


def find_letter(text: str) -> str | None:
    """The letter A-H that an answer gives; None if it gives none, or several.

    The first of these that finds a letter decides: an answer that is only a letter, in either case; a statement
    ("Answer: C", "the correct option is C"); a letter marked as in option lists ("C.", "C)", "(C)", "C:"). Letters are
    separate words: neither "AHA." nor "A normal ECG" contains an A.
    """
    if bare := _BARE.fullmatch(text):
        return bare[1].upper()
    for pattern in (_STATED, _MARKED):
        found = {match[1] for match in pattern.finditer(text)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def find_letter_legacy(text: str) -> str | None:
    """The letter that PULSE's scorer reads; None if it would guess.

    In this order: a bare letter; the alphabetically first of "A." to "H." that is a substring anywhere ("AHA." is an
    A); the letter after "The correct option is "; the alphabetically first letter in what follows "Answer:" ("Answer:
    C, Atrial fibrillation" is an A).
    """
    if (bare := text.strip()) in LETTERS and len(bare) == 1:
        return bare
    for letter in LETTERS:
        if f"{letter}." in text:
            return letter
    _, stated, rest = text.partition("The correct option is ")
    if stated and rest[:1] and rest[0] in LETTERS:
        return rest[0]
    _, stated, rest = text.rpartition("Answer:")
    return next((letter for letter in LETTERS if stated and letter in rest), None)


def guess_letter(letters: str, seed: int, sample: str) -> str:
    """A random letter; the same for a sample in any order of the samples."""
    return Random(f"{seed} {sample}").choice(letters)


def gold_letter(text: str) -> str | None:
    """The letter of a gold answer: alone, or before its text as in "C. Sinus rhythm"; None if there is none."""
    match = re.match(r"\s*\(?([A-H])(?:[.):]|\s*$)", text)
    return match[1] if match else None

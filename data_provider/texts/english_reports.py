"""An English rendering of German and Swedish reports, by their statements, so that reports are in one language.

Statements keep their order, certainty, walls and ages. Words that no lexicon knows are left out and returned: a
rendering says no more than its report, and at most as much.
"""

import re
from typing import NamedTuple

from cardiolect.data_provider.texts.english_phrases import (
    AGES,
    AGES_AFTER,
    AGES_BEFORE,
    CLOSER,
    NEARLY_NORMAL,
    PHRASES,
    UNCODED,
    WALLS,
)
from cardiolect.utils.metrics.statements.cues import EXCEPT
from cardiolect.utils.metrics.statements.extraction import LANGUAGES, Piece, language, read, sentences
from cardiolect.utils.metrics.statements.lexicon import Status

ENGLISH = LANGUAGES[0]
_OR = re.compile(r"[ ,]*(?:oder|eller) ")
_NOT_DEFINITE = re.compile(
    r"(?:kein\w*|ohne|nicht|ing(?:en|et|a)|utan|ej|inte) (?:sicher|eindeutig|saek(?:er|r))\w*"
    r"(?: (?:zeichen|hinweis\w*|anhalt\w*|tecken|haallpunkt\w*)(?: \w+){0,2})? $"
)
_SHIFT = re.compile(r"r ?s (?:uebergang|transition).{0,30}?(rechts|links|hoeger|vaenster)")
_SHIFTED = {"rechts": "to the right", "hoeger": "to the right", "links": "to the left", "vaenster": "to the left"}
_INFARCTS = frozenset({"MI", "IMI", "ASMI", "AMI", "ALMI", "ILMI", "IPMI", "IPLMI", "LMI", "PMI"})
_STATUS: dict[Status, str] = {
    "present": "",
    "possible": "possible ",
    "absent": "no ",
    "past": "previously ",
    "unassessed": "not assessed: ",
}
_LED = frozenset({"STE_", "STD_", "INVT", "LOWT", "QWAVE"})  # the leads after these are kept
_LEAD = r"(?:v[1-6]|av[rlf]|i{1,3})"
_LEADS = re.compile(rf" (?:in |ueber )?({_LEAD}(?:[ ,]+(?:{_LEAD}|[1-6]))*)(?!\w)")
_WALLED = re.compile(r"^(?!subendocardial)[a-z]+ (?=(?:subendocardial )?(?:infarct|ischemia|injury))")


class Rendering(NamedTuple):
    """A report in English. text: "" if nothing was recognised; language: of the source; left_out: unknown words."""

    text: str
    language: str
    left_out: tuple[str, ...]


def render(report: str) -> Rendering:
    """The report in English; an English report as it is."""
    source = language(report)
    if source == ENGLISH:
        return Rendering(report, source, ())
    stated, left_out = [], []
    for sentence in sentences(report):
        reading = read(sentence)
        stated += _excepted(sentence, reading.pieces) or _statements(sentence, reading.pieces)
        left_out += reading.rest if reading.known else [sentence]
    text = " ".join(f"{one[0].upper()}{one[1:]}." for one in dict.fromkeys(stated))
    return Rendering(text, source, tuple(left_out))


def _excepted(sentence: str, pieces: tuple[Piece, ...]) -> list[str]:
    """ "Normal ECG except for ...", with what stands before it; [] if the sentence does not say so."""
    exception = EXCEPT.search(sentence)
    normal = next((one for one in pieces if ("NORM", "absent") in one.codes and "abnorm" not in one.text), None)
    if not exception or not normal:
        return []
    others = [one for one in pieces if one is not normal]
    excepted = _statements(sentence, tuple(one for one in others if one.start > exception.start()))
    if not excepted:
        return []
    before = _statements(sentence, tuple(one for one in others if one.start < exception.start()))
    return [*before, f"normal ECG except for {' and '.join(excepted)}"]


def _statements(sentence: str, pieces: tuple[Piece, ...]) -> list[str]:
    found: list[str] = []
    end = None
    for piece in pieces:
        alternative = found and end is not None and _OR.fullmatch(sentence[end : piece.start])
        phrases = _phrases(piece, sentence)
        if alternative and phrases:
            found[-1] += f" or {phrases[0]}"
            phrases = phrases[1:]
        found += phrases
        end = piece.start + len(piece.text) if phrases or alternative else None
    return found


def _phrases(piece: Piece, sentence: str) -> list[str]:
    if piece.codes:
        return [
            _with_status(phrase_of(code, piece, sentence), code, status, piece, sentence)
            for code, status in piece.codes
        ]
    phrase = next((words for pattern, words in UNCODED if re.fullmatch(pattern, piece.text)), "")
    if phrase.startswith("R-S") and (shift := _SHIFT.match(sentence, piece.start)):
        return [f"{phrase} in V leads displaced {_SHIFTED[shift[1]]}"]
    return [phrase] if phrase else []


def phrase_of(code: str, piece: Piece, sentence: str) -> str:
    """The English phrase for a code of a statement, with the wall, leads and age that its sentence names."""
    phrase = PHRASES[code]
    for name, pattern, closer in CLOSER:
        family = name.removesuffix("*")
        if (code == name or (family != name and code.startswith(family))) and re.search(pattern, piece.text):
            wall = _WALLED.match(phrase)
            phrase = f"{wall[0] if wall and family != name else ''}{closer}"
            break
    if len(piece.codes) == 1 and _WALLED.match(phrase) and (wall := walls_in(piece.text)):
        phrase = _WALLED.sub(f"{wall[0]} ", phrase)
    if code == "TAB_" and (walls := walls_in(piece.text)):
        *others, last = walls
        phrase += f" in {', '.join(others)}{' and ' if others else ''}{last} leads"
    if code in _LED and (leads := _LEADS.match(sentence, piece.start + len(piece.text))):
        phrase += f" in {_english_leads(leads[1])}"
    if code in _INFARCTS and (age := _age(piece, sentence)):
        phrase += f", {age}"
    return phrase


def _english_leads(text: str) -> str:
    """ "v1 4,avl", as `sentences` writes "V1-4,aVL" -> "V1-4, aVL"."""
    ranges = re.sub(r"(?<=\d) (?=v?\d)", "-", text)
    names = (name for name in re.split(r"[ ,]+", ranges) if name)
    return ", ".join("aV" + name[2].upper() if name.startswith("av") else name.upper() for name in names)


def _age(piece: Piece, sentence: str) -> str:
    """The age of an infarct, written as a part of its statement, before it or after its certainty; "" if none is."""
    before, after = sentence[: piece.start], sentence[piece.start + len(piece.text) :]
    written = ((AGES, piece.text), (AGES_AFTER, after), (AGES_BEFORE, before))
    return next((age for ages, text in written for pattern, age in ages if re.search(pattern, text)), "")


def walls_in(text: str) -> list[str]:
    """The walls that a statement names, in its order."""
    found, rest = [], text
    for pattern, name in WALLS:
        for match in re.finditer(rf"(?<![a-z]){pattern}", rest):
            found.append((match.start(), name))
            rest = rest[: match.start()] + "#" * len(match[0]) + rest[match.end() :]
    return [name for _, name in sorted(found)]


def _with_status(phrase: str, code: str, status: Status, piece: Piece, sentence: str) -> str:
    if code == "NORM":
        if status == "absent":
            return "abnormal ECG"
        if status == "possible":
            if "paatolog" in piece.text or "patolog" in piece.text:
                return "no definite pathology"
            return next(
                (words for pattern, words in NEARLY_NORMAL if re.search(pattern, piece.text)), "probably normal ECG"
            )
    if status == "absent" and _NOT_DEFINITE.search(sentence[: piece.start]):
        return f"no definite {phrase}"
    return f"{_STATUS[status]}{phrase}"

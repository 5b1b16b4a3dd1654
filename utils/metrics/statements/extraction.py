"""Extracts the statements of a report as codes, each present, possible or absent."""

import re
from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from cardiolect.utils.metrics.normalised_match import statements as split_at_stops
from cardiolect.utils.metrics.statements import english, german, swedish
from cardiolect.utils.metrics.statements.codes import AXES
from cardiolect.utils.metrics.statements.cues import (
    ALIKE,
    ALL_BEFORE,
    AND,
    AND_NO,
    CAUSE,
    CUES,
    EXCEPT,
    FAR,
    LIST,
    MEANING,
    NEW,
    OR,
    PERSISTS,
    REASON,
    STOP,
    SUBJECT,
    TURN,
    VERB,
    WITH,
    Cue,
    near,
)
from cardiolect.utils.metrics.statements.lexicon import Rules, Stated, Status

# Every sentence is read with all lexicons: PTB-XL's reports mix languages, whose words do not clash.
_LEXICONS = (english.LEXICON, german.LEXICON, swedish.LEXICON)
LANGUAGES = ("English", "German", "Swedish")
_RULES = tuple(Rules(lexicon) for lexicon in _LEXICONS)
_COMMON_WORDS = tuple(re.compile(rf"(?<!\w)(?:{lexicon.common_words})(?!\w)") for lexicon in _LEXICONS)
_ABBREVIATIONS = [(re.compile(p), f"{words} ") for lexicon in _LEXICONS for p, words in lexicon.abbreviations.items()]

_SPELLING = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "é": "e", "\u2013": "-", "\u2014": "-", "\u2019": "'"}
)
_NOTE = re.compile(r"\bedit:.*", re.DOTALL)  # PTB-XL's annotators wrote the codes here
_CERTAINTY: dict[Status, int] = {"absent": 0, "possible": 1, "present": 2}
_FORCE: dict[Status, int] = {"possible": 0, "past": 1, "unassessed": 2, "absent": 3}  # of two cues, the stronger holds
# A list of absent or possible statements ends before these, as in "no LVH, sinus rhythm".
_OWN_STATEMENTS = frozenset({"SR", "SARRH", "STACH", "SBRAD", "PACE", "NORM", *AXES})
_NORMAL_WORD = re.compile(r"normal|unremarkable")
_NORMAL = frozenset({"NORM"})
_RHYTHMS = frozenset({"AFIB", "AFLT", "SVTAC", "PSVT", "SVARR", "BIGU", "TRIGU"})
_LIST = 20  # statements within reach of one cue
_REACH = 200  # characters between a cue and a statement; limits the work on long, repetitive outputs
_FILLER = re.compile(
    r"[\W\d_]+|v\d*|i{1,3}|av[rlf]|in|of|the|a|an|and|or|to|with|is|are|this|these|there|leads?|limb|chest|und|oder|der"
    r"|die|das|bei|mit|och|med|due|on|for|from|by|but|be|also|t|waves?|segments?|consistent|findings"
    r"|eller|av|acute|old|minor|marked|extensive|widespread|throughout|frequent|multifocal"
)


_Place = tuple[int, int, Cue]  # where a cue starts and ends in a sentence


class Piece(NamedTuple):
    """A statement of a sentence, as it is written, what it states there, and where it starts."""

    text: str
    codes: tuple[tuple[str, Status], ...]
    start: int


class Reading(NamedTuple):
    """The result for one sentence: its statements, known ones without a code too, and the words outside them."""

    pieces: tuple[Piece, ...]
    rest: tuple[str, ...]

    @property
    def codes(self) -> tuple[tuple[str, Status], ...]:
        return tuple(code for piece in self.pieces for code in piece.codes)

    @property
    def known(self) -> bool:
        return bool(self.pieces)


def extract(text: str) -> dict[str, Status]:
    """Code (`codes.CODES`) -> status, for a report in English, German or Swedish.

    A code stated twice gets its most certain status. What is stated as past only ("previously atrial flutter") or was
    not assessed ("LVH cannot be diagnosed") is left out, and so are PTB-XL's notes after "Edit:".
    """
    found: dict[str, Status] = {}
    for sentence in sentences(text):
        for code, status in read(sentence).codes:
            if status in ("past", "unassessed"):
                continue
            if code not in found or _CERTAINTY[status] > _CERTAINTY[found[code]]:
                found[code] = status
    return found


def language(text: str) -> str:
    """The one of `LANGUAGES` whose statements and common words make up the most of a text; English if none do."""
    parts = sentences(text)
    known = [sum(_covered(place, part) for part in parts) for place in range(len(LANGUAGES))]
    return LANGUAGES[known.index(max(known))]


@lru_cache(maxsize=1 << 14)
def _covered(number: int, sentence: str) -> int:
    """Letters of a sentence in statements of a language, and twice those in `_COMMON_WORDS`, which only it has."""
    stated = {place for _, one in _RULES[number].find(sentence) for place in range(one.start, one.end)}
    return len(stated) + 2 * sum(len(word[0]) for word in _COMMON_WORDS[number].finditer(sentence))


def sentences(text: str) -> list[str]:
    """The sentences of a text in the spelling of the lexicons.

    Lower case; no umlauts, hyphens or brackets; abbreviations spelt out; a spaced dash becomes a comma. Sentences end
    with a full stop outside numbers, followed by a space or not, a semicolon or a line break.
    """
    plain = _NOTE.sub("", text.casefold()).translate(_SPELLING)
    plain = re.sub(r"(?<=[a-z])#(?=[a-z])|#(?=ber)", "ue", plain)  # PTB-XL: "f#r", "#bergang"
    for pattern, words in _ABBREVIATIONS:
        plain = pattern.sub(words, plain)
    plain = re.sub(r" ?\((s|n|a|er)\)", r"\1", plain)  # "complex(es)", "extrasystole(n)"
    plain = re.sub(r"[*=_~°]+|-{2,}|[()\[\]\"!]", " ", plain)
    plain = re.sub(r"(?<!\w)(st|a?v|t|r|p|q|sa)- (?=[a-z])", r"\1 ", plain)  # "st- hebung"
    plain = re.sub(r" - |(?<=\w)- (?=\w)", ", ", plain).replace("-", " ")
    cut = (part for line in re.split(r"[;\n]", plain) for part in split_at_stops(line))
    whole: list[str] = []
    for part in cut:
        if not (part := part.replace(" ,", ",").strip(" ,")):
            continue
        if whole and EXCEPT.match(part) and _NORMAL_WORD.search(whole[-1]):  # "Normal ECG. Except for LVH."
            whole[-1] += f" {part}"
        else:
            whole.append(part)
    return whole


@lru_cache(maxsize=1 << 16)  # machine statements repeat
def read(sentence: str) -> Reading:
    """Read one of `sentences`. Of overlapping statements and cues, the longest is kept."""
    found = [(s.end - s.start, about, s) for rules in _RULES for about, s in rules.find(sentence)]
    found += [
        (m.end() - m.start(), 0, (m.start(), m.end(), cue)) for cue in CUES for m in cue.pattern.finditer(sentence)
    ]
    kept: list[Stated | _Place] = []
    taken = bytearray(len(sentence))
    for length, _, item in sorted(found, key=lambda one: (-one[0], -one[1])):
        if not any(taken[item[0] : item[1]]):
            taken[item[0] : item[1]] = b"\1" * length
            kept.append(item)
    stated = sorted(item for item in kept if isinstance(item, Stated))
    cues = sorted((item for item in kept if not isinstance(item, Stated)), key=lambda item: item[0])

    cued: dict[Stated, Status] = {}
    for start, end, cue in cues:
        if cue.status is None or (cue.status == "past" and _is_current(sentence, start, end)):
            continue
        for reached in _reached(sentence, start, end, cue, stated, cues):
            if reached not in cued or _FORCE[cue.status] > _FORCE[cued[reached]]:
                cued[reached] = cue.status
    if EXCEPT.search(sentence):  # "normal ECG except for ..." is not normal
        cued.update((one, "absent") for one in stated if _names(one, _NORMAL))
    pieces = [
        Piece(
            sentence[one.start : one.end],
            tuple((code, status if status == "absent" or one not in cued else cued[one]) for code, status in one.codes),
            one.start,
        )
        for one in stated
    ]
    return Reading(tuple(pieces), _rest(sentence, kept))


def _reached(sentence: str, start: int, end: int, cue: Cue, stated: list[Stated], cues: list[_Place]) -> list[Stated]:
    """The statements to which a cue between ``start`` and ``end`` applies: in its first direction that has any."""
    ways = {
        "forward": lambda: _forward(sentence, end, cue, stated, cues),
        "backward": lambda: _backward(sentence, start, end, cue, stated),
        "both": lambda: _backward(sentence, start, end, cue, stated) + _forward(sentence, end, cue, stated, cues),
    }
    return next((reached for direction in cue.reach if (reached := ways[direction]())), [])


def _is_current(sentence: str, start: int, end: int) -> bool:
    """Whether a statement is of this ECG in spite of a cue of the past: it persists, or is new."""
    new = re.search(r"(?<!\w)not ", sentence[start:end]) and NEW.search(sentence[:start])
    return bool(new or PERSISTS.search(_clause(sentence, start)))


def _clause(sentence: str, start: int) -> str:
    return re.split(r",|;| but ", sentence[start:], maxsplit=1)[0]


def _forward(sentence: str, end: int, cue: Cue, stated: list[Stated], cues: list[_Place]) -> list[Stated]:
    """The statements after a cue that ends at ``end`` to which it applies: the next one, and the list it opens.

    Other cues of doubt end the list: "no LVH, possible infarct". One of denial after an "and" goes on with it: "no MI,
    LVH, and no LBBB".
    """
    doubts = [start for start, _, one in cues if one.status in ("possible", "past", "unassessed")]
    after = stated[bisect_left(stated, end, key=lambda one: one.start) :][:_LIST]
    if not after or after[0].start - end > _REACH:
        return []
    gap = sentence[end : after[0].start]
    own = _names(after[0], _OWN_STATEMENTS) and cue.status != "past"
    headed = sentence[:end].endswith(":")
    if headed and cue.status == "past" and not _names(after[0], _OWN_STATEMENTS):
        gap = gap.replace(",", "")  # "indication: syncope, long QT"
    far = STOP.search(gap) or len(gap.split()) > (1 if own else FAR)
    if far and (own or not _joined(gap)):
        return []
    reached, waiting = [after[0]], []
    for last, one in pairwise(after):
        between = sentence[last.end : one.start]
        if _names(one, _OWN_STATEMENTS):
            break
        if _joined(between) or (cue.status == "absent" and MEANING.fullmatch(between)):
            reached += [*waiting, one]
            waiting = []
        elif (
            AND.fullmatch(between)
            and not TURN.search(between)
            and not any(last.end <= other < one.start for other in doubts)
        ):
            waiting.append(one)
        else:
            break
    if cue.status in ("past", "absent", "unassessed") and headed:  # "history: atrial fibrillation, infarct"
        reached += waiting
    elif cue.status == "absent" and (listed := _before_and_no(sentence, waiting, cues)):
        reached += listed
    elif (
        waiting
        and "," not in sentence[reached[-1].end : waiting[0].start]
        and (cue.status in ("absent", "unassessed") or (cue.status == "possible" and CAUSE.match(gap)))
    ):
        # "no LVH and infarct"; a comma without an "or" after it ends the denial: "no PVCs, LBBB". Of two causes both
        # are doubtful: "may be due to ischemia and digitalis effect"; other doubt ends at an "and".
        reached += [one for one in waiting[:1] if not _names(one, _RHYTHMS)]
    return reached


def _before_and_no(sentence: str, waiting: list[Stated], cues: list[_Place]) -> list[Stated]:
    """Those of ``waiting`` that stand before an "and" with another denial."""
    denials = [start for start, _, one in cues if one.status == "absent" and "forward" in one.reach]
    ends = (
        place
        for place, one in enumerate(waiting, 1)
        if any(start > one.end and AND_NO.fullmatch(sentence[one.end : start]) for start in denials)
    )
    return waiting[: next(ends, 0)]


def _backward(sentence: str, start: int, end: int, cue: Cue, stated: list[Stated]) -> list[Stated]:
    """The statements before a cue to which it applies: the last one, and those joined to it.

    Doubt joins by "or" only. A denial is about the whole subject: "LVH and atrial fibrillation with PVCs are not seen".
    What was not assessed is joined by "and" or "or", without the reason: "infarct in LBBB cannot be diagnosed".
    """
    before = stated[: bisect_right(stated, start, key=lambda one: one.end)][-_LIST:]
    if not before or start - before[-1].end > _REACH:
        return []
    gap = sentence[before[-1].end : start]
    unassessed = cue.status == "unassessed"
    if unassessed and (reason := REASON.search(sentence[: before[-1].start])):
        before = [one for one in before if one.end <= reason.start()]
        if not before or before[-1].end < reason.start() or _names(before[-1], _OWN_STATEMENTS):
            return []
    if not sentence[end:].strip(" ,") and not (unassessed and gap.strip(" ,")):  # "LBBB, ST segments not assessed"
        gap = gap.replace(",", "")
    denied = cue.status == "absent" and VERB.match(sentence[start:end])
    subject = denied and WITH.fullmatch(gap) and not _names(before[-1], _OWN_STATEMENTS)
    if (STOP.search(gap) and not subject) or len(gap.split()) > near(cue, sentence[start:end]):
        return []
    if cue.status == "possible" and gap.split() and _names(before[-1], _OWN_STATEMENTS):
        return []  # the doubt is about what is between, a statement that is not known
    reached, listed = [before[-1]], _lists(sentence[start:end], before)
    for one in reversed(before[:-1]):
        between = sentence[one.end : reached[-1].start]
        subject = cue.status != "possible" and not _names(one, _OWN_STATEMENTS)
        joint = (ALIKE if unassessed else SUBJECT).fullmatch(between)
        if not (_joined(between) or (subject and (joint or (listed and between == ", ")))):
            break
        listed = listed or bool(joint)
        reached.append(one)
    return reached


def _lists(cue: str, before: list[Stated]) -> bool:
    """Whether all statements before a cue are one list, as in "LVH, RBBB, PVCs: none"."""
    return bool(ALL_BEFORE.match(cue)) and not any(_names(one, _OWN_STATEMENTS) for one in before)


def _joined(between: str) -> bool:
    return len(between.split()) <= LIST and bool(OR.fullmatch(between)) and not TURN.search(between)


def _names(one: Stated, codes: frozenset[str]) -> bool:
    return any(code in codes for code, _ in one.codes)


def _rest(sentence: str, kept: list) -> tuple[str, ...]:
    runs, start = [], 0
    for item in [*sorted(kept, key=lambda item: item[0]), (len(sentence), len(sentence))]:
        runs += re.split(r"[,:]", sentence[start : item[0]])
        start = item[1]
    named = (" ".join(run.split()) for run in runs)
    return tuple(run for run in named if not all(_FILLER.fullmatch(word) for word in run.split()))

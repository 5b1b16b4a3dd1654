"""What a machine statement says: findings with their certainty, or nothing that a waveform could show."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from cardiolect.data_provider.texts.describe.topics import ADMINISTRATIVE, topics_in
from cardiolect.data_provider.texts.describe.words import words
from cardiolect.data_provider.texts.english_phrases import PHRASES
from cardiolect.data_provider.texts.english_reports import phrase_of, render, walls_in
from cardiolect.utils.metrics.statements.extraction import Piece, read, sentences
from cardiolect.utils.metrics.statements.lexicon import Status

# normal: nothing but sinus rhythm, a normal axis or a normal ECG. negated: findings that are denied, past or, some of
# them, not assessed. comment: a verdict or remark without a finding of its own ("abnormal ECG"). administrative: about
# the recording, the patient's data or the analysis, also if it says no more than that findings were not assessed.
# unknown: nothing was recognised.
Kind = Literal["finding", "normal", "negated", "comment", "administrative", "unknown"]
KINDS: tuple[Kind, ...] = ("finding", "normal", "negated", "comment", "administrative", "unknown")
NORMAL = "NORM"
_NORMAL_CODES = frozenset({NORMAL, "SR", "MID"})
_PROBE = "svt"  # any statement with a code, to ask what certainty its place in a sentence has
_PLACED = frozenset({"NST_", "NT_", "NDT", "TAB_", "INVT", "LOWT", "STE_", "STD_", "QWAVE"})
_AXES = frozenset({"LAD", "RAD"})
_AGE_IN_DOUBT = re.compile(r"(?<!\w)(?:possibl[ey]|probabl[ey]|likely|perhaps|may be) (?:acute|recent|new)")


@dataclass(frozen=True)
class Finding:
    """A finding of a statement.

    name: in English. written: as the statement has it. code: of `statements.codes.CODES`, "" if it has none. stated:
    the words of the statement, or of the name if there is no code. allowed: these and the words of the code's phrase,
    which the heading of a text about the finding may have. places: walls of changes whose code does not name one.
    """

    name: str
    written: str
    code: str
    status: Status
    stated: frozenset[str]
    allowed: frozenset[str]
    places: tuple[str, ...] = ()

    @property
    def described(self) -> bool:
        """Whether its waveform may be described: not if it is denied, past or not assessed, nor "otherwise normal".

        Ischaemic heart disease is a cause, such as of Q waves, and not ischaemia in this ECG.
        """
        if self.code == NORMAL:
            return self.status == "present"
        return self.status in ("present", "possible") and "heart disease" not in self.written


@dataclass(frozen=True)
class Statement:
    """text: as the corpus has it. english: the same, or its rendering if it is German or Swedish."""

    text: str
    english: str
    kind: Kind
    findings: tuple[Finding, ...]


@lru_cache(maxsize=1 << 16)  # machine statements repeat
def read_statement(text: str) -> Statement:
    """Classify a statement and read its findings with the lexicons of reports."""
    english = " ".join(render(text).text.split())
    findings: dict[tuple[str, str], Finding] = {}
    known = administrative = False
    for sentence in sentences(english or text):
        reading = read(sentence)
        known = known or reading.known
        administrative = administrative or bool(ADMINISTRATIVE.search(sentence))
        for finding in _findings(sentence, reading.pieces):
            findings.setdefault((finding.code, finding.name), finding)
    found = tuple(findings.values())
    return Statement(text, english or text, _kind(found, known, administrative), found)


def _kind(findings: tuple[Finding, ...], known: bool, administrative: bool) -> Kind:
    if not findings:
        return "administrative" if administrative else "comment" if known else "unknown"
    if all(one.status == "unassessed" for one in findings):
        return "administrative"
    if all(one.code == NORMAL and one.status != "present" for one in findings):
        return "comment"
    if all(one.status in ("absent", "past", "unassessed") for one in findings):
        return "negated"
    if not any(one.described for one in findings):
        return "comment"
    if all(one.code in _NORMAL_CODES for one in findings if one.described):
        return "normal"
    return "finding"


def _findings(sentence: str, pieces: tuple[Piece, ...]) -> list[Finding]:
    found, rest = [], sentence
    stated = set(words(sentence))
    if _AGE_IN_DOUBT.search(sentence):
        stated -= {"acute", "recent", "new"}
    for piece in pieces:
        if not piece.codes:
            continue
        rest = rest[: piece.start] + "#" * len(piece.text) + rest[piece.start + len(piece.text) :]
        for code, status in piece.codes:
            walls = walls_in(piece.text)
            name = phrase_of(code, piece, sentence) if len(walls) < 2 else PHRASES[code]  # it would name the first
            if code in _AXES and "deviation" in words(piece.text):
                name += " deviation"  # the phrase is that of a German report's axis, which need not be abnormal
            allowed = stated.union(words(PHRASES[code]))
            places = tuple(walls) if code in _PLACED else ()
            finding = Finding(name, piece.text, code, status, frozenset(stated), frozenset(allowed), places)
            found.append((piece.start, finding))
    for start, end, name in topics_in(rest):
        named = frozenset(words(name))
        status = _status_at(sentence, start, end)
        found.append((start, Finding(name, sentence[start:end], "", status, named, named)))
    return [finding for _, finding in sorted(found, key=lambda one: one[0])]


def _status_at(sentence: str, start: int, end: int) -> Status:
    """The certainty of a statement at this place in a sentence, whatever it states."""
    probed = read(f"{sentence[:start]}{_PROBE}{sentence[end:]}")
    return next((piece.codes[0][1] for piece in probed.pieces if piece.start == start and piece.codes), "present")

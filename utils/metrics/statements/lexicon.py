"""The format of a lexicon of one language, and its compiled rules."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cardiolect.utils.metrics.statements.codes import codes_of_walls

# unassessed: named, but neither stated nor denied of this ECG ("LVH cannot be diagnosed").
Status = Literal["present", "possible", "absent", "past", "unassessed"]
_MARKS: dict[str, Status] = {"?": "possible", "-": "absent"}
_SLOT = re.compile(r"\{(walls|age)\}")
_AND = r"(?:,? (?:and|or|und|oder|och|eller) | \+ |, )"


@dataclass(frozen=True)
class Lexicon:
    """Statements of one language, as regular expressions over `extraction.sentences`.

    abbreviations: pattern -> replacement, applied before full stops are taken as ends of sentences.
    walls: letters of `codes.codes_of_walls` -> pattern; ``{walls}`` in a rule matches one or several.
    age: pattern for the age of an infarct after its name, ``{age}`` in a rule; doubt about the age is not doubt about
        the infarct.
    rules: codes -> patterns, each of whole words. Codes are separated by spaces; "LVH?" is stated as possible, "NORM-"
        as absent, "MI*" is the code of ``{walls}``, and "" is a known statement without a code. If a pattern has a
        group ``s``, that is the statement, and the rest is its context.
    common_words: pattern of words next to statements that the other languages do not have; they tell the language of
        a text whose statements several lexicons know, such as "AV-Block III. Grades".
    """

    abbreviations: Mapping[str, str]
    walls: Mapping[str, str]
    age: str
    rules: Mapping[str, tuple[str, ...]]
    common_words: str


class Stated(NamedTuple):
    """A statement found in a sentence: its position and codes."""

    start: int
    end: int
    codes: tuple[tuple[str, Status], ...]


class Rules:
    """The compiled rules of one lexicon."""

    def __init__(self, lexicon: Lexicon):
        self._walls = [(letters, re.compile(pattern)) for letters, pattern in lexicon.walls.items()]
        wall = "|".join(lexicon.walls.values())
        self._slots = {"walls": rf"(?:{wall})(?:(?: ?/ ?|{_AND})(?:{wall})){{0,4}}", "age": lexicon.age}
        self._rules = [(codes, self._compiled(p)) for codes, patterns in lexicon.rules.items() for p in patterns]

    def find(self, sentence: str) -> Iterator[tuple[int, Stated]]:
        """Every match, including overlapping ones, with its length including context."""
        for codes, pattern in self._rules:
            for match in pattern.finditer(sentence):
                start, end = match.span("s") if "s" in pattern.groupindex else match.span()
                walls = "".join(v or "" for k, v in match.groupdict().items() if k.startswith("walls"))
                yield len(match.group()), Stated(start, end, tuple(self._codes(codes, walls)))

    def _compiled(self, pattern: str) -> re.Pattern[str]:
        slots = iter(range(pattern.count("{walls}")))

        def fill(slot: re.Match[str]) -> str:
            text = self._slots[slot[1]]
            return f"(?P<walls{next(slots)}>{text})" if slot[1] == "walls" else text

        return re.compile(rf"(?<!\w)(?:{_SLOT.sub(fill, pattern)})(?!\w)")

    def _codes(self, spec: str, walls: str) -> Iterator[tuple[str, Status]]:
        for item in spec.split():
            status = _MARKS.get(item[-1], "present")
            name = item.rstrip("?-")
            if not name.endswith("*"):
                yield name, status
                continue
            for letters in self._named_walls(walls):
                yield from ((code, status) for code in codes_of_walls(name[:-1], letters))

    def _named_walls(self, text: str) -> list[str]:
        """Letters of each named wall; "inferior/lateral" is one wall, "inferior and lateral" are two."""
        parts = re.split(_AND, text)
        return ["".join(dict.fromkeys("".join(self._letters(part)))) for part in parts]

    def _letters(self, part: str) -> Iterator[str]:
        for word in [part] if self._letter(part) else part.split("/"):
            yield self._letter(word.strip()) or ""

    def _letter(self, word: str) -> str | None:
        return next((letters for letters, pattern in self._walls if pattern.fullmatch(word)), None)

"""Words that negate a statement or make it uncertain, and their scope."""

import re
from typing import NamedTuple

from cardiolect.utils.metrics.statements.lexicon import Status


class Cue(NamedTuple):
    """status: what it gives a statement; None if it only looks like a cue. reach: directions to try in turn."""

    status: Status | None
    reach: tuple[str, ...]
    pattern: re.Pattern[str]


_FORWARD, _BACKWARD = ("forward",), ("backward",)
_EITHER, _EITHER_BACK_FIRST = ("forward", "backward"), ("backward", "forward")

_CUES: tuple[tuple[Status | None, tuple[str, ...], tuple[str, ...]], ...] = (
    # English
    (
        "absent",
        _FORWARD,
        (
            r"no(?: longer)?",
            r"not",
            r"no (?:definite |clear |ecg )*(?:evidence|signs?|indication)(?: (?:of|for|to suggest))?",
            r"without",
            r"absence of",
            r"negative for",
            r"free of",
            r"rules out",
            r"nor",
            r"neither",
            r"(?:does|do|is|are|was|were|has|have)n\W?t(?: \w+){0,2}? (?:show|have|any|suggest\w*|consistent with)",
            r"(?:does|do|is|are|was|were)n\W?t",
            r"resolved",
        ),
    ),
    (
        "absent",
        _BACKWARD,
        (
            r"(?:(?:is|are|was|were|has been|have been) )?"
            r"(?:not (?:present|seen|evident|detected|found)|absent|excluded)",
            r"(?:(?:is|are|was|were|has been|have been) )?ruled out",
            r"(?:is|are|would be|seems?) (?:very )?unlikely",
            r"unlikely",
            r"(?:is |are )?no longer (?:present|seen|evident)",
            r"(?:is |are |has |have )?(?:now )?resolved",
            r": ?(?:no|none|absent)$",
        ),
    ),
    (
        "possible",
        _EITHER,
        (
            r"possible",
            r"possibly",
            r"probable",
            r"probably",
            r"likely",
            r"(?:is|are) (?:most )?likely",
            r"suspected",
        ),
    ),
    (
        "possible",
        _FORWARD,
        (
            r"consider",
            r"can ?not (?:rule out|exclude)",
            r"(?:strongly )?suggest(?:s|ing|ive of)?",
            r"suspicious (?:of|for)",
            r"(?:may|might|could) (?:also )?be",
            r"borderline",
            r"query",
            r"questionable",
            r"perhaps",
            r"rule out",
            r"(?:suggest )?exclude",
            r"such as in",
            r"as in",
            r"accord with",
            r"versus",
            r"\?(?=\w)",
        ),
    ),
    (
        "possible",
        _BACKWARD,
        (
            r"can ?not be (?:entirely |completely |definitely )?(?:excluded|ruled out)",
            r"(?:should|must) be considered",
            r"(?:is|are) (?:a )?(?:likely|possible|doubtful|uncertain|questionable)(?: cause)?",
            r"not (?:excluded|ruled out)",
            r"\?(?!\w)",
        ),
    ),
    (
        None,
        _FORWARD,
        (
            r"not significantly changed",
            r"no (?:significant )?change",
            r"(?:is |are )?not evident$",
            r"not known",
            r"(?:probably|probable|possibly|possible|may be) (?:a )?normal(?: variant| for age)?(?! e(?:[ck]g|lectro))",
            r"no p ?(?:waves?|vaag)(?: \w+)?",
            r"suggest repeat",
            r"no previous (?:e[ck]g|tracing|study|recording|comparison)\w*",
            r"not only",
            r"no further",
            r"of (?:doubtful|uncertain|equivocal) significance",
        ),
    ),
    # German
    (
        "absent",
        _FORWARD,
        (
            r"kein\w*(?: sicher\w*| eindeutig\w*)?(?: (?:anhalt|hinweis|zeichen)\w*)?(?: (?:fuer|auf|einer?|eines))?",
            r"ohne",
            r"nicht",
            r"weder",
            r"noch",
        ),
    ),
    (
        "absent",
        _BACKWARD,
        (
            r"(?:ist |sind )?(?:ausgeschlossen|unwahrscheinlich)",
            r"nicht (?:mehr )?(?:vorhanden|nachweisbar|erkennbar)",
        ),
    ),
    ("possible", _EITHER, (r"wahrscheinlich", r"vermutlich", r"fraglich", r"eventuell")),
    ("possible", _EITHER_BACK_FIRST, (r"moeglich",)),
    (
        "possible",
        _FORWARD,
        (
            r"verdacht auf",
            r"verdaechtig auf",
            r"(?:moeglich|wahrscheinlich|vermutlich|fraglich)e[rsnm]?",
            r"moeglicherweise",
            r"am ehesten",
            r"dd",
            r"hinweise? auf",
            r"wie bei",
            r"nicht auszuschliessende?\w*",
            r"(?:zum )?ausschluss(?: eine\w+| von)?",
        ),
    ),
    (
        "possible",
        _BACKWARD,
        (
            r"(?:ist |sind )?nicht (?:sicher )?(?:auszuschliess?en|ausgeschlossen)",
            r"(?:ist |sind )?zu erwaegen",
        ),
    ),
    # Swedish
    (
        "absent",
        _FORWARD,
        (
            r"ing(?:en|et|a)(?: (?:saeker\w*|tecken|haallpunkt\w*))*(?: (?:paa|till|foer))?",
            r"utan",
            r"ej",
            r"inte",
        ),
    ),
    ("absent", _BACKWARD, (r"kan uteslutas", r"uteslut\w+")),
    (
        "possible",
        _FORWARD,
        (
            r"oevervaeg",
            r"misstanke om",
            r"misstaenkt",
            r"saasom vid",
            r"moejlig\w*",
            r"sannolik\w*",
            r"trolig\w*",
        ),
    ),
    ("possible", _BACKWARD, (r"boer oevervaegas", r"kan (?:ej|inte) uteslutas")),
)

CUES = tuple(
    Cue(status, reach, re.compile(p if p.startswith((r"\?", ":")) else rf"(?<!\w)(?:{p})(?!\w)"))
    for status, reach, patterns in _CUES
    for p in patterns
)

FAR = 5  # words between a cue and the statement after it
LIST = 10  # the same if an "or" is right before the statement; also words between two statements of a list
NEAR = 3  # words between a statement and the cue after it
_ADJECTIVES = r"(?:[\w']+ ){0,2}"
# Joins a statement to a list, in which there may also be words that are not a known statement.
OR = re.compile(rf"[, ]*(?:[\w']+,? )*?(?:and/or|or|nor|oder|noch|eller|versus|/) ?{_ADJECTIVES}")
AND = re.compile(rf" ?(?:,|,? ?(?:and|und|sowie|och|as well as)) ?{_ADJECTIVES}")
# Ends of a scope.
_TURNS = r"(?<!\w)(?:but|however|although|with|otherwise|aber|jedoch|mit|sonst|men|med|eljest)(?!\w)"
TURN = re.compile(rf":|{_TURNS}")
STOP = re.compile(rf"[,:]|{_TURNS}")

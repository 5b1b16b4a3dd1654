"""Cues around statements: words that deny a statement, make it uncertain or place it in the past, and their scope."""

import re
from typing import NamedTuple

from cardiolect.utils.metrics.statements.cue_words import WORDS
from cardiolect.utils.metrics.statements.lexicon import Status
from cardiolect.utils.metrics.statements.unassessed import UNASSESSED

FAR = 5  # words between a cue and the statement after it
LIST = 10  # the same if an "or" is right before the statement; also words between two statements of a list
NEAR = 3  # words between a statement and the cue after it
NEAR_VERB = 8  # the same if the cue begins with a verb, whose subject the statement is: "LVH ... is not seen"


class Cue(NamedTuple):
    """What a cue does to the statements it reaches.

    status: what it gives them; None if it only looks like a cue. reach: directions to try in turn, "forward",
    "backward" or "both". near: most words between it and the statement before it.
    """

    status: Status | None
    reach: tuple[str, ...]
    pattern: re.Pattern[str]
    near: int


VERB = re.compile(
    r"(?:is|are|was|were|has|have|had|can|could|cannot|may|might|will|should|does|do|did|ist|sind|war|waren|wurden?|besteh\w*|bestand\w*"
    r"|lieg\w*|lag|lagen|find\w*|zeig\w*|laesst|lassen|kann|koennen|ses|syns|foereligger|finns|foerekommer|kan)\b"
)
_NONE = r"none|nil|kein\w*|ing(?:en|et|a)"
_NO = rf"(?:no|{_NONE}|nein|nej|negativ|negative|neg|denied|absent|not present|false)(?=$|,)"


def _compiled(pattern: str, reach: tuple[str, ...]) -> re.Pattern[str]:
    if pattern.startswith(("(?<", "(?:(?<", " ")):
        return re.compile(pattern)
    return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)" + r"(?: ?:)?" * (reach[0] == "forward"))  # "rule out: infarct"


CUES = (
    *(
        Cue(status, reach, _compiled(p, reach), NEAR)
        for status, reach, patterns in (*WORDS, *UNASSESSED)
        for p in patterns
    ),
    Cue("absent", ("backward",), re.compile(rf"[:,=] ?{_NO}"), NEAR),  # "LVH: negative"
    Cue("absent", ("backward",), re.compile(rf"(?<=\w) {_NO}"), 0),  # "LBBB no"
)


def near(cue: Cue, text: str) -> int:
    """Most words between a statement and this cue after it, as it is written in ``text``."""
    return NEAR_VERB if cue.near and VERB.match(text) else cue.near


ALL_BEFORE = re.compile(rf"[:=] ?(?:{_NONE})$")  # "LVH, RBBB, PVCs: none"
WITH = re.compile(r" (?:with|mit|med)(?: [\w']+){1,3} ")  # in a subject: "LVH with strain is not seen"

_ADJECTIVES = r"(?:[\w']+ ){0,2}"
# Joins a statement to a list, in which there may also be words that are not a known statement.
OR = re.compile(
    rf"[, ]*(?:[\w']+,? )*?(?:and/or|or|nor|oder|noch|eller|versus|/"
    rf"|(?:and|und|och) (?:any|irgend\w+|naago[nt]\w*)) ?{_ADJECTIVES}"
)
# Goes on with a list of denied statements: "no infarct, LVH, and no LBBB".
AND_NO = re.compile(r" ?,? ?(?:and|und|sowie|och|samt|as well as|&|\+) ?(?:also |there (?:is|are) |auch |det finns )?")
AND = re.compile(rf" ?(?:,|,? ?(?:and|und|sowie|och|as well as)) ?{_ADJECTIVES}")
# Joins the parts of a subject that a later denial is about: "atrial fibrillation with PVCs is not seen".
SUBJECT = re.compile(
    r" (?:with|and|or|and/or|plus|due to|caused by|associated with|in the setting of|mit|und|oder|med|och|eller) "
    rf"{_ADJECTIVES}"
)
# Joins the parts of a subject that could not be assessed; "due to" names the reason, which is stated.
ALIKE = re.compile(rf",? (?:and|or|and/or|plus|und|oder|och|eller|samt|sowie) {_ADJECTIVES}")
# Before the reason why the statement before it was not assessed: "infarct in the presence of LBBB".
REASON = re.compile(
    r" (?:(?:due|owing|secondary) to|because of|on account of|given|in(?: (?:the )?(?:presence|setting|context|view"
    r"|face) of)?|during|bei|wegen|aufgrund(?: von)?|vid|paa grund av)"
    r"(?: (?:an?|the|eine[mrns]?|des|dem|der))? $"
)
# What a denied statement would have meant is denied too: "no ST changes to suggest ischaemia".
MEANING = re.compile(
    r"(?: [\w']+){0,3} (?:to suggest|suggest\w*(?: of)?|(?:consistent|compatible) with|indicat\w+(?: of)?"
    rf"|(?:diagnostic|typical) (?:of|for)|of|due to) {_ADJECTIVES}"
)
EXCEPT = re.compile(
    r"(?<!\w)(?:except(?:ing|ed|ion of)?|apart from|aside from|other than|save for|but for|besides"
    r"|barring|bis auf|ausser"
    r"|abgesehen von|mit ausnahme|foerutom|bortsett fraan|med undantag)(?!\w)"
)
CAUSE = re.compile(r" (?:due to|caused by|secondary to|related to|(?:bedingt|verursacht) durch|orsaka[dt]e? av)(?!\w)")
# Says that something earlier is still there.
PERSISTS = re.compile(
    r"(?<!\w)(?:persist\w*|unchanged|remains?|still|again|continues?|besteht weiter\w*|kvarstaa\w*)(?!\w)"
)
# Says that something is not earlier: "new atrial fibrillation not seen on prior ECG".
NEW = re.compile(r"(?<!\w)(?:new|newly|now|currently|today|neu|neue[rsnm]?|jetzt|nytillkom\w*|nu)(?!\w)")
# Ends of a scope.
_TURNS = (
    rf"(?:{EXCEPT.pattern}|(?<!\w)(?:but|however|although|with|otherwise|whereas|while|aber|jedoch|mit"
    rf"|sonst|sondern|because|weil|men|med"
    r"|eljest|utan)(?!\w))"
)
TURN = re.compile(rf":|{_TURNS}")
STOP = re.compile(rf"[,:]|{_TURNS}")

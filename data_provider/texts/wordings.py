"""Finds the trained question that a question in free wording means; what is not certain is refused, never guessed.

A question is understood if it consists of a frame ("is there any sign of ... on this ECG?") and one phrase of
`wording_table`, and of nothing else: any further word may change the meaning ("family history of AF"). Negations are
refused, because a yes to "no AF?" could be read both ways.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

from cardiolect.data_provider.ecgqa.labels import AXES, EXTRASYSTOLES, NOISES, STAGES
from cardiolect.data_provider.ecgqa.scp_statements import NAMES
from cardiolect.data_provider.ecgqa.templates import ANY_NOISE, ANY_NOISE_IN_LEAD, NOISE_IN_LEAD, TEMPLATES
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.texts.wording_table import (
    MEASURED,
    NOT_IN_AN_ECG,
    OPEN,
    OTHER_PHRASES,
    REPORT,
    SHARED,
    STATES,
    WHOLE,
    findings,
    phrases,
)

UNTRAINED = "this model was not trained on this question"
SEVERAL = "this may mean several findings; ask about one of them"
NO_ECG = "an ECG does not show this"
NEGATED = "a negation can be answered in two ways; ask whether it is there"
_MOST_NEAREST, _SHARED_WORDS = 3, 2
_FOREIGN = re.compile(
    r"[^\x00-\x7f\u2018\u2019\u201c\u201d\u2013\u2014\u2026]|[=<>~^]|!(?=\w)"
)  # other letters, and signs
_COMMON = frozenset(  # words that say nothing of what is asked about
    re.findall(
        r"\w+",
        "a an any are at can do does ecg for from has have heart how i in is it kind lead leads long me my normal of "
        "on or patient range rate s show symptom that the there this to was what which wave with you",
    )
)

_WORDS = {
    "ekg": "ecg",
    "electrocardiogram": "ecg",
    "tracing": "ecg",
    "fibrilation": "fibrillation",
    "1st": "first",
    "lengthened": "long",
    "prolonged": "long",
    "broad": "wide",
    "broadened": "wide",
    "widened": "wide",
    "okay": "ok",
    "fine": "ok",
    "ischaemia": "ischemia",
    "ischaemic": "ischemic",
    "artifact": "artefact",
    "infarction": "infarct",
    "mi": "infarct",
    "stemi": "st elevation infarct",
    "whats": "what is",
    "hows": "how is",
    "isnt": "is not",
    "doesnt": "does not",
    "dont": "do not",
    "cant": "can not",
    "cannot": "can not",
    "arent": "are not",
}
_PLURALS = re.compile(
    r"\b(sign|symptom|beat|wave|block|infarct|infarction|complexe?|contraction|noise|artefact|artifact|extrasystole|systole"
    r"|ectopic|pvc|pac|vpc|vpb|apc|apb|kind|type|change|inversion|spike|electrode|problem|voltage|interval|segment"
    r"|abnormalitie|depression|elevation|tracing|feature)s\b"
)
_SINGULAR = {"complexe": "complex", "abnormalitie": "abnormality"}
_NEGATIONS = re.compile(
    r"\b(?:no|not|non(?! (?:specific|diagnostic))|without|exclud\w*|rul(?:e|ed|ing) (?:it )?out|rule \w+(?: \w+)* out"
    r"|absen\w*|free of|never|none|lacks?|lacking|neither|nor|unlikely|den(?:y|ies|ied)|except|other than|negative for"
    r"|resolved|gone)\b"
)
_POLITE = r"(?:(?:please|pls|hi|hello|doctor|so|and|ok|well|also|then) )*"
_SEE = r"(?:see|find|detect|identify|recogni[sz]e|spot|notice)"
_SHOW = r"(?:show|have|contain|demonstrate|reveal|suggest|exhibit|display|indicate)"
_SIGN = r"(?:(?:sign|evidence|symptom|indication|feature|pattern|presence|ecg sign) (?:of|for) )?"
_ARTICLE = r"(?:any |an |a |the |some |visible )?"
_TAIL = (
    r"(?: (?:present|visible|seen|there|here))?(?: (?:in|on|at|from|of|for) (?:this |the |my |that )?(?:ecg|recording"
    r"|trace|strip|signal|record|patient))?"
)
_PATIENT = r"(?:does|do) (?:the patient|this patient|my patient|he|she|i) have "
_YES_NO = re.compile(
    rf"{_POLITE}(?:(?:can you )?(?:tell me|say|check) (?:if|whether) )?"
    rf"(?P<frame>(?:is|are) (?:(?:it|this|he|she|the patient|this patient) in|there|this|it|that|these) "
    rf"|(?:there is|this is|it is|there are|it has|it shows) "
    rf"|(?:does|do) (?:this|the|it|my|that)(?: ecg)? {_SHOW} |(?:does|do|can|could) you {_SEE} "
    rf"|(?:can|could) (?:this|it|that) be |{_PATIENT}|(?:is|are) |(?:check|look) for |)"
    rf"{_ARTICLE}{_SIGN}{_ARTICLE}(?P<core>.+?){_TAIL}"
)
_WHAT = re.compile(
    rf"{_POLITE}(?:(?:can you )?(?:tell|give|show) me )?"
    r"(?P<frame>what is|what are|what|which|how (?:long|wide|short) is|how is|calculate|measure|determine|)"
    rf" ?(?:the |this )?(?:patient s )?(?P<core>.+?){_TAIL}(?: in (?:ms|milliseconds|bpm))?"
)
_LEAD = re.compile(rf"(?P<noise>.+?) in (?:lead )?(?P<lead>{'|'.join(lead.lower() for lead in LEADS)})")
_NAMES = {1: NAMES.values(), 20: AXES.values(), 23: STAGES.values(), 27: NOISES.values(), 36: EXTRASYSTOLES.values()}


@dataclass(frozen=True)
class Reading:
    """What a question means.

    question: the trained question, or None if it cannot be told; then ``reason`` says why, and ``nearest`` are trained
    questions that may have been meant.
    """

    question: str | None
    reason: str = ""
    nearest: tuple[str, ...] = ()


def understand(question: str, trained: Collection[str]) -> Reading:
    """The trained question that a question means.

    trained: all questions that a model was trained on, with `REPORT` if it was trained on reports.
    """
    if question.strip() in trained:
        return Reading(question.strip())
    text = normal_form(question)
    if _FOREIGN.search(question) or (question.strip() and not text):
        return Reading(None, UNTRAINED)  # what is not read may be a negation
    if same := {normal_form(each): each for each in trained}.get(text or normal_form(REPORT)):
        return Reading(same)
    if _NEGATIONS.search(text):
        return Reading(None, NEGATED, _nearest(text, trained))
    candidates = _candidates(text, trained)
    if known := next((candidate for candidate in candidates if candidate in trained), None):
        return Reading(known)
    if several := tuple(question for question in _several(text) if question in trained):
        return Reading(None, SEVERAL if len(several) > 1 else UNTRAINED, several)
    if not candidates and any(re.search(rf"\b(?:{pattern})\b", text) for pattern in NOT_IN_AN_ECG):
        return Reading(None, NO_ECG)
    return Reading(None, UNTRAINED, _nearest(text, trained))


@lru_cache(maxsize=4096)
def normal_form(text: str) -> str:
    """Lower case without punctuation, with one word for words of the same meaning, nouns in the singular."""
    text = text.lower().replace("'s ", " is " if re.match(r"\s*(?:what|how)'s ", text.lower()) else " s ")
    text = re.sub(r"\bn[o']t\b|n't\b", " not", text.replace("\u2019", "'"))
    words = re.sub(r"[^a-z0-9.]+", " ", text).replace(". ", " ").strip(" .").split()
    text = " ".join(_WORDS.get(word, word) for word in words)
    text = _PLURALS.sub(lambda found: _SINGULAR.get(found[1], found[1]), text)
    text = " ".join(_WORDS.get(word, word) for word in text.split())
    text = re.sub(r"\bnon specific\b", "nonspecific", text)
    text = re.sub(r"\b(?:myocardial infarct|heart attack)\b", "infarct", text)
    return re.sub(r"\ba fib(?:rillation)?\b", "afib", text).removesuffix(" yes or no")


@cache
def _tables() -> tuple[dict[str, tuple[str, ...]], ...]:
    """Phrases of findings and states, of measurements and of open questions, and whole questions."""

    def spread(table: dict[tuple[str, ...], str]) -> dict[str, tuple[str, ...]]:
        return {normal_form(phrase): questions for questions, cell in table.items() for phrase in phrases(cell)}

    yes_no = {normal_form(phrase): questions for phrase, questions in findings().items()}
    for number, names in _NAMES.items():  # and everything by the name that it has in the question
        for name in names:
            yes_no.setdefault(normal_form(name), (TEMPLATES[number].text(name),))
    return {**spread(STATES), **yes_no}, spread(MEASURED), spread(OPEN), spread(WHOLE)


def _candidates(text: str, trained: Collection[str]) -> tuple[str, ...]:
    """Questions of the same meaning, the best one first; empty if the text has a word too many."""
    yes_no, measured, open_questions, whole = _tables()
    if text in whole:
        return whole[text]
    if found := _YES_NO.fullmatch(text):
        core, frame = found["core"], found["frame"]
        if re.fullmatch(_PATIENT, frame) and "pace" in core:
            return ()  # a pacemaker that does not pace leaves no trace
        if core in yes_no:
            return yes_no[core]
        if in_lead := _LEAD.fullmatch(core):
            return _noise_in_lead(in_lead["noise"], in_lead["lead"])
        if chosen := _choice(core, trained):
            return chosen
    if found := _WHAT.fullmatch(text):
        core, asks = found["core"], found["frame"]
        if core in open_questions and not asks.startswith(("how long", "how wide", "how short")):
            return open_questions[core]
        return () if asks == "how is" else measured.get(core, ())
    return ()


def _several(text: str) -> list[str]:
    """The questions about the findings that share a phrase, or about the kinds of noise in a lead."""
    found = _YES_NO.fullmatch(text)
    if not found:
        return []
    if (in_lead := _LEAD.fullmatch(found["core"])) and in_lead["noise"] in phrases(OTHER_PHRASES[29, ANY_NOISE]):
        name = next(each for each in LEADS if each.lower() == in_lead["lead"])
        return [TEMPLATES[NOISE_IN_LEAD].text(kind, name) for kind in NOISES.values()]
    shared = (codes for codes, listed in SHARED.items() if found["core"] in phrases(listed))
    return [TEMPLATES[1].text(NAMES[code]) for code in next(shared, ())]


def _noise_in_lead(noise: str, lead: str) -> tuple[str, ...]:
    """The question about noise in one lead; other findings are not asked about by lead."""
    name = next(each for each in LEADS if each.lower() == lead)
    for question in _tables()[0].get(noise, ()):
        for kind in NOISES.values():
            if question == TEMPLATES[27].text(kind):
                return (TEMPLATES[NOISE_IN_LEAD].text(kind, name),)
        if question == TEMPLATES[29].text(ANY_NOISE):
            return (TEMPLATES[ANY_NOISE_IN_LEAD].text(name),)
    return ()


def _choice(core: str, trained: Collection[str]) -> tuple[str, ...]:
    """The trained choice between two findings, in either order."""
    first, middle, second = core.partition(" or ")
    yes_no = _tables()[0]
    if not middle or first not in yes_no or second not in yes_no:
        return ()
    ends = [[name_in(question) for question in yes_no[each]] for each in (first, second)]
    pairs = [(a, b) for one in ends[0] for other in ends[1] for a, b in ((one, other), (other, one)) if a and b]
    asked = (TEMPLATES[number].text(a, b) for number in (4, 10, 21, 30, 37) for a, b in pairs)
    return tuple(question for question in asked if question in trained)


def name_in(question: str) -> str:
    """What a yes-or-no question asks about: "atrial fibrillation"; empty for other questions."""
    found = re.fullmatch(r"Does this ECG show (?:symptoms of )?(.+)\?", question)
    return found[1] if found else ""


def wordings_of(question: str) -> list[str]:
    """Phrases that mean a question if it is trained."""
    return [phrase for table in _tables() for phrase, meant in table.items() if meant[:1] == (question,)]


def _nearest(text: str, trained: Collection[str]) -> tuple[str, ...]:
    """Trained questions that may be meant: about a phrase in the text, with words of it, or spelled alike."""
    found: dict[str, None] = {}
    for table in _tables():
        for phrase in sorted(table, key=len, reverse=True):
            if re.search(rf"\b{re.escape(phrase)}\b", text):
                found |= dict.fromkeys([question for question in table[phrase] if question in trained][:1])
    if not found:
        words = set(text.split()) - _COMMON
        shared = {each: len(words & set(normal_form(each).split())) for each in trained}
        best = sorted(
            (each for each in trained if shared[each] >= _SHARED_WORDS),
            key=lambda each: (-shared[each], len(each), each),
        )
        found = dict.fromkeys(best)
    if not found:
        spelled = {normal_form(name_in(each) or each): each for each in trained}
        found = dict.fromkeys(spelled[each] for each in get_close_matches(text, spelled, _MOST_NEAREST, 0.75))
    return tuple(found)[:_MOST_NEAREST]

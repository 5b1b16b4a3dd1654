"""Whether a text answers a question of a chain: by our definition, and by that of ECG-Reasoning-Benchmark."""

import re
from collections.abc import Callable

from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.texts.reasoning.form import CRITERION, LEAD, MEASUREMENT, NO, YES, Step

Match = Callable[[str, Step], bool]

_SPELLED = {lead.lower(): lead for lead in LEADS}
_LEAD = re.compile(rf"\b({'|'.join(sorted(_SPELLED, key=len, reverse=True))})\b", re.IGNORECASE)
_RANGE = re.compile(r"\[[^\]]*\]|\b(?:below|above)\s+[-\d.]+\s*(?:ms|mv|bpm|degrees)\b", re.IGNORECASE)
_EDGES = " \t\n.,;:!?\"'"


def matches(text: str, step: Step) -> bool:
    """`strict`: the text is the gold answer, apart from case, spaces and punctuation around it.

    Leads are a set: their order, commas or "and" between them and the word "lead" do not count; any other word does.
    """
    if step.kind == LEAD:
        return _only_leads(text) == _only_leads(step.answer)
    return _plain(text) == _plain(step.answer)


def matches_published(text: str, step: Step) -> bool:
    """`published`: as the benchmark's heuristic scorer decides.

    Yes and no are recognised where the text starts or ends with these letters, so "normal sinus rhythm" and "not sure"
    are a no. Leads are a set, wherever in the text they are named. A measured range may be the first one of a text. The
    criterion must be equal; the scorer's list of accepted paraphrases is not part of this project, so a free text
    that uses one of them is wrong here.
    """
    if step.kind == LEAD:
        return _leads_in(text) == _leads_in(step.answer)
    if set(step.answers) <= {YES, NO}:
        return _yes_or_no(text) == step.answer
    if step.kind == CRITERION:
        return text.strip() == step.answer
    if step.kind == MEASUREMENT and (found := _RANGE.search(text)):
        return _plain(found[0]) == _plain(step.answer)
    return _plain(text) == _plain(step.answer)


MATCHES: dict[str, Match] = {"strict": matches, "published": matches_published}


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(_EDGES)


def _yes_or_no(text: str) -> str | None:
    """ "Yes" or "No"; None for other texts."""
    plain = _plain(text)
    for word in (YES, NO):
        if plain.startswith(word.lower()):
            return word
    return next((word for word in (YES, NO) if plain.endswith(word.lower())), None)


def _leads_in(text: str) -> frozenset[str]:
    return frozenset(_SPELLED[lead.lower()] for lead in _LEAD.findall(text))


def _only_leads(text: str) -> frozenset[str] | None:
    """The leads of a text that names nothing else; None for other texts."""
    words = [word for word in re.split(r"[,;\s]+", _plain(text)) if word not in ("", "lead", "leads", "and")]
    found = [_SPELLED.get(word) for word in words]
    return frozenset(found) if found and None not in found else None

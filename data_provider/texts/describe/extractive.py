"""Chooses sentences about a finding's waveform without a language model: only such as are about this very finding."""

import re
from collections.abc import Sequence
from functools import lru_cache

from cardiolect.data_provider.texts.describe.passages import Passage, Sentence
from cardiolect.data_provider.texts.describe.retrieval import Hit, Index
from cardiolect.data_provider.texts.describe.statements import Finding
from cardiolect.data_provider.texts.describe.topics import topics_in
from cardiolect.data_provider.texts.describe.words import words
from cardiolect.data_provider.texts.english_phrases import PHRASES
from cardiolect.utils.metrics.statements.codes import CODES
from cardiolect.utils.metrics.statements.extraction import read, sentences

SEARCHED = 40  # passages that are looked at for one finding
_WAVEFORM = re.compile(  # names of waves, leads and what is measured on them; case matters: "I", "s", "T"
    r"\b(?:[PQRSTUJ][RT]?'?(?:[- ](?:waves?|segments?|intervals?|peaks?|points?))?|QRST?|QTc?|ST(?:-T)?"
    r"|[rqs]+R?'?S?|RR|PP|aV[RLF]|V[1-9]|I{1,3}|axis|baseline|voltages?|spikes?|rate|leads?|complex(?:es)?|ms|mV)(?!\w)"
)
_IN_BRACKETS = re.compile(r"\(([^()]+(?:\([^()]*\))?)\)\s*$")


@lru_cache(maxsize=1 << 14)
def subject_of(heading: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a heading is about: codes, those in brackets at its end or those that it states, and its words."""
    named = _IN_BRACKETS.search(heading)
    if named and named[1] in CODES:
        return frozenset({named[1]}), frozenset(words(heading[: named.start()]))
    codes = {code for part in sentences(heading) for code, status in read(part).codes if status != "absent"}
    return frozenset(codes), frozenset(words(heading))


@lru_cache(maxsize=1 << 14)
def _first_named(sentence: str) -> tuple[frozenset[str], frozenset[str]]:
    """Codes and words of the first finding that a sentence states, its subject."""
    for part in sentences(sentence):
        named = [
            (one.start, frozenset(c for c, s in one.codes if s == "present"), one.text) for one in read(part).pieces
        ]
        named = [one for one in named if one[1]] + [(start, frozenset(), name) for start, _, name in topics_in(part)]
        if named:
            _, codes, text = min(named, key=lambda one: one[0])
            return codes, frozenset(words(text))
    return frozenset(), frozenset()


def is_about(subject: tuple[frozenset[str], frozenset[str]], finding: Finding) -> bool:
    """Whether a subject is a finding, and no special form of it that the statement does not name."""
    codes, named = subject
    same = finding.code in codes if finding.code else not codes or named == finding.allowed
    return same and bool(named) and named <= finding.allowed


def choose(finding: Finding, index: Index, most: int, threshold: float) -> list[Sentence]:
    """At most ``most`` sentences about the waveform of a finding, [] if none is surely about it.

    First those under the heading that names the finding most closely; if no heading does, sentences under no heading
    of another finding that begin with it. threshold: the least score of a passage.
    """
    hits = _search(finding, index, threshold)
    headed = [hit for hit in hits if hit.passage.heading and is_about(subject_of(hit.passage.heading), finding)]
    if headed:
        best = max(headed, key=lambda hit: _closeness(hit, finding)).passage
        found = [s for hit in headed if _same_section(hit.passage, best) for s in hit.passage.sentences]
        return [one for one in found if _WAVEFORM.search(one.text)][:most]
    return [one for hit in hits for one in _loose(hit.passage, finding)][:most]


def places(finding: Finding, index: Index) -> list[Sentence]:
    """A sentence for each wall that a statement names and its finding does not: "The inferior leads are II ..."."""
    found = []
    for place in finding.places:
        asked = frozenset(words(place))
        for hit in index.search(f"{place} leads", SEARCHED):
            codes, named = subject_of(hit.passage.heading)
            if not codes and named == asked and hit.passage.heading.casefold().endswith("leads"):
                found.append(hit.passage.sentences[0])
                break
    return found


def passages_for(findings: Sequence[Finding], index: Index, most: int, threshold: float) -> list[Hit]:
    """The passages that a language model is given: ``most`` for each finding, those about it before others."""
    found: dict[Passage, Hit] = {}
    for finding in findings:
        hits = _search(finding, index, threshold)
        about = [hit for hit in hits if hit.passage.heading and is_about(subject_of(hit.passage.heading), finding)]
        for hit in list(dict.fromkeys([*about, *hits]))[:most]:
            found.setdefault(hit.passage, hit)
    return list(found.values())


def _search(finding: Finding, index: Index, threshold: float) -> list[Hit]:
    """Passages for a finding by its name, without and with its wall or leads, and as it is written; the best score."""
    best: dict[Passage, float] = {}
    for query in dict.fromkeys((PHRASES.get(finding.code, finding.name), finding.name, finding.written)):
        for passage, score in index.search(query, SEARCHED):
            best[passage] = max(score, best.get(passage, score))
    return [Hit(passage, score) for passage, score in best.items() if score >= threshold]


def _closeness(hit: Hit, finding: Finding) -> tuple[int, int, float]:
    named = subject_of(hit.passage.heading)[1]
    return len(named & finding.stated), -len(named - finding.stated), hit.score


def _same_section(one: Passage, other: Passage) -> bool:
    return one.heading == other.heading and one.sentences[0].file == other.sentences[0].file


def _loose(passage: Passage, finding: Finding) -> list[Sentence]:
    if passage.heading and subject_of(passage.heading)[0]:
        return []
    return [
        one for one in passage.sentences if _WAVEFORM.search(one.text) and is_about(_first_named(one.text), finding)
    ]

"""Finds long reports that stand word for word in two splits and that nobody else wrote: copies, not phrases.

Devices write equal long reports for different people, put together from the same phrases; all of PTB-XL has 149 of at
least twelve words in more than one split, and none of them is rare in the sense used here.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

LEAST_WORDS = 12
PHRASE = 3  # words
RARE = 0.5  # share of a report's phrases that no other report has


@dataclass(frozen=True)
class Report:
    """A report about a recording, ``corpus/record``, and its split, "" for none."""

    record: str
    split: str
    text: str


def rare_reports_across_splits(reports: Iterable[Report]) -> list[list[Report]]:
    """Groups of reports with the same words, at least twelve, that are in more than one split."""
    groups: dict[tuple[str, ...], list[Report]] = defaultdict(list)
    for report in reports:
        groups[tuple(re.findall(r"\w+", report.text.lower()))].append(report)
    crossing = {
        words: group
        for words, group in groups.items()
        if len(words) >= LEAST_WORDS and len({report.split for report in group} - {""}) > 1
    }
    asked = {phrase for words in crossing for phrase in _phrases(words)}
    count = Counter(phrase for words in groups if asked for phrase in _phrases(words) & asked)
    return [group for words, group in crossing.items() if _rarity(words, count) > RARE]


def _rarity(words: tuple[str, ...], count: Counter[tuple[str, ...]]) -> float:
    phrases = _phrases(words)
    return sum(count[phrase] == 1 for phrase in phrases) / len(phrases)


def _phrases(words: tuple[str, ...]) -> set[tuple[str, ...]]:
    return {words[start : start + PHRASE] for start in range(len(words) - PHRASE + 1)}

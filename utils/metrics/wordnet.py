"""Finds WordNet without a download: NLTK's corpus, else Debian's package, else a stand-in without synonyms."""

import io
import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader

SYSTEM_WORDNET = Path("/usr/share/wordnet")  # Debian's wordnet-base
_NLTK_WORDNET = ("corpora/wordnet", "corpora/wordnet.zip/wordnet/")

# The file "lexnames", which wordnet-base lacks, as listed in the manual page lexnames(5WN): in order, the part of
# speech, its number, and the names of its lexicographer files.
_LEXNAMES = (
    ("adj", 3, "all pert"),
    ("adv", 4, "all"),
    (
        "noun",
        1,
        "Tops act animal artifact attribute body cognition communication event feeling food group location motive "
        "object person phenomenon plant possession process quantity relation shape state substance time",
    ),
    (
        "verb",
        2,
        "body change cognition communication competition consumption contact creation emotion motion perception "
        "possession social stative weather",
    ),
    ("adj", 3, "ppl"),
)


class SynsetReader(Protocol):
    """The part of WordNet that METEOR uses."""

    def synsets(self, word: str) -> list[Any]: ...


@dataclass(frozen=True)
class Thesaurus:
    """A reader of synonyms and, in words, its source."""

    reader: SynsetReader
    source: str


class _NoSynsets:
    def synsets(self, word: str) -> list[Any]:
        return []


class _EnglishWordNet(WordNetCorpusReader):
    """WordNet 3.0 without its other languages, whose mapping needs files that wordnet-base lacks."""

    def __init__(self, root: Any) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The multilingual functions are not available")
            super().__init__(root, omw_reader=None)

    def open(self, file: str) -> Any:
        if file == "lexnames":
            rows = [(f"{pos}.{name}", number) for pos, number, names in _LEXNAMES for name in names.split()]
            return io.StringIO("".join(f"{i:02d}\t{name}\t{number}\n" for i, (name, number) in enumerate(rows)))
        return super().open(file)

    def map_wn(self, version: str = "wordnet") -> None:
        return None


NO_WORDNET = Thesaurus(_NoSynsets(), "none: exact and stem matches only")


def find_wordnet() -> Thesaurus:
    """The best WordNet here; its ``source`` is "nltk corpus", "system /usr/share/wordnet" or "none: ..."."""
    # One reader per process: a reader keeps files open, and forked processes would share their positions.
    return _find_wordnet(os.getpid())


@lru_cache(maxsize=1)
def _find_wordnet(pid: int) -> Thesaurus:
    for resource in _NLTK_WORDNET:
        try:
            return Thesaurus(_EnglishWordNet(nltk.data.find(resource)), "nltk corpus")
        except LookupError:
            continue
    if (SYSTEM_WORDNET / "data.noun").is_file():
        if str(SYSTEM_WORDNET) not in nltk.data.path:
            nltk.data.path.append(str(SYSTEM_WORDNET))  # NLTK refuses to open files outside its data path
        return Thesaurus(_EnglishWordNet(str(SYSTEM_WORDNET)), f"system {SYSTEM_WORDNET}")
    return NO_WORDNET

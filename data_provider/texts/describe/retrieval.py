"""Finds the passages that are nearest to a statement: by their words (BM25), or by a language model's embeddings."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from cardiolect.data_provider.texts.describe.local_models import Embedder
from cardiolect.data_provider.texts.describe.passages import Passage
from cardiolect.data_provider.texts.describe.words import words

_HEADING_WEIGHT = 3  # times that the words of a heading count


class Hit(NamedTuple):
    """score: 0 to 1, what `threshold` is compared with; hits are in the order of the index, best first."""

    passage: Passage
    score: float


class Index(Protocol):
    """name: what finds the passages, for the results."""

    name: str

    def search(self, query: str, most: int) -> list[Hit]:
        """At most ``most`` passages, best first."""
        ...


class WordIndex:
    """BM25 over headings and sentences (Robertson et al. 1995, as bm25s computes it).

    BM25 gives the order. The score of a hit is the share of the query's words that are in it, weighted by how few
    passages have them: 1 if all are.
    """

    name = "BM25"

    def __init__(self, passages: Sequence[Passage]):
        import bm25s  # with optional packages it takes a second, and --help does without it

        self.passages = passages
        documents = [_HEADING_WEIGHT * words(one.heading) + words(one.text) for one in passages]
        self._words = [frozenset(document) for document in documents]
        self._counts = Counter(word for document in self._words for word in document)
        self._index = bm25s.BM25()
        self._index.index(documents, show_progress=False)

    def search(self, query: str, most: int) -> list[Hit]:
        asked = words(query)
        known = [word for word in asked if word in self._counts]
        if not known:
            return []
        scores = self._index.get_scores(known)
        order = np.argsort(-scores, kind="stable")[:most]
        weights = {word: math.log(1 + len(self.passages) / (self._counts[word] + 0.5)) for word in asked}
        total = sum(weights.values())
        return [
            Hit(self.passages[i], sum(weights[word] for word in self._words[i] & weights.keys()) / total)
            for i in order.tolist()
            if scores[i] > 0
        ]


class EmbeddingIndex:
    """Cosine similarity of mean-pooled embeddings of any model that transformers' AutoModel reads."""

    def __init__(self, passages: Sequence[Passage], folder: Path, device: str):
        self.passages = passages
        self._embedder = Embedder(folder, device)
        self.name = f"embeddings of {self._embedder.name}"
        self._vectors = self._embedder.embed([f"{one.heading}. {one.text}" for one in passages])

    def search(self, query: str, most: int) -> list[Hit]:
        scores = self._vectors @ self._embedder.embed([query])[0]
        order = np.argsort(-scores, kind="stable")[:most]
        return [Hit(self.passages[i], float(scores[i])) for i in order.tolist()]

"""Merges and both encodings against slow implementations that follow their definitions."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from cardiolect.ecg_tokenizer.bpe.merges import Merges


def slow_merges(pieces: list[np.ndarray], alphabet: int, merges: int) -> list[tuple[int, int]]:
    """Count all pairs anew for every merge."""
    texts, pairs = [piece.tolist() for piece in pieces], []
    while len(pairs) < merges:
        counts = Counter(pair for text in texts for pair in pairwise(text))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        texts = [slow_replace(text, best, alphabet + len(pairs)) for text in texts]
        pairs.append(best)
    return pairs


def slow_replace(text: list[int], pair: tuple[int, int], token: int) -> list[int]:
    found = []
    for symbol in text:
        if found and (found[-1], symbol) == pair:
            found[-1] = token
        else:
            found.append(symbol)
    return found


def slow_longest(text: list[int], tokens: list[tuple[int, ...]]) -> list[int]:
    found, start = [], 0
    while start < len(text):
        fitting = [t for t, symbols in enumerate(tokens) if tuple(text[start : start + len(symbols)]) == symbols]
        found.append(max(fitting, key=lambda token: len(tokens[token])))
        start += len(tokens[found[-1]])
    return found


def random_pieces(seed: int) -> tuple[list[np.ndarray], int]:
    """Pieces of few symbols with long runs and many ties."""
    rng = np.random.default_rng(seed)
    alphabet = int(rng.integers(1, 5))
    shares = rng.dirichlet(np.full(alphabet, 0.5))
    return [rng.choice(alphabet, rng.integers(1, 80), p=shares) for _ in range(rng.integers(1, 6))], alphabet


@pytest.mark.parametrize("seed", range(40))
def test_merges_equal_a_recount_of_all_pairs(seed):
    pieces, alphabet = random_pieces(seed)
    merges = Merges.learn(pieces, alphabet, 30)
    assert merges.pairs == slow_merges(pieces, alphabet, 30)
    assert merges.pairs == Merges.learn(pieces[::-1], alphabet, 30).pairs
    assert len(set(merges.symbols)) == len(merges)


@pytest.mark.parametrize("seed", range(40))
def test_both_encodings_equal_slow_ones_and_decode_to_the_symbols(seed):
    pieces, alphabet = random_pieces(seed)
    pairs = slow_merges(pieces, alphabet, 30)
    unseen = [*pieces, np.random.default_rng(seed).integers(0, alphabet, 50)]
    by_order, longest = Merges(alphabet, pairs), Merges(alphabet, pairs, "longest-match")
    for piece, ordered, long in zip(unseen, by_order.encode(unseen), longest.encode(unseen), strict=True):
        text = piece.tolist()
        assert long.tolist() == slow_longest(text, longest.symbols)
        for number, pair in enumerate(pairs):
            text = slow_replace(text, pair, alphabet + number)
        assert ordered.tolist() == text
        assert (by_order.decode(ordered) == piece).all() and (longest.decode(long) == piece).all()


def test_a_long_piece_is_encoded_as_defined():
    pieces, alphabet = [np.random.default_rng(0).integers(0, 3, 5000).repeat(3)], 3
    merges = Merges.learn(pieces, alphabet, 60)
    text = pieces[0].tolist()
    for number, pair in enumerate(merges.pairs):
        text = slow_replace(text, pair, alphabet + number)
    assert merges.encode(pieces)[0].tolist() == text

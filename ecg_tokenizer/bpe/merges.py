"""Byte-pair encoding (BPE) of integer symbols: learn merges, and encode symbols as tokens.

Both are deterministic. The symbols come in pieces, and no token crosses from one piece into the next. The `tokenizers`
library learns the merges and encodes in merge order; tests compare it with an implementation that recounts all pairs.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from cardiolect.utils.errors import UserError

Encoding = Literal["merge-order", "longest-match"]
FILE = "tokenizer.json"
# `tokenizers` works on text, so each symbol is a character: a, b, c ... if there are few, else from a larger block.
FEW, MANY = 26, 0x10000


class Merges:
    """Tokens 0..n-1: every symbol of the alphabet, then one token per merge, in merge order.

    alphabet: number of symbols. pairs: the two tokens that each merge joins. encoding: how `encode` chooses tokens:
    "merge-order" applies the merges one after the other, as in standard BPE; "longest-match" takes the longest token
    that fits, from left to right, as ECG-Byte does (arXiv 2412.14373).
    """

    def __init__(self, alphabet: int, pairs: Sequence[tuple[int, int]], encoding: Encoding = "merge-order"):
        self.alphabet = alphabet
        self.pairs = [(int(left), int(right)) for left, right in pairs]
        self.encoding = encoding
        self.symbols: list[tuple[int, ...]] = [(symbol,) for symbol in range(alphabet)]
        for left, right in self.pairs:
            self.symbols.append(self.symbols[left] + self.symbols[right])

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def lengths(self) -> np.ndarray:
        """int64 ``(tokens,)``: number of symbols in each token."""
        return np.array([len(symbols) for symbols in self.symbols])

    def encode(self, pieces: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Symbols of each piece -> tokens of each piece, int64."""
        if self.encoding == "longest-match":
            return [self._longest_match(piece.tolist()) for piece in pieces]
        texts = [_text(piece.tolist(), self.alphabet) for piece in pieces]
        found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in found]

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens ``(n,)`` -> their symbols, int64."""
        starts = np.cumsum(self.lengths) - self.lengths
        lengths = self.lengths[tokens]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._flat[np.repeat(starts[tokens], lengths) + within]

    @classmethod
    def learn(
        cls, pieces: Iterable[np.ndarray], alphabet: int, merges: int, encoding: Encoding = "merge-order"
    ) -> "Merges":
        """Learn at most ``merges`` merges, each of the pair of adjacent tokens that is most frequent at that point.

        Of equally frequent pairs, the one with the smaller token numbers is merged; pairs that occur once are not.
        pieces: int arrays of symbols below ``alphabet``, all held in memory at about 30 bytes per symbol.
        """
        tokenizer = Tokenizer(BPE())
        symbols = [_text([symbol], alphabet) for symbol in range(alphabet)]
        trainer = BpeTrainer(
            vocab_size=alphabet + merges, min_frequency=2, initial_alphabet=symbols, show_progress=False
        )
        tokenizer.train_from_iterator((_text(piece.tolist(), alphabet) for piece in pieces), trainer)
        _, pairs = _parts(tokenizer.to_str())
        return cls(alphabet, pairs, encoding)

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` of the `tokenizers` library."""
        self._tokenizer.save(str(folder / FILE))

    @classmethod
    def load(cls, folder: Path, encoding: Encoding) -> "Merges":
        """Read the file written by `save`. Raises `UserError` if it is not such a file."""
        try:
            vocabulary, pairs = _parts((folder / FILE).read_text())
            return cls(vocabulary - len(pairs), pairs, encoding)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise UserError(f"{folder / FILE}: not a BPE vocabulary ({error!r})") from None

    @cached_property
    def _flat(self) -> np.ndarray:
        return np.array([symbol for symbols in self.symbols for symbol in symbols])

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        words = [_text(symbols, self.alphabet) for symbols in self.symbols]
        vocabulary = {word: token for token, word in enumerate(words)}
        return Tokenizer(BPE(vocabulary, [(words[left], words[right]) for left, right in self.pairs]))

    @cached_property
    def _trie(self) -> list[tuple[dict[int, int], int]]:
        """Nodes: the next node for each symbol, and the token that ends here (-1: none)."""
        nodes: list[list] = [[{}, -1]]
        for token, symbols in enumerate(self.symbols):
            node = 0
            for symbol in symbols:
                if symbol not in nodes[node][0]:
                    nodes[node][0][symbol] = len(nodes)
                    nodes.append([{}, -1])
                node = nodes[node][0][symbol]
            nodes[node][1] = token
        return [(children, token) for children, token in nodes]

    def _longest_match(self, symbols: list[int]) -> np.ndarray:
        trie, tokens, start = self._trie, [], 0
        while start < len(symbols):
            node, best, end = 0, -1, start
            for position in range(start, len(symbols)):
                node = trie[node][0].get(symbols[position])
                if node is None:
                    break
                if trie[node][1] >= 0:
                    best, end = trie[node][1], position + 1
            tokens.append(best)
            start = end
        return np.array(tokens, dtype=np.int64)


def _text(symbols: Iterable[int], alphabet: int) -> str:
    first = ord("a") if alphabet <= FEW else MANY
    return "".join([chr(first + symbol) for symbol in symbols])


def _parts(saved: str) -> tuple[int, list[tuple[int, int]]]:
    """Number of tokens and merged pairs from the text of tokenizer.json. Raises ValueError or KeyError."""
    model = json.loads(saved)["model"]
    vocabulary = model["vocab"]
    pairs = [(vocabulary[left], vocabulary[right]) for left, right in model["merges"]]
    made = [vocabulary[left + right] for left, right in model["merges"]]
    if made != list(range(len(vocabulary) - len(pairs), len(vocabulary))):
        raise ValueError("its tokens are not one per merge, in merge order")
    return len(vocabulary), pairs

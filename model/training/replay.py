"""Plain text among the training sequences, so that a language model does not forget it."""

import hashlib
import json
import random
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.packing import Packed, pack
from cardiolect.utils.errors import UserError

LENGTH = 256  # tokens of a sequence of text
_SAMPLED = 100  # sequences whose weights are averaged


class ReplayText:
    """REPLAY_TEXT as sequences of tokens.

    Documents follow each other with the end-of-sequence token between them, and are cut into sequences of at most
    LENGTH tokens, or ``longest`` if the language model takes fewer. Raises `UserError` that names file and line if
    something is not as SETTINGS.md says.
    """

    def __init__(self, paths: Sequence[Path], vocabulary: Vocabulary, longest: int | None = None):
        self.names, self.documents = [path.name for path in paths], 0
        tokenizer = vocabulary.tokenizer
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        stream = array("i")  # lists of Python's integers would take ten times the memory
        for path in paths:
            for ids in _documents(path, vocabulary):
                stream.extend([*ids, tokenizer.eos_token_id])
                self.documents += 1
        self.stream, self.tokens, self.bos = np.frombuffer(stream, np.int32), len(stream), bos
        self.step = min(LENGTH, longest or LENGTH) - len(bos)
        # A single token at the end would have nothing to predict.
        self.count = -(-self.tokens // self.step) - (self.tokens % self.step + len(bos) == 1)
        if not self.documents:
            raise UserError(f"REPLAY_TEXT: no text in {', '.join(map(str, paths))}")

    def figures(self) -> dict[str, Any]:
        """For cardiolect.json."""
        return {"files": self.names, "documents": self.documents, "tokens": self.tokens}

    def fingerprint(self) -> str:
        """Hash of the tokens."""
        return hashlib.sha256(repr((self.step, self.bos)).encode() + self.stream.tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, k: int) -> list[int]:
        k = range(len(self))[k]  # raises IndexError after the last
        return [*self.bos, *self.stream[k * self.step : (k + 1) * self.step].tolist()]

    def lengths(self, chosen: np.ndarray) -> np.ndarray:
        """Tokens of these sequences."""
        return len(self.bos) + np.minimum(self.step, self.tokens - chosen * self.step)


class WithText(Dataset):
    """Training sequences of ECGs, followed by sequences of text, drawn anew in every epoch.

    share: of the sequences, and so of the loss: a sequence of text weighs as much as one of ECGs does on average.
    """

    def __init__(self, rows: Dataset, text: ReplayText, share: float, seed: int):
        self.rows, self.text, self.seed = rows, text, seed
        self.shares_prefix, self.unfit = rows.shares_prefix, rows.unfit
        self.count = max(1, round(share / (1 - share) * len(rows)))
        sampled = random.Random(f"{seed}-weights").sample(range(len(rows)), min(_SAMPLED, len(rows)))
        self.weight = sum(sum(rows[i].weights) for i in sampled) / len(sampled)
        self._draw(0)

    def set_epoch(self, epoch: int) -> None:
        self.rows.set_epoch(epoch)
        self._draw(epoch)

    def _draw(self, epoch: int) -> None:
        rng = random.Random(f"{self.seed}-{epoch}-text")
        whole, rest = divmod(self.count, len(self.text))
        self.chosen = np.array([*range(len(self.text))] * whole + rng.sample(range(len(self.text)), rest), np.int32)

    def __len__(self) -> int:
        return len(self.rows) + self.count

    def lengths(self) -> np.ndarray:
        """Number of tokens per sequence."""
        return np.concatenate([self.rows.lengths(), self.text.lengths(self.chosen)])

    def longest_row(self) -> tuple[int, str]:
        """The most tokens that a sequence of any epoch can have, and what it is about."""
        return max(self.rows.longest_row(), (int(self.text.lengths(np.array([0]))[0]), "(none: text of REPLAY_TEXT)"))

    def __getitem__(self, i: int) -> Packed:
        if i < len(self.rows):
            return self.rows[i]
        ids = self.text[int(self.chosen[i - len(self.rows)])]
        return pack(ids, [], [0.0, *[self.weight / (len(ids) - 1)] * (len(ids) - 1)])


def _documents(path: Path, vocabulary: Vocabulary) -> Iterator[list[int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"REPLAY_TEXT: {path} is not a text file in UTF-8") from None
    if path.suffix != ".jsonl":
        if text.strip():
            yield vocabulary.text_ids(text.strip())
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _document(line, f"REPLAY_TEXT: {path}, line {number}", vocabulary)


def _document(line: str, where: str, vocabulary: Vocabulary) -> list[int]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not JSON ({error})") from None
    if isinstance(entry, dict) and isinstance(entry.get("text"), str):
        return vocabulary.text_ids(entry["text"])
    messages = entry.get("messages") if isinstance(entry, dict) else None
    if not isinstance(messages, list) or not all(_is_message(message) for message in messages) or not messages:
        raise UserError(f'{where}: needs "text", or "messages" with "role" and "content"')
    if not vocabulary.own_template:
        raise UserError(f"{where}: the language model came without a chat template for messages; give text")
    escaped = [message | {"content": vocabulary.escaped(message["content"])} for message in messages]
    shared = dict(chat_template=vocabulary.own_template, tokenize=True, return_dict=False)
    try:
        ids = vocabulary.tokenizer.apply_chat_template(escaped, **shared)
    except Exception as error:  # whatever a template raises
        raise UserError(f"{where}: the language model's chat template refuses these messages ({error})") from None
    bos = vocabulary.tokenizer.bos_token_id
    return ids[1:] if bos is not None and ids[:1] == [bos] else ids


def _is_message(message: object) -> bool:
    return (
        isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)
    )

"""Plain text among the training sequences, so that a language model does not forget it."""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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
        stream: list[int] = []
        for path in paths:
            for ids in _documents(path, vocabulary):
                stream += [*ids, tokenizer.eos_token_id]
                self.documents += 1
        step = min(LENGTH, longest or LENGTH) - len(bos)
        self.sequences = [[*bos, *stream[start : start + step]] for start in range(0, len(stream), step)]
        self.sequences = [ids for ids in self.sequences if len(ids) > 1]
        self.tokens = len(stream)
        if not self.sequences:
            raise UserError(f"REPLAY_TEXT: there is no text in {', '.join(map(str, paths))}")

    def figures(self) -> dict[str, Any]:
        """For cardiolect.json."""
        return {"files": self.names, "documents": self.documents, "tokens": self.tokens}

    def fingerprint(self) -> str:
        """Hash of the tokens."""
        return hashlib.sha256(repr(self.sequences).encode()).hexdigest()[:16]


class WithText(Dataset):
    """Training sequences of ECGs, followed by sequences of text, drawn anew in every epoch.

    share: of the sequences, and so of the loss: a sequence of text weighs as much as one of ECGs does on average.
    """

    def __init__(self, rows: Dataset, text: ReplayText, share: float, seed: int):
        self.rows, self.text, self.seed = rows, text.sequences, seed
        self.shares_prefix, self.left_out = rows.shares_prefix, rows.left_out
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
        self.chosen = [*range(len(self.text))] * whole + rng.sample(range(len(self.text)), rest)

    def __len__(self) -> int:
        return len(self.rows) + self.count

    def lengths(self) -> list[int]:
        """Number of tokens per sequence."""
        return [*self.rows.lengths(), *(len(self.text[k]) for k in self.chosen)]

    def longest_row(self) -> tuple[int, str]:
        """The most tokens that a sequence of any epoch can have, and what it is about."""
        return max(self.rows.longest_row(), (max(map(len, self.text)), "(none: text of REPLAY_TEXT)"))

    def __getitem__(self, i: int) -> Packed:
        if i < len(self.rows):
            return self.rows[i]
        ids = self.text[self.chosen[i - len(self.rows)]]
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
    for number, line in enumerate(text.splitlines(), start=1):
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

"""ECG codes as tokens of a text tokenizer.

Every code is one token, ``<|ecg_0|>`` ... ``<|ecg_N|>``, between ``<|ecg_start|>`` and ``<|ecg_end|>``. The saved
tokenizer and model are stock Hugging Face ones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import AddedToken

from cardiolect.ecg_tokenizer.base import TimeBins
from cardiolect.model.prompt.chat_format import ChatFormat
from cardiolect.utils.errors import UserError

if TYPE_CHECKING:  # slow, and an ECG is printed as text without it
    from transformers import PreTrainedTokenizerBase

ECG_START = "<|ecg_start|>"
ECG_END = "<|ecg_end|>"
_BEGIN = "<|"  # begins every ECG token, and the special tokens of most tokenizers
PLACEHOLDER = "<|ecg|>"  # the only token of a representation that embeds ECGs

# A range of times, as in "[8.40s - 8.51s]", in seconds from the beginning of an ECG.
_TIMES = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?) ?s (?:-|to) (\d+(?:\.\d+)?) ?s\b")
_LONGEST = 1.0  # seconds of a range that is marked; a wave is shorter


def code_token(code: int) -> str:
    return f"<|ecg_{code}|>"


def ecg_text(codes: np.ndarray) -> str:
    """The codes of one ECG as text, which the stock tokenizer of a checkpoint can read."""
    return ECG_START + "".join(map(code_token, np.asarray(codes).tolist())) + ECG_END


@dataclass(frozen=True)
class Vocabulary:
    """A text tokenizer with tokens for ``num_codes`` ECG codes, or with the placeholder of embedded ECGs.

    time_bins: tokens of the ECG that stand for times, see `timed`.
    chat: how prompts are written, None for plain ones. in_system: whether texts of similar recordings stand in the
    system message of a chat. own_template: the chat template that the language model came
    with, "" if it has none.
    """

    tokenizer: "PreTrainedTokenizerBase"
    num_codes: int
    placeholder: bool = False
    time_bins: TimeBins | None = None
    chat: ChatFormat | None = None
    in_system: bool = False
    own_template: str = ""

    @classmethod
    def extend(cls, tokenizer: "PreTrainedTokenizerBase", num_codes: int, placeholder: bool = False) -> "Vocabulary":
        """Add the ECG tokens if they are missing. Raises `UserError` if the tokenizer has those of another codebook."""
        if tokenizer.eos_token_id is None:
            raise UserError("the language model's tokenizer has no end-of-sequence token; answers could never end")
        known = tokenizer.get_vocab()
        if ECG_START in known:
            last = PLACEHOLDER if placeholder else code_token(num_codes - 1)
            if last not in known or code_token(0 if placeholder else num_codes) in known:
                needed = "one for embedded ECGs" if placeholder else f"those of {num_codes} codes"
                raise UserError(f"this language model has the tokens of another ECG tokenizer, not {needed}")
        else:
            codes = [PLACEHOLDER] if placeholder else [code_token(i) for i in range(num_codes)]
            names = [ECG_START, ECG_END, *codes]
            tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        own = tokenizer.chat_template or ""
        return cls(
            tokenizer, num_codes, placeholder, own_template=own if isinstance(own, str) else own.get("default", "")
        )

    @property
    def start_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(ECG_START)

    @property
    def end_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(ECG_END)

    @property
    def first_code_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(PLACEHOLDER if self.placeholder else code_token(0))

    @property
    def new_ids(self) -> range:
        """Ids of all ECG tokens, which are contiguous: start, end, codes."""
        return range(self.start_id, self.first_code_id + self.num_codes)

    @cached_property
    def never_answered(self) -> tuple[slice, ...]:
        """Columns of logits that no answer contains: those of ECG tokens, and of spare rows, which have no token."""
        spare = max(self.tokenizer.get_vocab().values()) + 1
        return slice(self.new_ids.start, self.new_ids.stop), slice(spare, None)

    def code_ids(self, codes: np.ndarray) -> list[int]:
        """Token ids of the codes of one ECG."""
        return (np.asarray(codes, dtype=np.int64) + self.first_code_id).tolist()

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer: the tokenizer's end of sequence, and the end of a message of the chat."""
        end = self.tokenizer.eos_token_id
        if self.chat is None:
            return (end,)
        return tuple(dict.fromkeys((self.tokenizer.convert_tokens_to_ids(self.chat.end_token), end)))

    @cached_property
    def escapes(self) -> dict[str, str]:
        """Strings that text must not contain, and their replacements: ``<|`` and the tokenizer's other special tokens.

        In chats also the end of a message, and tags that the template acts on. A space after the first character breaks
        each up. Replacements are made one after the other.
        """
        special = {str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        special |= set(self.tokenizer.all_special_tokens)
        if self.chat is not None:
            special |= {self.chat.end_token, *self.chat.tags}
        others = sorted(token for token in special if _BEGIN not in token and len(token) > 1)
        return {word: f"{word[0]} {word[1:]}" for word in (_BEGIN, *others)}

    def escaped(self, text: str) -> str:
        """The text without the strings of `escapes`."""
        for word, replacement in self.escapes.items():
            text = text.replace(word, replacement)
        return text

    def timed(self, text: str) -> str:
        """The text with tokens of `time_bins` before each range of times of at most a second: when it begins, then all.

        A model then finds "[8.40s - 8.51s]" in an ECG by equal tokens, without reading numbers, and sees what is there
        (`with_codes`).
        """
        if self.time_bins is None:
            return text

        def marked(found: re.Match) -> str:
            start, end = map(float, found.groups())
            bins = self.time_bins.of(start, end) if end - start <= _LONGEST else ()
            return "".join(map(code_token, (*bins[:1], *bins))) + found[0]

        return _TIMES.sub(marked, text)

    def with_codes(self, ids: list[int], ecg: Sequence[int]) -> list[int]:
        """Token ids of a question, with the codes of an ECG in the places that `timed` keeps for them.

        ecg: all token numbers of the ECG. Their number stays the same, so a time that the ECG lacks keeps its token.
        """
        if self.time_bins is None:
            return ids
        bins, zero = self.time_bins, self.first_code_id
        marks = range(zero + bins.first, zero + bins.first + len(bins.codes))
        return [
            zero + bins.code(token - zero, ecg) if token in marks and before in marks else token
            for before, token in zip([None, *ids], ids, strict=False)
        ]

    def text_ids(self, text: str) -> list[int]:
        """Token ids of plain text. No text can spell an ECG, end-of-sequence or other special token (`escapes`)."""
        return self.ids(self.escaped(text))

    def ids(self, text: str) -> list[int]:
        """Token ids of text whose special tokens are read as such."""
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def ids_after_ecg(self, text: str) -> list[int]:
        """`ids` of text as it is tokenized after an ECG."""
        return self.ids(ECG_END + text)[1:]

    def ids_after_answer(self, text: str) -> list[int]:
        """`ids` of text as it is tokenized after the token that ends an answer; that of Phi-3 takes up line ends."""
        return self.ids((self.chat.end_token if self.chat else self.tokenizer.eos_token) + text)[1:]

"""ECG codes as tokens of a text tokenizer, and where their embedding rows start.

Every code is one token, ``<|ecg_0|>`` ... ``<|ecg_N|>``, between ``<|ecg_start|>`` and ``<|ecg_end|>``: the saved
tokenizer and model are stock Hugging Face ones.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.tokenization_utils_base import AddedToken

from cardiolect.utils.errors import UserError

ECG_START = "<|ecg_start|>"
ECG_END = "<|ecg_end|>"
_BEGIN = "<|"  # of every ECG token, and of most tokenizers' special ones


def code_token(code: int) -> str:
    return f"<|ecg_{code}|>"


def ecg_text(codes: np.ndarray) -> str:
    """The codes of one ECG as text: what a stock tokenizer of a checkpoint reads."""
    return ECG_START + "".join(map(code_token, np.asarray(codes).tolist())) + ECG_END


@dataclass(frozen=True)
class Vocabulary:
    """A text tokenizer that knows ``num_codes`` ECG codes."""

    tokenizer: PreTrainedTokenizerBase
    num_codes: int

    @classmethod
    def extend(cls, tokenizer: PreTrainedTokenizerBase, num_codes: int) -> "Vocabulary":
        """Add the ECG tokens where they are not there yet. Raises `UserError` where another codebook's are."""
        if tokenizer.eos_token_id is None:
            raise UserError("the language model's tokenizer has no end-of-sequence token; answers could never end")
        known = tokenizer.get_vocab()
        if ECG_START in known:
            if code_token(num_codes - 1) not in known or code_token(num_codes) in known:
                raise UserError(f"this language model was made for another ECG tokenizer than one of {num_codes} codes")
        else:
            names = [ECG_START, ECG_END, *(code_token(i) for i in range(num_codes))]
            tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        return cls(tokenizer, num_codes)

    @property
    def start_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(ECG_START)

    @property
    def end_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(ECG_END)

    @property
    def first_code_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(code_token(0))

    @property
    def new_ids(self) -> range:
        """Ids of all ECG tokens: start, end, codes; contiguous."""
        return range(self.start_id, self.first_code_id + self.num_codes)

    def code_ids(self, codes: np.ndarray) -> list[int]:
        """Codes of one ECG, in their order -> token ids."""
        return (np.asarray(codes, dtype=np.int64) + self.first_code_id).tolist()

    @cached_property
    def apart(self) -> dict[str, str]:
        """What text may not hold, and what is written instead: ``<|`` and the tokenizer's other special tokens.

        A space behind the first character breaks each up, one after the other.
        """
        special = {str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        special |= set(self.tokenizer.all_special_tokens)
        others = sorted(token for token in special if _BEGIN not in token and len(token) > 1)
        return {word: f"{word[0]} {word[1:]}" for word in (_BEGIN, *others)}

    def text_ids(self, text: str) -> list[int]:
        """Token ids of plain text. No text can spell an ECG, end-of-sequence or other special token (`apart`)."""
        for word, broken in self.apart.items():
            text = text.replace(word, broken)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def extend_embeddings(model: PreTrainedModel, vocabulary: Vocabulary, geometry: torch.Tensor, seed: int) -> None:
    """Give the ECG tokens rows in embedding and head; every other row stays as it is, to the bit.

    geometry: ``(num_codes, dims)``, the codebook. A code's row is the mean text row plus its place in the codebook,
    turned by a random orthonormal map and scaled to the spread of the text rows: similar codes start similar.
    """
    old_rows = model.get_input_embeddings().weight.shape[0]
    needed = vocabulary.new_ids.stop
    if needed > old_rows:
        model.resize_token_embeddings(needed, mean_resizing=False)
    tables = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not tables[0]:
        tables.append(head.weight)
    generator = torch.Generator().manual_seed(seed)
    text_rows = vocabulary.start_id
    for table in tables:
        rows = _rows_from_geometry(table[:text_rows].detach().float().cpu(), geometry.cpu(), generator)
        with torch.no_grad():
            table[vocabulary.new_ids.start : vocabulary.new_ids.stop] = rows.to(table)


def _rows_from_geometry(text: torch.Tensor, geometry: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    width, dims = text.shape[1], min(geometry.shape[1], text.shape[1])
    place = geometry - geometry.mean(0)
    if dims < geometry.shape[1]:  # a narrow model takes the principal components
        place = place @ torch.linalg.svd(place, full_matrices=False)[2][:dims].T
    turn = torch.linalg.qr(torch.randn(width, dims, generator=generator))[0].T
    codes = place @ turn
    rows = torch.cat([torch.randn(2, width, generator=generator), codes / codes.std()])
    return text.mean(0) + text.std(0).mean() * rows

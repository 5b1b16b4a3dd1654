"""Encoders of reports: any of the transformers library from a local folder, or a small one that is trained here."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerFast

from cardiolect.ecg_tokenizer.encoders.pretrained import load_pretrained
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

MOST_PIECES = 4000  # of its vocabulary
_SPECIAL = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}


class TextEncoder(nn.Module):
    """Vectors of texts: that of the first token of models that have one for it (BERT), or the mean of all.

    It always runs without dropout, so that ranks train as one does.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, length: int):
        super().__init__()
        self.model, self.tokenizer, self.length = model, tokenizer, length
        tokenizer.padding_side = tokenizer.truncation_side = "right"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.eval()

    @classmethod
    def tiny(cls, texts: Iterable[str], width: int, depth: int, length: int) -> Self:
        """A small BERT with random weights, with word pieces of ``texts``; PyTorch's generator draws them."""
        tokenizer = _word_pieces(texts)
        model = BertModel(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                num_hidden_layers=depth,
                num_attention_heads=max(1, width // 64),
                intermediate_size=4 * width,
                max_position_embeddings=length,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        return cls(model, tokenizer, length)

    @classmethod
    def load(cls, folder: Path | str, length: int) -> Self:
        """Raises `UserError` if the folder holds no model with weights as safetensors, or texts may not be so long."""
        model = load_pretrained(AutoModel, folder, "TEXT_ENCODER")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"TEXT_ENCODER: {folder} holds no tokenizer ({reason})") from None
        most = getattr(model.config, "max_position_embeddings", length)
        if length > most:
            raise UserError(f"TEXT_TOKENS={length}: {folder} takes at most {most}")
        encoder = cls(model, tokenizer, length)
        try:
            with torch.inference_mode():  # other models want more than text, or count positions in another way
                encoder(*encoder.tokens(["ecg " * length]))
        except (AttributeError, IndexError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"TEXT_ENCODER: {folder} cannot encode texts of TEXT_TOKENS={length} ({reason}); name a BERT-like model"
            ) from None
        return encoder

    @property
    def width(self) -> int:
        return self.model.config.hidden_size

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token ids ``(texts, longest)`` and their mask; texts are cut to ``length`` tokens."""
        found = self.tokenizer(list(texts), padding=True, truncation=True, max_length=self.length, return_tensors="pt")
        device = next(self.parameters()).device
        return found["input_ids"].to(device), found["attention_mask"].to(device)

    def count_cut(self, texts: Sequence[str]) -> int:
        """How many texts are longer than `tokens` keeps."""
        return sum(len(ids) > self.length for ids in self.tokenizer(list(texts), verbose=False)["input_ids"])

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """``(texts, width)``"""
        rows = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.tokenizer.cls_token is not None:
            return rows[:, 0]
        return (rows * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)

    def save_pretrained(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def _word_pieces(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of lower-case words: WordPiece's training is never the same (huggingface/tokenizers#1794)."""
    pieces = Tokenizer(models.BPE())
    pieces.normalizer, pieces.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MOST_PIECES,
        special_tokens=list(_SPECIAL.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    if launch.is_main():
        pieces.train_from_iterator(sorted(set(texts)), trainer)
    pieces = Tokenizer.from_str(launch.gather(pieces.to_str())[0])
    first, last = ((_SPECIAL[name], pieces.token_to_id(_SPECIAL[name])) for name in ("cls_token", "sep_token"))
    pieces.post_processor = processors.BertProcessing(last, first)
    return PreTrainedTokenizerFast(tokenizer_object=pieces, **_SPECIAL)

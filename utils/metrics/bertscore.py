"""BERTScore (Zhang et al. 2020, arXiv 1904.09675) with a language model in a local folder.

Every token is matched with the most similar token of the other text, by the cosine of their embeddings at one layer.
As in bert-score 0.3.13, and so in published figures, special tokens have no weight but may be matched; there are no IDF
weights and no rescaling to a baseline. The package itself is not used because with transformers 5 it fails on empty
texts and puts no space before RoBERTa's first word.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer, GPT2Tokenizer, RobertaTokenizer

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.scores import Scores
from cardiolect.utils.metrics.text_metric import check_pairs
from cardiolect.utils.progress import progress

Embedded = tuple[Tensor, Tensor]  # unit vectors (tokens, hidden); bool (tokens,), False for special tokens


class BertScore:
    """Precision, recall and F1 from the encoder in ``folder`` at ``layer``; 0 is the embedding layer.

    Published scores use layer 17 of roberta-large or 9 of bert-base-uncased. Nothing is downloaded, weights must be
    safetensors, and no code in the folder is run. Raises `UserError` if the folder has no such model.
    """

    def __init__(self, folder: Path, layer: int, batch_size: int = 64, device: str = "cpu"):
        self.folder, self.layer, self.batch_size, self.device = Path(folder), layer, batch_size, device
        weights = sorted(self.folder.glob("*.safetensors"))
        if not weights:
            raise UserError(f"{folder}: no *.safetensors; BERTScore needs the local folder of a language model")
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
            self.model = AutoModel.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{folder}: not a language model that transformers can read: {str(error).splitlines()[0]}"
            ) from None
        if self.model.config.is_encoder_decoder:
            self.model = self.model.get_encoder()
        if not 0 <= layer <= self.model.config.num_hidden_layers:
            raise UserError(
                f"{folder}: layer {layer} (BERTSCORE_LAYER): must be 0 to {self.model.config.num_hidden_layers}"
            )
        self.model = self.model.to(device).eval()
        self.longest = self._longest()
        self.weights_sha256 = _hash(weights)

    def score(self, predictions: Sequence[str], references: Sequence[str]) -> Scores:
        """``bertscore_p``, ``bertscore_r`` and ``bertscore_f1`` per pair; 0 of an empty prediction.

        The note names model, layer, weights and how many texts were longer than the model reads. Bad pairs raise
        `UserError`, as in every definition of scores.
        """
        check_pairs(predictions, references)
        texts = sorted({text.strip() for text in (*predictions, *references)}, key=lambda text: (len(text), text))
        embedded, cut = self._embed(texts)
        pairs = zip(predictions, references, strict=True)
        rows = [_match(embedded[predicted.strip()], embedded[gold.strip()]) for predicted, gold in pairs]
        columns = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        note = (
            f"{self.folder.resolve().name}, layer {self.layer}, weights {self.weights_sha256[:12]}, no IDF weights, "
            "not rescaled"
        )
        if cut:
            note += f"; {cut} of {len(texts)} texts cut after {self.longest} tokens"
        names = ("bertscore_p", "bertscore_r", "bertscore_f1")
        return Scores.per_sample(dict(zip(names, columns, strict=True)), {"bertscore": note})

    @torch.inference_mode()
    def _embed(self, texts: Sequence[str]) -> tuple[dict[str, Embedded], int]:
        """The embeddings of every text, and the number of truncated texts."""
        # These tokenizers mark words by the space before them, so the first word gets one as well.
        space = " " if isinstance(self.tokenizer, GPT2Tokenizer | RobertaTokenizer) else ""
        embedded, cut = {}, 0
        starts = range(0, len(texts), self.batch_size)
        for start in progress(starts, desc="BERTScore", unit="batch", leave=False, mininterval=1):
            batch = texts[start : start + self.batch_size]
            spaced = [space + text if text else text for text in batch]
            cut += sum(len(ids) > self.longest for ids in self.tokenizer(spaced, verbose=False)["input_ids"])
            encoded = self.tokenizer(
                spaced,
                truncation=True,
                max_length=self.longest,
                padding=True,
                return_special_tokens_mask=True,
                return_tensors="pt",
            )
            special = encoded.pop("special_tokens_mask").bool()
            hidden = self.model(**encoded.to(self.device), output_hidden_states=True).hidden_states[self.layer].cpu()
            real = encoded["attention_mask"].bool().cpu()
            for row, text in enumerate(batch):
                embedded[text] = normalize(hidden[row, real[row]], dim=-1), ~special[row, real[row]]
        return embedded, cut

    def _longest(self) -> int:
        """The maximum number of tokens for tokenizer and position embeddings, including special tokens."""
        limits = [self.tokenizer.model_max_length]
        if positions := getattr(self.model.config, "max_position_embeddings", None):
            table = getattr(getattr(self.model, "embeddings", None), "position_embeddings", None)
            padding = getattr(table, "padding_idx", None)
            limits.append(
                positions - (0 if padding is None else padding + 1)
            )  # RoBERTa's positions start after the padding index
        return min(limits)


def _match(predicted: Embedded, gold: Embedded) -> tuple[float, float, float]:
    """Precision, recall and F1 of one pair."""
    if not predicted[1].any() or not gold[1].any():
        return 0.0, 0.0, 0.0
    similarity = predicted[0] @ gold[0].T
    precision = float(similarity.amax(dim=1)[predicted[1]].mean())
    recall = float(similarity.amax(dim=0)[gold[1]].mean())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def _hash(files: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as weights:
            while block := weights.read(1 << 20):
                found.update(block)
    return found.hexdigest()

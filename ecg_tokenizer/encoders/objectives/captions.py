"""A decoder that writes an ECG's report from its features, for pretraining only (CoCa, Yu et al. 2022; ESI)."""

import torch.nn.functional as F
from torch import Tensor, nn

from cardiolect.ecg_tokenizer.encoders.architectures.transformer import positions

HEAD = 64  # width of an attention head


class CaptionDecoder(nn.Module):
    """A causal transformer that attends to all tokens of an ECG. It never sees what the text encoder makes of a text:
    that one reads in both directions, and would tell the words to come.
    """

    def __init__(self, ecg_width: int, vocabulary: int, width: int, depth: int):
        super().__init__()
        self.embedding, self.features = nn.Embedding(vocabulary, width), nn.Linear(ecg_width, width)
        self.blocks = nn.ModuleList(DecoderBlock(width, max(1, width // HEAD)) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.head.weight = self.embedding.weight

    def forward(self, features: Tensor, ids: Tensor) -> Tensor:
        """features: ``(batch, tokens, width)`` of ECGs; ids: ``(batch, length)`` -> logits of each next token."""
        rows, seen = self.embedding(ids), self.features(features)
        seen = seen + positions(seen.shape[1], seen.shape[2]).to(seen)  # convolutions do not tell when
        rows = rows * rows.shape[2] ** 0.5 + positions(rows.shape[1], rows.shape[2]).to(rows)
        for block in self.blocks:
            rows = block(rows, seen)
        return self.head(self.norm(rows))

    def loss(self, features: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy of the tokens after the first, without padding, and their number."""
        logits = self(features, ids[:, :-1]).float()
        counted = mask[:, 1:].bool()
        return F.cross_entropy(logits[counted], ids[:, 1:][counted], reduction="sum"), counted.sum().float()


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to the ECG, and an MLP, each after a norm and around a shortcut."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own, self.own_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.queries, self.keys_values, self.out = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
        )
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, rows: Tensor, seen: Tensor) -> Tensor:
        own = self.own(self.norms[0](rows)).chunk(3, 2)
        rows = rows + self.own_out(self._attend(*own, causal=True))
        rows = rows + self.out(self._attend(self.queries(self.norms[1](rows)), *self.keys_values(seen).chunk(2, 2)))
        return rows + self.mlp(self.norms[2](rows))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, causal: bool = False) -> Tensor:
        q, k, v = (each.unflatten(2, (self.heads, -1)).transpose(1, 2) for each in (queries, keys, values))
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)

"""Pack several questions after one ECG in a single sequence, each as if it were the only one.

A question sees the ECG and itself, and its positions start right after the ECG, so the loss equals that of separate
sequences. Segments without a shared prefix (windows of pretraining) are packed in the same way with an empty prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from cardiolect.model.training.attention import RowGroup

PREFIX = 0  # segment number of the prefix, which every other segment sees


@dataclass(frozen=True)
class Packed:
    """One packed sequence; all lists have one entry per token.

    weights: loss weight of the token as a target, 0 if it is not supervised.
    items: ECGs that are embedded in place of the placeholders, in order.
    """

    ids: list[int]
    positions: list[int]
    segments: list[int]
    weights: list[float]
    items: tuple[np.ndarray, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)


def pack(
    prefix: Sequence[int],
    turns: Sequence[tuple[Sequence[int], Sequence[float]]],
    prefix_weights: Sequence[float] | None = None,
    items: tuple[np.ndarray, ...] = (),
) -> Packed:
    """Pack ``turns``, each ``(ids, weights)``, after ``prefix``.

    Raises ValueError if the first token of a turn is supervised: its predecessor in the row belongs to another turn.
    """
    ids, positions, segments = list(prefix), list(range(len(prefix))), [PREFIX] * len(prefix)
    weights = [float(w) for w in prefix_weights] if prefix_weights is not None else [0.0] * len(prefix)
    for number, (turn, turn_weights) in enumerate(turns, start=PREFIX + 1):
        if turn_weights[0]:
            raise ValueError("the first token of a packed turn cannot be supervised")
        ids += turn
        positions += range(len(prefix), len(prefix) + len(turn))
        segments += [number] * len(turn)
        weights += [float(w) for w in turn_weights]
    return Packed(ids, positions, segments, weights, items)


def _visible(segments: torch.Tensor) -> torch.Tensor:
    """``(..., T)`` segment numbers, negative for padding -> boolean ``(..., T, T)``: row token sees column token."""
    sees, seen = segments[..., :, None], segments[..., None, :]
    causal = torch.ones(segments.shape[-1], segments.shape[-1], dtype=torch.bool).tril()
    return ((sees == seen) | (seen == PREFIX)) & (sees >= PREFIX) & (seen >= PREFIX) & causal


def lay_out(rows: Sequence[Packed]) -> dict[str, torch.Tensor | list[RowGroup]]:
    """Lay rows end to end without padding, for models that use `attention.packed_rows_attention`.

    Returns input_ids, position_ids, loss_weights ``(1, tokens)``, row_groups and, if rows have items, ecgs. Raises
    ValueError if the first token of a row is supervised: its predecessor belongs to another row.
    """
    if any(row.weights[0] for row in rows):
        raise ValueError("the first token of a row cannot be supervised")
    rows = sorted(rows, key=len)
    groups: list[RowGroup] = []
    for length, members in groupby(rows, key=len):
        members = list(members)
        segments = torch.tensor([row.segments for row in members])
        causal = bool((segments == PREFIX).all())
        positions = torch.tensor([row.positions for row in members])
        groups.append((len(segments), length, None if causal else _visible(segments)[:, None], positions))

    def joined(name: str, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([[value for row in rows for value in getattr(row, name)]], dtype=dtype)

    return {
        "input_ids": joined("ids", torch.long),
        "position_ids": joined("positions", torch.long),
        "loss_weights": joined("weights", torch.float32),
        "row_groups": groups,
        **_embedded(rows),
    }


def collate(rows: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad rows on the right into a batch for any causal LM; `weighted_loss` brings the mask into the model's form.

    Returns input_ids, position_ids, loss_weights ``(B, T)``, the boolean attention_mask ``(B, 1, T, T)`` of layers
    without a window and, if rows have items, ecgs. Padding sees only itself, so that no row of the softmax is empty.
    """
    longest = max(map(len, rows))

    def padded(name: str, fill: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([[*getattr(row, name), *[fill] * (longest - len(row))] for row in rows], dtype=dtype)

    segments = padded("segments", -1, torch.long)
    mask = _visible(segments) | torch.eye(longest, dtype=torch.bool)
    return {
        "input_ids": padded("ids", pad_id, torch.long),
        "position_ids": padded("positions", 0, torch.long),
        "loss_weights": padded("weights", 0, torch.float32),
        "attention_mask": mask[:, None],
        **_embedded(rows),
    }


def _embedded(rows: Sequence[Packed]) -> dict[str, list[torch.Tensor]]:
    """``ecgs``, an argument of `ECGLanguageModel`, if any row has items."""
    items = [torch.from_numpy(np.array(item)) for row in rows for item in row.items]
    return {"ecgs": items} if items else {}

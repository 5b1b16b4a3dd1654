"""Several questions behind one ECG in one sequence, each as if it stood there alone.

A question sees the ECG and itself, and its positions start right behind the ECG: the loss equals that of separate
sequences. Segments without a shared prefix (windows of pretraining) pack the same way with an empty prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from cardiolect.model.training.attention import RowGroup

PREFIX = 0  # segment number of what every other segment may see


@dataclass(frozen=True)
class Packed:
    """One packed sequence; all lists have one entry per token.

    weights: loss weight of the token as a target, 0 if it is not supervised.
    items: what is embedded in place of the row's placeholders, in their order.
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
    """Pack ``turns``, each ``(ids, weights)``, behind ``prefix``.

    Raises ValueError when a turn's first token is supervised: its predecessor in the row belongs to another turn.
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
    """``(..., T)`` segment numbers, negative for padding -> boolean ``(..., T, T)``: which token sees which."""
    sees, seen = segments[..., :, None], segments[..., None, :]
    causal = torch.ones(segments.shape[-1], segments.shape[-1], dtype=torch.bool).tril()
    return ((sees == seen) | (seen == PREFIX)) & (sees >= PREFIX) & (seen >= PREFIX) & causal


def lay_out(rows: Sequence[Packed]) -> dict[str, torch.Tensor | list[RowGroup]]:
    """Rows end to end, for models under `attention.packed_rows_attention`: no padding token is computed.

    Returns input_ids, position_ids, loss_weights ``(1, tokens)``, row_groups and, if rows have items, ecgs. Raises
    ValueError when a row's first token is supervised: its predecessor belongs to another row.
    """
    if any(row.weights[0] for row in rows):
        raise ValueError("the first token of a row cannot be supervised")
    rows = sorted(rows, key=len)
    groups: list[RowGroup] = []
    for length, members in groupby(rows, key=len):
        segments = torch.tensor([row.segments for row in members])
        causal = bool((segments == PREFIX).all())
        groups.append((len(segments), length, None if causal else _visible(segments)[:, None]))

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
    """Pad on the right and build what any causal LM takes under SDPA attention.

    Returns input_ids, position_ids, loss_weights ``(B, T)``, the boolean attention_mask ``(B, 1, T, T)`` and, if rows
    have items, ecgs.
    Padding sees itself only, so that no row of the softmax is empty.
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
    """``ecgs`` as `ECGLanguageModel` takes them, if any row has some."""
    items = [torch.from_numpy(np.array(item)) for row in rows for item in row.items]
    return {"ecgs": items} if items else {}

"""Pack several questions after one ECG in a single sequence, each as if it were the only one.

A question sees the ECG and itself, and its positions start right after the ECG, so the loss equals that of separate
sequences. Segments without a shared prefix (windows of pretraining) are packed in the same way with an empty prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from cardiolect.model.llm.masks import PREFIX
from cardiolect.model.training.attention import RowGroup, row_group

PADDING = -1  # its segment number


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


def lay_out(rows: Sequence[Packed], pad_id: int | None = None) -> dict[str, torch.Tensor | list[RowGroup]]:
    """Lay rows end to end, for models that use `attention.packed_rows_attention`.

    pad_id: pad all rows to the longest, so that their attention is computed together; None: no padding.

    Returns input_ids, position_ids, loss_weights ``(1, tokens)``, row_groups and, if rows have items, ecgs. Raises
    ValueError if the first token of a row is supervised: its predecessor belongs to another row.
    """
    if any(row.weights[0] for row in rows):
        raise ValueError("the first token of a row cannot be supervised")
    if pad_id is None:
        rows = sorted(rows, key=len)
    by_length = [rows] if pad_id is not None else [list(members) for _, members in groupby(rows, key=len)]
    batches = [_padded(members, pad_id or 0) for members in by_length]
    joined = {
        name: torch.cat([batch[name].flatten() for batch in batches])[None]
        for name in ("input_ids", "position_ids", "loss_weights")
    }
    groups = [row_group(batch["segments"].numpy(), batch["position_ids"]) for batch in batches]
    return {**joined, "row_groups": groups, **_embedded(rows)}


def collate(rows: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad rows on the right into a batch for any causal LM; `weighted_loss` makes the mask, on the device.

    Returns input_ids, position_ids, loss_weights and segments ``(B, T)`` and, if rows have items, ecgs.
    """
    return {**_padded(rows, pad_id), **_embedded(rows)}


def _padded(rows: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    longest = max(map(len, rows))

    def padded(name: str, fill: int, dtype: type) -> torch.Tensor:
        values = np.full((len(rows), longest), fill, dtype)
        for each, row in zip(values, rows, strict=True):
            each[: len(row)] = getattr(row, name)
        return torch.from_numpy(values)

    return {
        "input_ids": padded("ids", pad_id, np.int64),
        "position_ids": padded("positions", 0, np.int64),
        "loss_weights": padded("weights", 0, np.float32),
        "segments": padded("segments", PADDING, np.int16),
    }


def _embedded(rows: Sequence[Packed]) -> dict[str, list[torch.Tensor]]:
    """``ecgs``, an argument of `ECGLanguageModel`, if any row has items."""
    items = [torch.from_numpy(np.array(item)) for row in rows for item in row.items]
    return {"ecgs": items} if items else {}

"""Several questions behind one ECG in one sequence, each as if it stood there alone.

A question sees the ECG and itself, and its positions start right behind the ECG: the loss equals that of separate
sequences. Segments without a shared prefix (windows of pretraining) pack the same way with an empty prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

PREFIX = 0  # segment number of what every other segment may see


@dataclass(frozen=True)
class Packed:
    """One packed sequence; all lists have one entry per token.

    weights: loss weight of the token as a target, 0 where it is not supervised.
    """

    ids: list[int]
    positions: list[int]
    segments: list[int]
    weights: list[float]

    def __len__(self) -> int:
        return len(self.ids)


def pack(
    prefix: Sequence[int],
    turns: Sequence[tuple[Sequence[int], Sequence[float]]],
    prefix_weights: Sequence[float] | None = None,
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
    return Packed(ids, positions, segments, weights)


def collate(rows: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    """Pad on the right and build what a stock causal LM takes under SDPA attention.

    Returns input_ids, position_ids ``(B, T)``, loss_weights ``(B, T)`` and the boolean attention_mask ``(B, 1, T, T)``.
    Padding sees itself only, so that no row of the softmax is empty.
    """
    longest = max(map(len, rows))

    def padded(name: str, fill: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([[*getattr(row, name), *[fill] * (longest - len(row))] for row in rows], dtype=dtype)

    segments = padded("segments", -1, torch.long)
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    same = segments[:, :, None] == segments[:, None, :]
    shared = (segments[:, None, :] == PREFIX) & (segments[:, :, None] >= PREFIX)
    real = (segments >= PREFIX)[:, None, :]
    mask = ((same | shared) & real & causal) | torch.eye(longest, dtype=torch.bool)
    return {
        "input_ids": padded("ids", pad_id, torch.long),
        "position_ids": padded("positions", 0, torch.long),
        "loss_weights": padded("weights", 0, torch.float32),
        "attention_mask": mask[:, None],
    }

"""Contrastive losses over all ranks, with false negatives left out, and how well pairs are found again."""

from collections.abc import Sequence
from math import comb

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from cardiolect.utils import launch


class _Gather(torch.autograd.Function):
    """Rows of all ranks, with their gradients brought back to the rank that they come from."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(launch.world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(launch.world_size())[launch.rank()]


def gather_rows(rows: Tensor) -> Tensor:
    """The rows of all ranks, equally many of each, one rank after another."""
    return rows if launch.world_size() == 1 else _Gather.apply(rows)


def false_negatives(groups: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, Tensor]:
    """bool ``(own rows, all rows)``: another row with an equal number in any of ``groups``; and the place of each row.

    groups: one number for each of this rank's rows, such as its patient or its text.
    """
    own = [torch.from_numpy(np.asarray(numbers, dtype=np.int64)).to(device) for numbers in groups]
    equal = torch.stack([mine[:, None] == gather_rows(mine)[None] for mine in own]).any(0)
    places = launch.rank() * len(equal) + torch.arange(len(equal), device=device)
    equal[torch.arange(len(equal)), places] = False
    return equal, places


def info_nce(one: Tensor, other: Tensor, factor: Tensor, excluded: Tensor, places: Tensor) -> Tensor:
    """Symmetric InfoNCE of unit vectors ``(rows, width)``, the mean over this rank's rows (van den Oord et al. 2018).

    Each row is told from all rows of all ranks, except ``excluded`` ones.
    """
    losses = []
    for rows, against in ((one, other), (other, one)):
        logits = _cosines(rows, gather_rows(against)) * factor
        losses.append(F.cross_entropy(logits.masked_fill(excluded, float("-inf")), places))
    return (losses[0] + losses[1]) / 2


def _cosines(rows: Tensor, columns: Tensor) -> Tensor:
    """In float32 under autocast too: bfloat16 would make near ones equal."""
    with torch.autocast(rows.device.type, enabled=False):
        return rows.float() @ columns.float().T


def sigmoid_loss(ecg: Tensor, text: Tensor, factor: Tensor, bias: Tensor, excluded: Tensor, places: Tensor) -> Tensor:
    """SigLIP's loss (Zhai et al. 2023, arXiv 2303.15343): every pair of an ECG and a text belongs together or not."""
    logits = _cosines(ecg, gather_rows(text)) * factor + bias
    together = torch.zeros_like(logits)
    together[torch.arange(len(logits)), places] = 1
    losses = F.binary_cross_entropy_with_logits(logits, together, reduction="none")
    return losses.masked_fill(excluded, 0.0).sum(1).mean()


def ranks_of(similarities: np.ndarray, same: np.ndarray) -> np.ndarray:
    """The rank of the best right column of each row, from 1, as `retrieval` counts."""
    best = np.where(same, similarities, -np.inf).max(1, keepdims=True)
    return 1 + ((similarities >= best) & ~same).sum(1)


def retrieval(similarities: np.ndarray, same: np.ndarray, cuts: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """How well rows find their columns: recall among the first ``cuts``, its chance level, and mean reciprocal rank.

    Also the recall among the first if all rows were alike and took the commonest right column (``constant_1``).
    same: bool ``(rows, columns)``, which columns are right for a row, one at least. Wrong columns that are as similar
    as the best right one come before it.
    """
    ranks = ranks_of(similarities, same)
    columns, right = same.shape[1], same.sum(1)
    found = {"mrr": float((1 / ranks).mean())}
    for cut in (cut for cut in cuts if cut <= columns):
        found[f"recall_{cut}"] = float((ranks <= cut).mean())
        found[f"chance_{cut}"] = float(np.mean([1 - comb(columns - int(k), cut) / comb(columns, cut) for k in right]))
    found["constant_1"] = float(same.mean(0).max())
    return found

"""Projectors from the rows of an ECG representation to the embedding space of a language model."""

from typing import Literal

from torch import nn

ProjectorKind = Literal["linear", "mlp"]


def build_projector(kind: ProjectorKind, columns: int, width: int) -> nn.Module:
    """``(tokens, columns)`` -> ``(tokens, width)``: one linear layer, or two with a GELU in between (LLaVA 1.5)."""
    if kind == "linear":
        return nn.Linear(columns, width)
    return nn.Sequential(nn.Linear(columns, width), nn.GELU(), nn.Linear(width, width))

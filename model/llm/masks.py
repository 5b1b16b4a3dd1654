"""Attention masks in the form that a language model takes, by kind of layer."""

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from cardiolect.model.llm.ecg_language_model import LanguageModel

PREFIX = 0  # segment number of what every other segment of a row sees


def visible(sees: Tensor, queries: Tensor, seen: Tensor, keys: Tensor) -> Tensor:
    """Boolean ``(rows, queries, keys)``: which keys a token of a packed row sees, without a window.

    sees, seen: segment numbers of queries and keys, ``(rows, queries)`` and ``(rows, keys)``; padding has a number of
    its own. queries, keys: their places in the row.
    """
    own = sees[:, :, None] == seen[:, None]
    return own.logical_or_((seen == PREFIX)[:, None]).logical_and_(keys[:, None] <= queries[:, :, None])


def sliding_window(config: PreTrainedConfig) -> int | None:
    """How many tokens sliding layers see, the token itself included; None if all layers see all earlier tokens."""
    text = config.get_text_config()
    kinds = getattr(text, "layer_types", None)
    if kinds and "sliding_attention" not in kinds:
        return None  # some configurations have a window that no layer uses
    return getattr(text, "sliding_window", None) or None


def masks_for(model: LanguageModel, visible: Tensor, queries: Tensor, keys: Tensor) -> Tensor | dict[str, Tensor]:
    """The ``attention_mask`` argument of ``model``: one mask, or one per kind of layer if their masks differ.

    visible: boolean ``(rows, queries, keys)``, the keys that a layer without a window sees; each query sees at least
    one. queries, keys: their positions, ``(rows, queries)`` and ``(rows, keys)``. Positions and not rows count in a
    window, so that packed questions see what each would see alone.
    """
    text = model.config.get_text_config()

    def shaped(mask: Tensor) -> Tensor:
        mask = mask[:, None]
        if text._attn_implementation != "eager":
            return mask
        return added(mask, model.dtype)

    window = sliding_window(text)
    if window is None or queries.max() - keys.min() < window:
        return shaped(visible)
    near = shaped(visible & within(window, queries, keys))
    if set(getattr(text, "layer_types", None) or ()) <= {"sliding_attention"}:
        return near
    return {"full_attention": shaped(visible), "sliding_attention": near}


def added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A boolean mask as numbers to be added to attention scores."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, torch.finfo(dtype).min)


def within(window: int, queries: Tensor, keys: Tensor) -> Tensor:
    """Boolean ``(rows, queries, keys)``: the key is less than ``window`` positions before the query."""
    return queries[:, :, None] < keys[:, None] + window

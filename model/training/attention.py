"""Attention over rows laid end to end in one sequence, so that no layer of the language model computes padding.

Each row attends only to itself, and rows of equal length share calls of PyTorch's scaled_dot_product_attention: one
for the prefix that all rows have, by the fused causal kernel and without a mask, and one for every few hundred tokens
after it, whose keys are the prefix and their own questions. Layers with a sliding window that is shorter than the rows
add it as a mask. On a CPU in bf16, where the fused kernel takes 2.5 times as long, scores of moderate size are computed
by matrix products instead.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

from cardiolect.model.llm.masks import PREFIX, added, visible, within
from cardiolect.model.llm.supported import any_differ, logits, small_window, some_tokens

NAME = "packed_rows"
TOKENS_PER_PART = 256
MOST_SCORES = 2**23  # of a call that keeps them for the gradients: 16 MB in bf16

# Queries start to stop of rows of equal length, and what they attend to: keys before `shared`, and from `first` on
# those before `stop`. The mask is (rows, 1, queries, keys), boolean or to be added to scores, or None for causal
# attention from token 0 on.
Part = tuple[int, int, int, int, Tensor | None]
# Adjacent rows of equal length: (rows, tokens per row, tokens that are prefix in all of them, segments, positions,
# parts); segments and positions are (rows, tokens), segments None if the rows are nothing but prefix.
RowGroup = tuple[int, int, int, Tensor | None, Tensor, list[Part]]


def row_group(segments: np.ndarray, positions: Tensor) -> RowGroup:
    """The group of rows with these segment numbers ``(rows, tokens)``; `add_masks` makes the masks, on the device."""
    rows, tokens = segments.shape
    after = segments != PREFIX
    prefixes = np.where(after.any(axis=1), after.argmax(axis=1), tokens)
    causal, shared = int(prefixes.min()), int(prefixes.max())
    parts: list[Part] = [(0, causal, causal, causal, None)] if causal else []
    begins = np.ones_like(after)  # of runs of one segment
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    run = np.maximum.accumulate(np.where(begins, np.arange(tokens), 0), axis=1)
    for start in range(causal, tokens, TOKENS_PER_PART):
        stop = min(start + TOKENS_PER_PART, tokens)
        first = int(np.where(segments[:, start] == PREFIX, shared, run[:, start]).min())
        parts.append((start, stop, min(shared, stop), min(max(first, shared), stop), None))
    kept = None if causal == tokens else torch.from_numpy(segments.astype(np.int16))
    return rows, tokens, causal, kept, positions, parts


def add_masks(groups: Sequence[RowGroup], dtype: torch.dtype) -> list[RowGroup]:
    """The groups with the masks of their parts, for a model of ``dtype``, on the device of the groups' segments."""
    found = []
    for rows, tokens, causal, segments, positions, parts in groups:
        parts = [part if part[0] < causal else _masked(segments, part, causal, dtype) for part in parts]
        found.append((rows, tokens, causal, segments, positions, parts))
    return found


def _masked(segments: Tensor, part: Part, causal: int, dtype: torch.dtype) -> Part:
    """causal: so many keys are prefix in all rows."""
    start, stop, shared, first, _ = part
    numbers = torch.arange(segments.shape[1], device=segments.device)[None]
    seen, keys = (_keys(x, 1, shared, first, stop)[:, causal:] for x in (segments, numbers))
    mask = segments.new_ones(len(segments), 1, stop - start, causal + seen.shape[1], dtype=torch.bool)
    mask[:, 0, :, causal:] = visible(segments[:, start:stop], numbers[:, start:stop], seen, keys)
    return start, stop, shared, first, added(mask, dtype) if _by_products(mask, dtype) else mask


def _by_products(x: Tensor, dtype: torch.dtype) -> bool:
    return x.device.type == "cpu" and dtype == torch.bfloat16


def _keys(x: Tensor, axis: int, shared: int, first: int, stop: int) -> Tensor:
    """The entries of ``x`` before `shared`, and from `first` on those before `stop`."""
    if first == shared:
        return x.narrow(axis, 0, stop)
    return torch.cat([x.narrow(axis, 0, shared), x.narrow(axis, first, stop - first)], axis)


def packed_rows_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    row_groups: list[RowGroup] | None = None,
    sliding_window: int | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """Called by transformers with query, key, value ``(1, heads, tokens, head_dim)``.

    Returns the attended values ``(1, tokens, heads, head_dim)``.
    """
    outputs, begin = [], 0
    for rows, tokens, _, _, positions, parts in row_groups:
        span = slice(begin, begin + rows * tokens)
        queries, keys, values = (
            x[0, :, span].unflatten(1, (rows, tokens)).transpose(0, 1) for x in (query, key, value)
        )
        of_parts = []
        for start, stop, *which, mask in parts:
            if sliding_window and tokens > sliding_window:
                mask = _near(mask, positions[:, start:stop], _keys(positions, 1, *which, stop), sliding_window)
            k, v = (_keys(x, 2, *which, stop) for x in (keys, values))
            of_parts.append(_attended(module, queries[:, :, start:stop], k, v, mask, **kwargs))
        outputs.append(torch.cat(of_parts, 1).flatten(0, 1))
        begin = span.stop
    return torch.cat(outputs)[None], None


def _attended(module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs):
    """Values ``(rows, queries, heads, head_dim)``. query, key, value: ``(rows, heads, tokens, head_dim)``."""
    scores = query.shape[:3].numel() * key.shape[2]
    if not _by_products(query, query.dtype) or scores > MOST_SCORES or kwargs.get("dropout"):
        return sdpa_attention_forward(module, query, key, value, mask, **kwargs)[0]
    key, value = (repeat_kv(x, getattr(module, "num_key_value_groups", 1)) for x in (key, value))
    if mask is None:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril_()
    if mask.dtype == torch.bool:
        mask = added(mask, query.dtype)
    scale = kwargs.get("scaling") or query.shape[-1] ** -0.5
    weights = torch.softmax((query * scale) @ key.transpose(-1, -2) + mask, -1)
    return (weights @ value).transpose(1, 2)


def _near(mask: Tensor | None, queries: Tensor, keys: Tensor, window: int) -> Tensor:
    """The part of ``mask`` (None: causal) within a window, ``(rows, 1, queries, keys)``."""
    near = within(window, queries, keys)[:, None]
    if mask is None:
        return near.tril()
    return near & mask if mask.dtype == torch.bool else mask.masked_fill(~near, torch.finfo(mask.dtype).min)


AttentionInterface.register(NAME, packed_rows_attention)


@torch.no_grad()
def supports_rows(model: PreTrainedModel) -> bool:
    """Whether rows laid end to end get the logits that each gets alone, also if they are longer than a window.

    Tried on a few tokens: some models only claim to pass extra arguments to their attention.
    """
    if not model._supports_attention_backend or model.config.get_text_config()._attn_implementation != "sdpa":
        return False
    rows, training = some_tokens(model, 9, 14), model.training
    positions = [torch.arange(len(row), device=model.device) for row in rows]
    groups = [row_group(np.zeros((1, len(row)), int), each[None]) for row, each in zip(rows, positions, strict=True)]
    model.eval()
    try:
        with small_window(model):
            alone = [logits(model, row) for row in rows]
            model.set_attn_implementation(NAME)
            laid_out = logits(model, torch.cat(rows), position_ids=torch.cat(positions)[None], row_groups=groups)
            return not any_differ(model, laid_out.split([len(row) for row in rows]), alone)
    except (TypeError, ValueError):
        return False
    finally:
        model.set_attn_implementation("sdpa")
        model.train(training)

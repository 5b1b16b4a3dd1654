"""Attention over rows laid end to end in one sequence, so that no layer of the language model computes padding.

Each row attends only to itself, and rows of equal length share one call of PyTorch's scaled_dot_product_attention.
Causal rows need no mask and use the fused causal kernel, unless they are longer than a layer's sliding window.
"""

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from cardiolect.model.llm.masks import within
from cardiolect.model.llm.supported import any_differ, logits, small_window, some_tokens

NAME = "packed_rows"

# Adjacent rows of equal length: (rows, tokens per row, mask, positions). The mask of layers without a window is boolean
# (rows, 1, tokens, tokens), or None for causal attention; positions are (rows, tokens).
RowGroup = tuple[int, int, Tensor | None, Tensor]


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
    outputs, start = [], 0
    for rows, tokens, mask, positions in row_groups:
        span = slice(start, start + rows * tokens)
        if sliding_window and tokens > sliding_window:
            mask = _near(mask, positions, sliding_window)
        by_row = [x[0, :, span].unflatten(1, (rows, tokens)).transpose(0, 1) for x in (query, key, value)]
        attended, _ = sdpa_attention_forward(module, *by_row, mask, **kwargs)
        outputs.append(attended.flatten(0, 1))
        start = span.stop
    return torch.cat(outputs)[None], None


def _near(mask: Tensor | None, positions: Tensor, window: int) -> Tensor:
    """The part of ``mask`` (None: causal) within a window, boolean ``(rows, 1, tokens, tokens)``."""
    near = within(window, positions, positions)[:, None]
    return near.tril() if mask is None else near & mask


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
    groups = [(1, len(row), None, each[None]) for row, each in zip(rows, positions, strict=True)]
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

"""Attention over rows laid end to end in one sequence, so that no layer of the language model computes padding.

Each row attends only to itself, and rows of equal length share one call of PyTorch's scaled_dot_product_attention.
Causal rows need no mask and use the fused causal kernel.
"""

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "packed_rows"

# Adjacent rows of equal length: (rows, tokens per row, mask), the mask boolean (rows, 1, tokens, tokens) or None for
# causal attention.
RowGroup = tuple[int, int, Tensor | None]


def packed_rows_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    row_groups: list[RowGroup] | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    """Called by transformers with query, key, value ``(1, heads, tokens, head_dim)``.

    Returns the attended values ``(1, tokens, heads, head_dim)``.
    """
    outputs, start = [], 0
    for rows, tokens, mask in row_groups:
        span = slice(start, start + rows * tokens)
        by_row = [x[0, :, span].unflatten(1, (rows, tokens)).transpose(0, 1) for x in (query, key, value)]
        attended, _ = sdpa_attention_forward(module, *by_row, mask, **kwargs)
        outputs.append(attended.flatten(0, 1))
        start = span.stop
    return torch.cat(outputs)[None], None


AttentionInterface.register(NAME, packed_rows_attention)


@torch.no_grad()
def supports_rows(model: PreTrainedModel) -> bool:
    """Whether the model passes extra arguments to its attention. Tested on one token: some models only claim to."""
    if not model._supports_attention_backend:
        return False
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    try:
        token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        model(input_ids=token, position_ids=token, row_groups=[(1, 1, None)], use_cache=False)
    except TypeError:
        return False
    finally:
        model.set_attn_implementation(before)
    return True

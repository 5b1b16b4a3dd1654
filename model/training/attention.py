"""Attention over rows laid end to end in one sequence: every layer of the language model sees real tokens only.

Padding costs all layers; here each row attends to itself, and rows of equal length share one call of PyTorch's
scaled_dot_product_attention. A causal row without a mask takes the fused causal kernel.
"""

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "packed_rows"

# Rows of one length that stand beside each other: (rows, tokens per row, what may see what or None for causal);
# the mask is boolean (rows, 1, tokens, tokens).
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
    """What transformers calls: ``(1, heads, tokens, head_dim)`` three times -> ``(1, tokens, heads, head_dim)``."""
    outputs, start = [], 0
    for rows, tokens, mask in row_groups:
        span = slice(start, start + rows * tokens)
        apart = [x[0, :, span].unflatten(1, (rows, tokens)).transpose(0, 1) for x in (query, key, value)]
        attended, _ = sdpa_attention_forward(module, *apart, mask, **kwargs)
        outputs.append(attended.flatten(0, 1))
        start = span.stop
    return torch.cat(outputs)[None], None


AttentionInterface.register(NAME, packed_rows_attention)


@torch.no_grad()
def supports_rows(model: PreTrainedModel) -> bool:
    """Whether the model hands unknown arguments on to its attention. Tried on one token: not all that say so do."""
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

"""Training objectives: the weighted next-token loss, and HeartLLM's multi-scale forecasting windows."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import extract_model_from_parallel

from cardiolect.model.llm.masks import masks_for
from cardiolect.model.prompt.vocabulary import Vocabulary

# HeartLLM (arXiv 2508.15338) forecasts the next few codes from contexts of five lengths. Shares of groups / 2**scale:
# 283 and 30 of HeartLLM's 313 frames.
SCALES = 5
CONTEXT_SHARE, HORIZON_SHARE = 0.905, 0.096


def weighted_loss(
    model: torch.nn.Module, head: torch.nn.Module, batch: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of weighted next-token cross entropies of a packed batch, and the sum of the weights.

    The head is applied only to positions whose next token is supervised: most of a row is ECG and question, and logits
    over a large vocabulary would cost more than the rest of a small model.
    """
    batch = dict(batch)
    weights = batch.pop("loss_weights")[:, 1:]
    chosen = weights > 0
    before = F.pad(chosen, (0, 1))
    if "attention_mask" in batch:
        stock, positions = extract_model_from_parallel(model), batch["position_ids"]
        batch["attention_mask"] = masks_for(stock, batch["attention_mask"][:, 0], positions, positions)
    hook = head.register_forward_pre_hook(lambda _, arguments: (arguments[0][before],))
    try:
        # With a cache, position_ids alone would let packed questions see each other.
        logits = model(**batch, use_cache=False).logits
    finally:
        hook.remove()
    losses = F.cross_entropy(logits.float(), batch["input_ids"][:, 1:][chosen], reduction="none")
    return (losses * weights[chosen]).sum(), weights.sum()


def window_sizes(groups: int) -> list[tuple[int, int]]:
    """``(context, horizon)`` of each scale, in groups; scales too short for one group of each are left out."""
    sizes = []
    for scale in range(SCALES):
        horizon = max(1, round(HORIZON_SHARE * groups / 2**scale))
        context = min(round(CONTEXT_SHARE * groups / 2**scale), groups - horizon)
        if context >= 1:
            sizes.append((context, horizon))
    return sizes


def windows_length(vocabulary: Vocabulary, codes: int, group: int = 1) -> tuple[int, int]:
    """Tokens of all windows that `draw_windows` takes from an ECG of so many codes, and of the longest; 0 if none."""
    markers = 3 + (vocabulary.tokenizer.bos_token_id is not None)
    lengths = [(context + horizon) * group + markers for context, horizon in window_sizes(codes // group)]
    return sum(lengths), max(lengths, default=0)


def draw_windows(
    vocabulary: Vocabulary, codes: np.ndarray, rng: np.random.Generator, group: int = 1
) -> list[tuple[list[int], Sequence[float]]]:
    """One random window of whole groups per scale, as ``(ids, weights)``; only the horizon is supervised.

    group: number of codes that belong together: those of a frame, or a coarse code and those of its frames. An
    incomplete group at the end is dropped.
    """
    bos = vocabulary.tokenizer.bos_token_id
    before = [*([] if bos is None else [bos]), vocabulary.start_id]
    after = [vocabulary.end_id, vocabulary.tokenizer.eos_token_id]
    windows = []
    groups = codes[: len(codes) // group * group].reshape(-1, group)
    for context, horizon in window_sizes(len(groups)):
        start = horizon * int(rng.integers(0, (len(groups) - context - horizon) // horizon + 1))
        inside = vocabulary.code_ids(groups[start : start + context + horizon].ravel())
        weights = [0.0] * (len(before) + context * group) + [1.0] * horizon * group
        weights += [0.0] * len(after)
        windows.append(([*before, *inside, *after], weights))
    return windows

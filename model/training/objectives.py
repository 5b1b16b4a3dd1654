"""Training objectives: the weighted next-token loss, and HeartLLM's multi-scale forecasting windows."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import extract_model_from_parallel
from torch.utils.checkpoint import checkpoint

from cardiolect.model.llm.ecg_language_model import LanguageModel
from cardiolect.model.llm.masks import masks_for, visible
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.attention import add_masks

# HeartLLM (arXiv 2508.15338) forecasts the next few codes from contexts of five lengths. Shares of groups / 2**scale:
# 283 and 30 of HeartLLM's 313 frames.
SCALES = 5
CONTEXT_SHARE, HORIZON_SHARE = 0.905, 0.096
CHUNK = 2**27  # logits that the head computes at once: 0.5 GB in fp32


@torch.no_grad()
def positions_per_chunk(model: torch.nn.Module) -> int | None:
    """Positions for which the head of ``model`` computes logits at once; None if they cannot be divided.

    That is so if the model changes what its head computes, by a scale or a soft cap.
    """
    head, computed, training = model.get_output_embeddings(), [], model.training
    hook = head.register_forward_hook(lambda _, __, output: computed.append(output))
    try:
        two = torch.arange(2, device=head.weight.device)[None]
        logits = model.eval()(input_ids=two, use_cache=False).logits
    finally:
        hook.remove()
        model.train(training)
    return max(1, CHUNK // head.weight.shape[0]) if logits is computed[-1] else None


def weighted_loss(
    model: torch.nn.Module, head: torch.nn.Module, batch: dict[str, torch.Tensor], chunk: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of weighted next-token cross entropies of a packed batch, and the sum of the weights.

    The head is applied only to positions whose next token is supervised: most of a row is ECG and question, and logits
    over a large vocabulary would cost more than the rest of a small model. chunk: at most so many positions at once,
    see `positions_per_chunk`; logits are computed again for the gradients, so that those of one chunk are in memory.
    """
    batch = dict(batch)
    weights = batch.pop("loss_weights")[:, 1:]
    chosen = weights > 0
    before = F.pad(chosen, (0, 1))
    batch |= attention_arguments(extract_model_from_parallel(model), batch.pop("segments", None), batch)
    targets = batch["input_ids"][:, 1:][chosen]
    chunk = chunk or max(1, len(targets))
    chunks: list[torch.Tensor] = []

    def first_chunk(_, arguments):
        chunks.extend(arguments[0][before].split(chunk))
        return (chunks[0],)

    hook = head.register_forward_pre_hook(first_chunk)
    try:
        # With a cache, position_ids alone would let packed questions see each other.
        logits = model(**batch, use_cache=False).logits
    finally:
        hook.remove()
    first, *others = targets.split(chunk)
    losses = [F.cross_entropy(logits.float(), first, reduction="none")]
    for hidden, wanted in zip(chunks[1:], others, strict=True):
        losses.append(checkpoint(_losses, head, hidden, wanted, use_reentrant=False))
    return (torch.cat(losses) * weights[chosen]).sum(), weights.sum()


def attention_arguments(model: LanguageModel, segments: torch.Tensor | None, batch: dict) -> dict:
    """What says which tokens see which, made on the device: a mask from segments, or those of groups of rows.

    {} for a batch without either, whose rows are texts of equal length.
    """
    if segments is None:
        return {"row_groups": add_masks(batch["row_groups"])} if "row_groups" in batch else {}
    places, positions = torch.arange(segments.shape[1], device=segments.device)[None], batch["position_ids"]
    return {"attention_mask": masks_for(model, visible(segments, places, segments, places), positions, positions)}


def _losses(head: torch.nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(head(hidden).float(), targets, reduction="none")


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

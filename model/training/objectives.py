"""Training objectives: the weighted next-token loss, and HeartLLM's multi-scale forecasting windows."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import extract_model_from_parallel
from torch import Tensor

from cardiolect.model.llm.ecg_language_model import LanguageModel
from cardiolect.model.llm.masks import masks_for, visible
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.attention import add_masks

# HeartLLM (arXiv 2508.15338) forecasts the next few codes from contexts of five lengths. Shares of groups / 2**scale:
# 283 and 30 of HeartLLM's 313 frames.
SCALES = 5
CONTEXT_SHARE, HORIZON_SHARE = 0.905, 0.096
# Logits that the head computes at once: 0.5 GB in fp32 on a GPU, and on a CPU what stays in its cache.
CHUNK = {"cuda": 2**27, "cpu": 2**20}
FEWEST = 256  # positions at once, for which a large head is still multiplied at full speed
SUMMED_IN_FP16 = 1024  # so many positions' gradients, at most of the size of their hidden states, do not overflow


@torch.no_grad()
def positions_per_chunk(model: torch.nn.Module, device: torch.device) -> int | None:
    """Positions for which the head of ``model`` computes logits at once on ``device``; None if they cannot be divided.

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
    if logits is not computed[-1]:
        return None
    size = CHUNK.get(device.type, CHUNK["cuda"])
    return max(FEWEST, size // head.weight.shape[0])


def weighted_loss(
    model: torch.nn.Module, head: torch.nn.Module, batch: dict[str, Tensor], chunk: int | None = None
) -> tuple[Tensor, Tensor]:
    """Sum of weighted next-token cross entropies of a packed batch, and the sum of the weights.

    The head is applied only to positions whose next token is supervised: most of a row is ECG and question, and logits
    over a large vocabulary would cost more than the rest of a small model. chunk: at most so many positions at once,
    see `positions_per_chunk`.
    """
    batch = dict(batch)
    weights = batch.pop("loss_weights")[:, 1:].float()  # Trainer casts them to the precision of the model
    chosen = weights > 0
    before = F.pad(chosen, (0, 1))
    batch |= attention_arguments(extract_model_from_parallel(model), batch.pop("segments", None), batch)
    targets, chosen_weights = batch["input_ids"][:, 1:][chosen], weights[chosen]
    kept: list[Tensor] = []

    def keep(_, arguments):
        kept.append(arguments[0][before])
        # Of chunks, the model's own call only shows which parameters the head has.
        return (kept[0][:1].detach(),) if chunk else (kept[0],)

    hook = head.register_forward_pre_hook(keep)
    try:
        # With a cache, position_ids alone would let packed questions see each other.
        logits = model(**batch, use_cache=False).logits
    finally:
        hook.remove()
    if chunk:
        loss = _LossInChunks.apply(head, chunk, kept[0], targets, chosen_weights, *_trained(logits))
    else:
        loss = _loss(logits, targets, chosen_weights)
    return loss, weights.sum()


class _LossInChunks(torch.autograd.Function):
    """The loss of `weighted_loss`, with the head in chunks whose gradients are computed at once.

    Logits of one chunk are in memory, and none are computed twice (Hsu et al. 2024, arXiv 2410.10989). Gradients stay
    in float32 until the scale of the loss is known, which keeps them within the range of fp16. Tensor hooks on the
    head's parameters also see the gradient of every chunk.
    """

    @staticmethod
    def forward(
        ctx, head: torch.nn.Module, chunk: int, hidden: Tensor, targets: Tensor, weights: Tensor, *parameters: Tensor
    ) -> Tensor:
        learns = ctx.needs_input_grad[2]
        trained = learns or bool(parameters)
        total, of_hidden = weights.new_zeros(()), torch.zeros_like(hidden, dtype=torch.float32)
        of_parameters = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in parameters]
        for first in range(0, max(1, len(hidden)), chunk):
            some = slice(first, first + chunk)
            part = hidden[some].detach().requires_grad_(learns)
            factor = 1 / max(1, len(part) // SUMMED_IN_FP16)
            with torch.set_grad_enabled(trained):
                loss = _loss(head(part), targets[some], weights[some] * factor)
            total += loss.detach() / factor
            if not trained:
                continue
            gradients = list(torch.autograd.grad(loss, [part, *parameters] if learns else parameters))
            if learns:
                of_hidden[some] = gradients.pop(0).float() / factor
            for ours, gradient in zip(of_parameters, gradients, strict=True):
                ours.add_(gradient, alpha=1 / factor)
        ctx.save_for_backward(of_hidden, *of_parameters)
        ctx.dtypes = [hidden.dtype, *(parameter.dtype for parameter in parameters)]
        return total

    @staticmethod
    def backward(ctx, scale: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, *of_parameters = (
            (gradient * scale).to(dtype) for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return None, None, of_hidden, None, None, *of_parameters


def _loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return (F.cross_entropy(logits.float(), targets, reduction="none") * weights).sum()


def _trained(output: Tensor) -> Iterator[Tensor]:
    """The parameters that ``output`` was computed from, if it has a gradient."""
    seen, left = {None}, [output.grad_fn]
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            if hasattr(node, "variable"):
                yield node.variable
            left += [following for following, _ in node.next_functions]


def attention_arguments(model: LanguageModel, segments: Tensor | None, batch: dict) -> dict:
    """What says which tokens see which, made on the device: a mask from segments, or those of groups of rows.

    {} for a batch without either, whose rows are texts of equal length.
    """
    if segments is None:
        return {"row_groups": add_masks(batch["row_groups"], model.dtype)} if "row_groups" in batch else {}
    places, positions = torch.arange(segments.shape[1], device=segments.device)[None], batch["position_ids"]
    return {"attention_mask": masks_for(model, visible(segments, places, segments, places), positions, positions)}


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

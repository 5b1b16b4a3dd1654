"""Which language models answer packed questions as if each were asked alone: those that do so when tried.

Known reasons are looked up in the configuration. Everything else is tried on a few tokens, with a window that is made
small for the purpose, so that a new family needs no entry here. docs/MODELS.md has the families that were tried.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from cardiolect.model.llm.masks import masks_for, sliding_window, visible

PREFIX, FIRST, SECOND = 12, 20, 8  # tokens of the ECG and of two questions
SMALL_WINDOW = 6
KINDS = {
    "chunked_attention": "chunked attention: tokens see their chunk, which is counted by rows",
    "conv": "convolutions, which mix neighbouring tokens of a row",
    "linear_attention": "linear attention or state-space layers, which keep a state",
    "hybrid": "layers that keep a state",
    "hybrid_sliding": "layers that keep a state",
    "indexed_attention": "sparse attention that chooses its tokens",
    "compressed_sparse_attention": "sparse attention over compressed tokens",
    "heavily_compressed_attention": "sparse attention over compressed tokens",
}


def unsupported(model: PreTrainedModel) -> str | None:
    """Why packed questions would not be answered as if each were asked alone, for a message; None if they are."""
    # LLM.int8 chooses its outlier columns over all tokens of a batch, which hides small differences.
    return _known_reason(model) or (None if getattr(model, "is_loaded_in_8bit", False) else _tried_reason(model))


def _known_reason(model: PreTrainedModel) -> str | None:
    text = model.config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    if others := kinds - {"full_attention", "sliding_attention"}:
        return "it has " + " and ".join(sorted({KINDS.get(kind, f"layers of kind {kind}") for kind in others}))
    if getattr(model, "_is_stateful", False) and not kinds:
        return "it has layers that keep a state"
    if getattr(text, "alibi", False) or model.config.model_type in ("bloom", "mpt"):
        return "it has ALiBi, which counts distances by rows"
    if getattr(text, "index_topk", None):
        return "it has " + KINDS["indexed_attention"]
    if "local" in (getattr(text, "attention_layers", None) or ()):
        return "it has local attention, whose window is counted by rows"
    if getattr(text, "hidden_size_per_layer_input", None):
        return "it has an embedding in every layer, without rows for ECG tokens"
    return None


@torch.no_grad()
def _tried_reason(model: PreTrainedModel) -> str | None:
    prefix, first, second, other = some_tokens(model, PREFIX, FIRST, SECOND, FIRST)
    try:
        alone = [logits(model, torch.cat([prefix, turn])) for turn in (first, second, other)]
        if not all(each.isfinite().all() for each in alone):
            return "its weights or what it computes with them are not all finite numbers"
        if _differ(model, alone[0][:PREFIX], alone[2][:PREFIX], same_shape=True):
            return "it is not causal: tokens see later ones"
        packed = _packed(model, prefix, first, second)
        if _differ(model, _packed(model, prefix, other, second)[1], packed[1], same_shape=True):
            return "packed questions see each other, because it does not use a mask per token"
        if any_differ(model, packed, [each[PREFIX:] for each in alone[:2]]):
            return "it does not take the positions of tokens as an argument"
        if sliding_window(model.config):
            with small_window(model):
                alone = [logits(model, torch.cat([prefix, turn]))[PREFIX:] for turn in (first, second)]
                if any_differ(model, _packed(model, prefix, first, second), alone):
                    return "its sliding window cannot be counted by position"
    except Exception as error:  # families raise all kinds
        return f"it does not take a mask per token ({' '.join(str(error).split())[:100]})"
    return None


def _packed(model: PreTrainedModel, prefix: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
    """Logits of each of two questions that are packed after a prefix."""
    segments = torch.tensor([[0] * len(prefix) + [1] * len(first) + [2] * len(second)], device=model.device)
    positions = torch.tensor(
        [*range(len(prefix) + len(first)), *range(len(prefix), len(prefix) + len(second))], device=model.device
    )[None]
    places = torch.arange(segments.shape[1], device=model.device)[None]
    mask = masks_for(model, visible(segments, places, segments, places), positions, positions)
    found = logits(model, torch.cat([prefix, first, second]), attention_mask=mask, position_ids=positions)
    return found[len(prefix) :].split([len(first), len(second)])


def any_differ(model: PreTrainedModel, found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    return any(_differ(model, *pair) for pair in zip(found, expected, strict=True))


def some_tokens(model: PreTrainedModel, *lengths: int) -> tuple[Tensor, ...]:
    """Sequences of random tokens, without special ones."""
    config = {**model.config.to_dict(), **model.config.get_text_config().to_dict()}
    special = {value for key, value in config.items() if "token_i" in key and isinstance(value, int)}
    known = [i for i in range(min(model.get_input_embeddings().weight.shape[0], 4096)) if i not in special]
    chosen = torch.randint(len(known), (sum(lengths),), generator=torch.Generator().manual_seed(0))
    return torch.tensor(known)[chosen].to(model.device).split(lengths)


def logits(model: PreTrainedModel, tokens: Tensor, **inputs) -> Tensor:
    """float32 ``(tokens, vocabulary)`` of one row ``(tokens,)``."""
    return model(input_ids=tokens[None], use_cache=False, **inputs).logits[0].float()


def _differ(model: PreTrainedModel, found: Tensor, expected: Tensor, same_shape: bool = False) -> bool:
    """Whether logits ``(tokens, vocabulary)`` differ by more than the rounding of the model's precision.

    same_shape: they come from inputs of one shape, which are rounded alike. In bfloat16, logits of SmolLM2-135M from
    other shapes differ by 2 % of their spread, from other positions by 19 %, and from another question by 43 %.
    """
    error = (found - expected).square().mean(dim=-1).sqrt() / expected.std()
    if model.dtype == torch.float32:
        return not error.max() < 1e-3
    # The median, because single tokens of a mixture of experts may take another expert.
    return not error.median() < (0.01 if same_shape else 0.1)


@contextmanager
def small_window(model: PreTrainedModel) -> Iterator[None]:
    """Sliding layers see `SMALL_WINDOW` tokens inside."""
    holders = [model.config.get_text_config(), *model.modules()]
    holders = [each for each in holders if isinstance(getattr(each, "sliding_window", None), int)]
    before = [each.sliding_window for each in holders]
    try:
        for each in holders:
            each.sliding_window = SMALL_WINDOW
        yield
    finally:
        for each, window in zip(holders, before, strict=True):
            each.sliding_window = window

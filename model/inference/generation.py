"""Greedy answers to many prompts at once; questions about one ECG share one pass over it."""

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from cardiolect.model.llm.ecg_language_model import LanguageModel, embedded
from cardiolect.model.llm.masks import sliding_window
from cardiolect.model.prompt.rendering import Prompt
from cardiolect.model.prompt.vocabulary import Vocabulary


class Generated(NamedTuple):
    """A generated text.

    watched: the logit of each watched token at the first position. logprob: the log-probability of the tokens and the
    token that ends them, without `Vocabulary.never_answered`. cut_off: the text reached
    ``max_new_tokens`` before its end, so that ``logprob`` does not include the end.
    """

    text: str
    watched: tuple[float, ...]
    logprob: float
    cut_off: bool


@torch.inference_mode()
def generate_texts(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    batch_size: int,
    watched: Sequence[int] = (),
) -> Iterator[tuple[int, Generated]]:
    """Yield ``(index, Generated)`` per prompt, those with short prefixes first.

    Within a batch of at most ``batch_size`` questions, prefixes with equal `Prompt.key` are computed once and share
    their keys and values. Rows leave the batch when they have ended. Texts are the same as for one prompt at a time, up
    to the rounding of batched products. ECG tokens and spare rows are never generated.
    """
    window = sliding_window(model.config)
    longest = max((len(p.prefix) + len(p.question) for p in prompts), default=0)
    if window and longest + max(len(p.question) for p in prompts) + max_new_tokens > window:
        batch_size = 1  # the window counts padding too, and a batch of one has none
    for batch in prefix_batches(prompts, batch_size):
        yield from _answer(model, vocabulary, prompts, batch, max_new_tokens, watched)


def prefix_batches(prompts: Sequence[Prompt], batch_size: int) -> Iterator[list[list[int]]]:
    """Yield batches of at most ``batch_size`` prompts, short prefixes first.

    A batch consists of lists of indices into ``prompts``; the prompts of one list share their prefix (`Prompt.key`).
    """
    groups: dict[Hashable, list[int]] = {}
    for i, prompt in enumerate(prompts):
        groups.setdefault(prompt.key, []).append(i)
    batch: list[list[int]] = []
    room = batch_size
    for members in sorted(groups.values(), key=lambda members: len(prompts[members[0]].prefix)):
        while members:
            taken, members = members[:room], members[room:]
            batch.append(taken)
            room -= len(taken)
            if room == 0:
                yield batch
                batch, room = [], batch_size
    if batch:
        yield batch


def _answer(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prompts: Sequence[Prompt],
    batch: list[list[int]],
    max_new_tokens: int,
    watched: Sequence[int],
) -> Iterator[tuple[int, Generated]]:
    device, stops = model.device, vocabulary.stop_ids
    pad = vocabulary.tokenizer.pad_token_id
    shared = [prompts[members[0]] for members in batch]
    ids, mask = left_padded([prompt.prefix for prompt in shared], pad, device)
    cache = DynamicCache(config=model.config)
    step = partial(model, past_key_values=cache, use_cache=True, logits_to_keep=1)
    step(ids, attention_mask=mask, position_ids=positions_of(mask), **embedded(shared))

    indices = [i for members in batch for i in members]
    owner = torch.tensor([row for row, members in enumerate(batch) for _ in members], device=device)
    cache.batch_select_indices(owner)
    ids, asked = left_padded([prompts[i].question for i in indices], pad, device)
    mask = torch.cat([mask[owner], asked], dim=1)
    positions = positions_of(mask)[:, -ids.shape[1] :]

    rows = list(range(len(indices)))  # those still in the batch
    found: list[list[int]] = [[] for _ in indices]
    logprobs = [0.0] * len(indices)
    ended = [False] * len(indices)
    first: list[list[float]] = []
    for _ in range(max_new_tokens):
        logits = step(ids, attention_mask=mask, position_ids=positions).logits[:, -1].float()
        for columns in vocabulary.never_answered:
            logits[:, columns] = -torch.inf
        first = first or logits[:, list(watched)].tolist()
        ids = logits.argmax(dim=-1, keepdim=True)
        likely = logits.log_softmax(dim=-1).gather(1, ids)[:, 0].tolist()
        for row, token, logprob in zip(rows, ids[:, 0].tolist(), likely, strict=True):
            if ended[row]:
                continue
            logprobs[row] += logprob
            if token in stops:
                ended[row] = True
            else:
                found[row].append(token)
        going = [k for k, row in enumerate(rows) if not ended[row]]
        if not going:
            break
        positions = positions[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        if len(going) <= len(rows) // 2:  # copying the cache pays if it shrinks by half
            keep = torch.tensor(going, device=device)
            cache.batch_select_indices(keep)
            ids, mask, positions, rows = ids[keep], mask[keep], positions[keep], [rows[k] for k in going]
    for row, i in enumerate(indices):
        text = vocabulary.tokenizer.decode(found[row], skip_special_tokens=True).strip()
        yield i, Generated(text, tuple(first[row]), logprobs[row], not ended[row])


@torch.inference_mode()
def stream_text(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prompt: Prompt,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> Iterator[str]:
    """Yield the answer to one prompt so far, after every token.

    temperature: 0 takes the most probable token; above 0, tokens are drawn by ``seed``.
    """
    ids = torch.tensor([[*prompt.prefix, *prompt.question]], device=model.device)
    cache, ecgs = DynamicCache(config=model.config), embedded([prompt])
    generator, generated, stops = torch.Generator().manual_seed(seed), [], vocabulary.stop_ids
    for _ in range(max_new_tokens):
        logits = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **ecgs).logits[0, -1].float().cpu()
        ecgs = {}
        for columns in vocabulary.never_answered:
            logits[columns] = -torch.inf
        if temperature > 0:
            token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))
        else:
            token = int(logits.argmax())
        if token in stops:
            return
        generated.append(token)
        yield vocabulary.tokenizer.decode(generated, skip_special_tokens=True).strip()
        ids = torch.tensor([[token]], device=model.device)


def left_padded(rows: list[tuple[int, ...]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """``(ids, mask)`` of rows padded on the left, both ``(rows, longest)``."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def positions_of(mask: Tensor) -> Tensor:
    """The position of every token, not counting padding."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)

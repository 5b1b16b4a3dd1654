"""Greedy generation for many prompts at once."""

from collections.abc import Iterator, Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel

from model.vocabulary import Vocabulary


@torch.inference_mode()
def generate_texts(
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    batch_size: int,
) -> Iterator[tuple[int, str]]:
    """Yield ``(index, text)`` per prompt, shortest prompts first.

    Prompts are sorted by length, so that a batch pads little; padding stands on the left and is masked. ECG tokens
    cannot be generated: an answer is text.
    """
    device = model.device
    pad, eos = vocabulary.tokenizer.pad_token_id, vocabulary.tokenizer.eos_token_id
    # Spelled out: what a language model ships as its generation settings (penalties, sampling) must not leak in.
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        suppress_tokens=list(vocabulary.new_ids),
        pad_token_id=pad,
        eos_token_id=eos,
    )
    model.generation_config = greedy
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        longest = len(prompts[rows[-1]])
        ids = torch.tensor([[pad] * (longest - len(prompts[i])) + prompts[i] for i in rows], device=device)
        mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in rows], device=device)
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=greedy,
        )
        for i, row in zip(rows, out[:, longest:].tolist(), strict=True):
            end = row.index(eos) if eos in row else len(row)
            yield i, vocabulary.tokenizer.decode(row[:end]).strip()

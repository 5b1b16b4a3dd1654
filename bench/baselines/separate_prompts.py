"""Baseline of `model.inference.generation`: every prompt computed in full by ``generate`` of transformers."""

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel

from cardiolect.model.llm.saving import generation_config
from cardiolect.model.prompt.rendering import Prompt
from cardiolect.model.prompt.vocabulary import Vocabulary


@torch.inference_mode()
def generate_separately(
    model: PreTrainedModel, vocabulary: Vocabulary, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 1
) -> Iterator[tuple[int, str]]:
    """Yield ``(index, text)`` in the order of ``prompts``; a batch, padded on the left, runs until all rows end."""
    pad, eos = vocabulary.tokenizer.pad_token_id, vocabulary.tokenizer.eos_token_id
    greedy = generation_config(vocabulary, model.get_input_embeddings().weight.shape[0])
    greedy.max_new_tokens = max_new_tokens
    model.generation_config = greedy
    for start in range(0, len(prompts), batch_size):
        rows = [list(p.prefix + p.question) for p in prompts[start : start + batch_size]]
        longest = max(map(len, rows))
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows], device=model.device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=model.device)
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=greedy)
        for k, row in enumerate(out[:, longest:].tolist()):
            text = row[: row.index(eos)] if eos in row else row
            yield start + k, vocabulary.tokenizer.decode(text, skip_special_tokens=True).strip()

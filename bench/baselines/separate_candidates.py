"""Baseline of `model.inference.ranking`: every candidate computed as a full sequence of its own."""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from cardiolect.model.inference.generation import left_padded, positions_of
from cardiolect.model.inference.ranking import Answers
from cardiolect.model.prompt.rendering import Prompt, render_answer
from cardiolect.model.prompt.vocabulary import Vocabulary


@torch.inference_mode()
def score_separately(
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    prompts: Sequence[Prompt],
    candidates: Sequence[Sequence[Answers]],
    batch_size: int = 1,
) -> list[list[float]]:
    """Log-probability of every candidate of each prompt, in batches padded on the left."""
    rows = [
        (prompt.prefix + prompt.question, tuple(render_answer(vocabulary, answers)))
        for prompt, sets in zip(prompts, candidates, strict=True)
        for answers in sets
    ]
    scores: list[float] = []
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        longest = max(len(answer) for _, answer in batch)
        ids, mask = left_padded(
            [prompt + answer for prompt, answer in batch], vocabulary.tokenizer.pad_token_id, model.device
        )
        logits = model(
            ids, attention_mask=mask, position_ids=positions_of(mask), use_cache=False, logits_to_keep=longest + 1
        ).logits
        for (_, answer), row in zip(batch, logits, strict=True):
            steps = row[-len(answer) - 1 : -1].float()
            for columns in vocabulary.never_answered:
                steps[:, columns] = -torch.inf
            scores.append(steps.log_softmax(dim=-1)[range(len(answer)), answer].sum().item())
    remaining = iter(scores)
    return [[next(remaining) for _ in sets] for sets in candidates]

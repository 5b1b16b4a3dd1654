"""How much a closed answer depends on each code of an ECG, by integrated gradients.

The margin of an answer is its log-probability minus that of the alternative, such as "yes" minus "no" (contrastive
explanations, Yin & Neubig 2022, arXiv 2202.10419). Integrated gradients (Sundararajan et al. 2017, arXiv 1703.01365)
attribute the margin to the codes: they add up to the difference between the ECG and a baseline in which every code is
the ECG's mean embedding. Codes that count against the answer get no weight.

`bench.attribution` compares the method with gradients, attention and occlusion: how much of the weight lies on a
simulated finding, and how much of the margin is lost without the codes of largest weight.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cardiolect.model.llm.ecg_language_model import LanguageModel, embed_prompt
from cardiolect.model.prompt.vocabulary import Vocabulary

STEPS = 8  # of the integral, by the midpoint rule; 16 steps give the same figures
BATCH = 4  # of these at once: more cost as much memory as training does


def attribute_to_codes(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prefix_ids: Sequence[int],
    is_ecg: Sequence[bool],
    question_ids: Sequence[int],
    answer_ids: Sequence[int],
    other_ids: Sequence[int] | None = None,
    items: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """How much an answer depends on each code of the ECGs in a prompt.

    prefix_ids, is_ecg, items: from `rendering.render_prefix`. question_ids: from `rendering.render_prompt`.
    answer_ids: tokens of the answer. other_ids: tokens of the alternative; None stands for all other answers. If one of
    the two begins with the other, both must end with the end-of-sequence token.

    Returns float64 ``(codes,)`` for all ECGs in the order of the prompt: not negative, with sum 1. All are 0 if nothing
    in the ECG favours the answer, and the length is 0 if the prompt has no ECG. `ECGRepresentation.times` gives the
    times of the codes. Parameters, their ``.grad`` and the model's mode are left unchanged.
    """
    codes = code_positions(vocabulary, prefix_ids, is_ecg)
    if not codes:
        return np.zeros(0)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            prompt = embed_prompt(model, [*prefix_ids, *question_ids], items)
            ecg = prompt[codes].float()
            mean = ecg.mean(0)
            gradient = torch.zeros_like(ecg)
            index = torch.tensor(codes, device=prompt.device)
            for shares in ((torch.arange(STEPS) + 0.5) / STEPS).to(ecg).split(BATCH):
                parts = (mean + shares[:, None, None] * (ecg - mean)).to(prompt).requires_grad_(True)
                prompts = prompt.expand(len(shares), -1, -1).index_copy(1, index, parts)
                margins = answer_margin(model, prompts, answer_ids, other_ids)
                gradient += torch.autograd.grad(margins.sum(), parts)[0].float().sum(0) / STEPS
    finally:
        model.train(was_training)
    weights = ((ecg - mean) * gradient).sum(-1).clamp(min=0).cpu().double().numpy()
    return weights / (weights.sum() or 1.0)


def code_positions(vocabulary: Vocabulary, prefix_ids: Sequence[int], is_ecg: Sequence[bool]) -> list[int]:
    """Positions of the codes in a prefix: of the tokens of ECGs, without their end markers."""
    return [
        i
        for i, (token, inside) in enumerate(zip(prefix_ids, is_ecg, strict=True))
        if inside and token != vocabulary.end_id
    ]


def answer_margin(
    model: LanguageModel, prompts: Tensor, answer_ids: Sequence[int], other_ids: Sequence[int] | None
) -> Tensor:
    """Log-probability of an answer minus that of the other answer, after each of several prompts of equal length.

    prompts: embedded, ``(batch, tokens, width)``. Returns ``(batch,)``.
    """
    answers = [answer_ids] if other_ids is None else [answer_ids, other_ids]
    starts = list(dict.fromkeys(tuple(answer[:-1]) for answer in answers))  # single tokens share a row
    tails = [embed_prompt(model, start) if start else prompts[0, :0] for start in starts]
    padded = pad_sequence(tails, batch_first=True)  # on the right, where nothing attends to it
    count, tokens, _ = prompts.shape
    rows = torch.cat([prompts.repeat_interleave(len(starts), 0), padded.repeat(count, 1, 1)], dim=1)
    logits = model(inputs_embeds=rows, use_cache=False, logits_to_keep=rows.shape[1] - tokens + 1).logits
    logprobs = logits.float().log_softmax(-1).unflatten(0, (count, len(starts)))
    totals = [
        sum(logprobs[:, starts.index(tuple(answer[:-1])), k, token] for k, token in enumerate(answer))
        for answer in answers
    ]
    return totals[0] if other_ids is None else totals[0] - totals[1]

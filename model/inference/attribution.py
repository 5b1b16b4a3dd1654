"""Where in an ECG a model looked for a closed answer: a weight for every code, by integrated gradients.

The answer's margin is its log-probability less that of the alternative: what speaks for "yes" rather than "no"
(contrastive explanations, Yin & Neubig 2022, arXiv 2202.10419). Integrated gradients (Sundararajan et al. 2017, arXiv
1703.01365) share the margin out among the codes: they sum to what it gains on the way from an ECG that is its own mean
embedding throughout to the ECG itself. What speaks against the answer gets no weight.

`bench.attribution` measures how much of the weight lies where a simulated finding is, and how much of the margin goes
with the codes of most weight, beside gradients, attention and occlusion.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from cardiolect.model.llm.ecg_language_model import LanguageModel, embed_prompt
from cardiolect.model.prompt.vocabulary import Vocabulary

STEPS = 8  # of the integral, by the midpoint rule; 16 give the same figures


def where_it_looked(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prefix_ids: Sequence[int],
    is_ecg: Sequence[bool],
    question_ids: Sequence[int],
    answer_ids: Sequence[int],
    other_ids: Sequence[int] | None = None,
    items: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """How much the answer owes to each code of the ECGs in a prompt.

    prefix_ids, is_ecg, items: of `rendering.render_prefix`. question_ids: of `rendering.render_prompt`. answer_ids:
    tokens of the answer given; other_ids: of the one that it is weighed against, None for all others. Both end with the
    end-of-sequence token if one begins with the other, or neither does.

    Returns float64 ``(codes,)``, of all ECGs in the order of the prompt, none below 0, with sum 1; all 0 where nothing
    in the ECG speaks for the answer, and of length 0 where the prompt has none. `ECGRepresentation.times` tells when
    they are. Parameters, their ``.grad`` and the model's mode stay as they were.
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
            for step in range(STEPS):
                part = (mean + (step + 0.5) / STEPS * (ecg - mean)).to(prompt).requires_grad_(True)
                there = torch.tensor(codes, device=prompt.device)
                margin = answer_margin(model, prompt.index_copy(0, there, part), answer_ids, other_ids)
                gradient += torch.autograd.grad(margin, part)[0].float() / STEPS
    finally:
        model.train(was_training)
    weights = ((ecg - mean) * gradient).sum(-1).clamp(min=0).cpu().double().numpy()
    return weights / (weights.sum() or 1.0)


def code_positions(vocabulary: Vocabulary, prefix_ids: Sequence[int], is_ecg: Sequence[bool]) -> list[int]:
    """Where in a prefix the codes stand: what belongs to an ECG but for the end behind it."""
    return [
        i
        for i, (token, inside) in enumerate(zip(prefix_ids, is_ecg, strict=True))
        if inside and token != vocabulary.end_id
    ]


def answer_margin(
    model: LanguageModel, prompt: Tensor, answer_ids: Sequence[int], other_ids: Sequence[int] | None
) -> Tensor:
    """Log-probability of an answer behind an embedded prompt ``(tokens, width)``, less that of the other one."""
    answers = [answer_ids] if other_ids is None else [answer_ids, other_ids]
    said = list(dict.fromkeys(tuple(answer[:-1]) for answer in answers))  # single tokens share a row
    tails = [embed_prompt(model, words) if words else prompt[:0] for words in said]
    rows = torch.cat([prompt.expand(len(said), -1, -1), pad_sequence(tails, batch_first=True)], dim=1)
    # Padding stands on the right, where nothing sees it.
    logits = model(inputs_embeds=rows, use_cache=False, logits_to_keep=rows.shape[1] - len(prompt) + 1).logits
    spoken = logits.float().log_softmax(-1)
    chances = [
        sum(spoken[said.index(tuple(answer[:-1])), k, token] for k, token in enumerate(answer)) for answer in answers
    ]
    return chances[0] if other_ids is None else chances[0] - chances[1]

"""Other ways to ask where a model looked, and chance: what `model.inference.attribution` is measured against.

Each takes a model, an embedded prompt ``(tokens, width)``, where its codes stand, the answer's and the other's tokens,
and gives one weight per code, none below 0.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cardiolect.model.inference.attribution import answer_margin

WINDOW_SECONDS = 0.2


def _gradient(model, prompt: Tensor, codes: Sequence[int], answer, other) -> Tensor:
    leaf = prompt.clone().requires_grad_(True)
    return torch.autograd.grad(answer_margin(model, leaf, answer, other), leaf)[0][codes]


def gradient_norm(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Saliency (Simonyan et al. 2014, arXiv 1312.6034)."""
    return _gradient(model, prompt, codes, answer, other).norm(dim=-1)


def gradient_times_input(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Of the embedding less the ECG's mean, what speaks for the answer (Shrikumar et al. 2016, arXiv 1605.01713)."""
    ecg = prompt[codes]
    return ((ecg - ecg.mean(0)) * _gradient(model, prompt, codes, answer, other)).sum(-1).clamp(min=0)


@torch.no_grad()
def _attention(model, prompt: Tensor) -> Tensor:
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        layers = model(inputs_embeds=prompt[None], use_cache=False, output_attentions=True).attentions
    finally:
        model.set_attn_implementation(before)
    return torch.cat(layers).float()  # (layers, heads, tokens, tokens)


def attention(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """What the answer's position attends to, the mean over heads and layers."""
    return _attention(model, prompt)[:, :, -1, codes].mean((0, 1))


def attention_rollout(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Attention followed through the layers (Abnar & Zuidema 2020, arXiv 2005.00928)."""
    rolled = torch.eye(len(prompt), device=prompt.device)
    for layer in _attention(model, prompt).mean(1):
        rolled = (layer + torch.eye(len(prompt), device=prompt.device)) / 2 @ rolled
    return rolled[-1, codes]


@torch.no_grad()
def occlusion(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """What the margin loses when 200 ms are set to the mean (Zeiler & Fergus 2014, arXiv 1311.2901)."""
    width = max(2, round(WINDOW_SECONDS / seconds))
    lost, seen = torch.zeros(len(codes)), torch.zeros(len(codes))
    whole = answer_margin(model, prompt, answer, other)
    for start in range(-(width // 2), len(codes) - width // 2, width // 2):
        window = slice(max(start, 0), start + width)
        without = prompt.clone()
        without[codes[window]] = prompt[codes].mean(0)
        lost[window] += (whole - answer_margin(model, without, answer, other)).clamp(min=0).cpu()
        seen[window] += 1
    return lost / seen


def chance(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Drawn from PyTorch's generator."""
    return torch.rand(len(codes))


BASELINES: dict[str, Callable[..., Tensor]] = {
    "gradient norm": gradient_norm,
    "gradient x input": gradient_times_input,
    "attention": attention,
    "attention rollout": attention_rollout,
    "occlusion 200 ms": occlusion,
    "chance": chance,
}

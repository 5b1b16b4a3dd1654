"""Baselines of `model.inference.attribution`: other attribution methods, and random weights.

Each takes a model, an embedded prompt ``(tokens, width)``, the positions of its codes, the tokens of the answer and of
the other answer, and the seconds per code; it returns one weight per code, at least 0.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cardiolect.model.inference.attribution import answer_margin

WINDOW_SECONDS = 0.2


def _gradient(model, prompt: Tensor, codes: Sequence[int], answer, other) -> Tensor:
    leaf = prompt.clone().requires_grad_(True)
    return torch.autograd.grad(answer_margin(model, leaf[None], answer, other).sum(), leaf)[0][codes]


def gradient_norm(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Saliency (Simonyan et al. 2014, arXiv 1312.6034)."""
    return _gradient(model, prompt, codes, answer, other).norm(dim=-1)


def gradient_times_input(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Positive part of gradient times input less the ECG's mean (Shrikumar et al. 2016, arXiv 1605.01713)."""
    ecg = prompt[codes]
    return ((ecg - ecg.mean(0)) * _gradient(model, prompt, codes, answer, other)).sum(-1).clamp(min=0)


@torch.no_grad()
def _attention(model, prompt: Tensor) -> Tensor:
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        layers = model(inputs_embeds=prompt[None], use_cache=False, output_attentions=True).attentions
    finally:
        model.set_attn_implementation(implementation)
    return torch.cat(layers).float()  # (layers, heads, tokens, tokens)


def attention(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Attention from the position of the answer, averaged over heads and layers."""
    return _attention(model, prompt)[:, :, -1, codes].mean((0, 1))


def attention_rollout(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Attention multiplied through the layers (Abnar & Zuidema 2020, arXiv 2005.00928)."""
    rollout = torch.eye(len(prompt), device=prompt.device)
    for layer in _attention(model, prompt).mean(1):
        rollout = (layer + torch.eye(len(prompt), device=prompt.device)) / 2 @ rollout
    return rollout[-1, codes]


@torch.no_grad()
def occlusion(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Loss of margin if 200 ms are replaced by the mean (Zeiler & Fergus 2014, arXiv 1311.2901)."""
    width = max(2, round(WINDOW_SECONDS / seconds))
    loss, count = torch.zeros(len(codes)), torch.zeros(len(codes))
    margin = answer_margin(model, prompt[None], answer, other)[0]
    for start in range(-(width // 2), len(codes) - width // 2, width // 2):
        window = slice(max(start, 0), start + width)
        occluded = prompt.clone()
        occluded[codes[window]] = prompt[codes].mean(0)
        loss[window] += (margin - answer_margin(model, occluded[None], answer, other)[0]).clamp(min=0).cpu()
        count[window] += 1
    return loss / count


def chance(model, prompt: Tensor, codes: Sequence[int], answer, other, seconds: float) -> Tensor:
    """Random weights from PyTorch's generator."""
    return torch.rand(len(codes))


BASELINES: dict[str, Callable[..., Tensor]] = {
    "gradient norm": gradient_norm,
    "gradient x input": gradient_times_input,
    "attention": attention,
    "attention rollout": attention_rollout,
    "occlusion 200 ms": occlusion,
    "chance": chance,
}

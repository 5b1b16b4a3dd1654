"""The tokenizer's optimizers, and a step of all of them."""

from collections.abc import Sequence

import torch
from torch import nn

from cardiolect.ecg_tokenizer.codes.backbone import ConvNeXtBlock
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.training.measurements import MeasurementHead
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.launch import average


def make_optimizers(
    tokenizer: ECGTokenizer, head: MeasurementHead | None, settings: TokenizerSettings
) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices of the blocks (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/)."""
    blocks = [module for module in tokenizer.modules() if isinstance(module, ConvNeXtBlock)]
    matrices = [p for block in blocks for p in block.parameters() if p.ndim == 2]
    with_muon = {id(p) for p in matrices}
    others = [p for p in tokenizer.parameters() if id(p) not in with_muon]
    if head is not None:
        others += head.parameters()
    return [
        torch.optim.AdamW(others, settings.learning_rate, betas=(0.9, 0.99)),
        torch.optim.Muon(matrices, settings.muon_learning_rate, weight_decay=0.0),
    ]


def adamw(modules: Sequence[nn.Module], rate: float, decay: float, betas: tuple[float, float]) -> torch.optim.AdamW:
    """AdamW with weight decay of matrices and kernels only, except those that are marked ``no_decay``."""
    parameters = [p for module in modules for p in module.parameters()]
    decayed = [p for p in parameters if p.ndim > 1 and not getattr(p, "no_decay", False)]
    kept = {id(p) for p in decayed}
    groups = [
        {"params": decayed, "weight_decay": decay},
        {"params": [p for p in parameters if id(p) not in kept], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, rate, betas=betas)


def descend(loss: torch.Tensor, optimizers: list[torch.optim.Optimizer]) -> None:
    """One step of all optimizers along the gradient of ``loss``, averaged over ranks and clipped to norm 1."""
    for optimizer in optimizers:
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    trained = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    average([p.grad for p in trained if p.grad is not None])
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    for optimizer in optimizers:
        optimizer.step()

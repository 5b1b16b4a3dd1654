"""Muon: orthogonalised momentum for weight matrices, AdamW for token tables, norms and biases.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. DeepSpeed's ZeRO orthogonalises whole matrices before it
cuts their update by rank, so ranks change nothing.
"""

import torch
from torch import nn

MOMENTUM = 0.95


def muon(
    model: nn.Module, tables: set[int], muon_learning_rate: float, learning_rate: float, weight_decay: float, beta2: float
) -> torch.optim.Optimizer:
    """An optimizer over the trainable parameters of ``model``.

    tables: ``id`` of the parameters that are matrices but hold a row per token; AdamW trains them.
    """
    # Importing it decorates functions with torch.compile: not at the top, AdamW alone has no use for the seconds.
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam

    # Compiled, its few small products would cost a minute of compiling and a C++ compiler.
    torch.compiler.set_stance("force_eager")
    matrices, others = [], []
    for parameter in model.parameters():
        parameter.use_muon = parameter.ndim == 2 and id(parameter) not in tables  # DeepSpeed's mark
        if parameter.requires_grad:
            (matrices if parameter.use_muon else others).append(parameter)
    common = {"ns_method": "standard", "momentum": MOMENTUM, "weight_decay": weight_decay}
    groups = [
        {"params": matrices, "use_muon": True, "lr": muon_learning_rate, **common},
        {"params": others, "use_muon": False, "lr": learning_rate, "weight_decay": 0.0},
    ]
    return MuonWithAuxAdam(
        [group for group in groups if group["params"]],
        torch.optim.AdamW,
        {"lr": learning_rate, "betas": (0.9, beta2), "weight_decay": 0.0},
    )

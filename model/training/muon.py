"""Muon: orthogonalised momentum for the weight matrices, AdamW for token tables, norms and biases.

Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/. DeepSpeed's ZeRO orthogonalises whole matrices
before it splits their updates over ranks; it does so in bf16, and ranks agree up to its rounding.
"""

import torch
from torch import nn
from transformers import TrainingArguments

MOMENTUM = 0.95
ADAM = {"betas": (0.9, 0.95), "eps": 1e-10}


def muon(
    model: nn.Module, tables: set[int], learning_rate: float, arguments: TrainingArguments
) -> torch.optim.Optimizer:
    """An optimizer over the trainable parameters of ``model``.

    tables: ``id`` of the embedding and head weights; the head is a linear layer, but AdamW trains it. learning_rate: of
    Muon; that of AdamW and the weight decay of the matrices come from ``arguments``.
    """
    from deepspeed.runtime.zero.muon.muon_optimizer import MuonWithAuxAdam  # slow: imports the compiler

    # DeepSpeed decorates it with torch.compile, which takes a minute and needs a C++ compiler, all for a few small
    # products. This affects the whole process, but nothing else is compiled.
    torch.compiler.set_stance("force_eager")
    linear = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)} - tables
    matrices, others = [], []
    for parameter in model.parameters():
        parameter.use_muon = id(parameter) in linear  # read by DeepSpeed
        if parameter.requires_grad:
            (matrices if parameter.use_muon else others).append(parameter)
    groups = [
        {
            "params": matrices,
            "use_muon": True,
            "lr": learning_rate,
            "momentum": MOMENTUM,
            "ns_method": "standard",
            "weight_decay": arguments.weight_decay,
        },
        # Set in the group, because DeepSpeed fills in its own defaults before AdamW sees the group.
        {"params": others, "use_muon": False, "lr": arguments.learning_rate, "weight_decay": 0.0, **ADAM},
    ]
    return MuonWithAuxAdam([group for group in groups if group["params"]], torch.optim.AdamW)

"""DeepSpeed's ZeRO-3, which splits the weights over ranks."""

import torch
from torch import nn

from cardiolect.utils import launch


@torch.no_grad()
def gather_weights(model: nn.Module) -> None:
    """Undo the split after training: the main rank gets the whole weights in host memory, other ranks get none.

    One tensor at a time is whole on each device. All ranks must call it.
    """
    import deepspeed

    whole: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}  # both stay alive, so that the ids stay theirs
    for module in model.modules():
        for name, split in list(module._parameters.items()):
            if split is None or not hasattr(split, "ds_id"):
                continue
            if id(split) not in whole:
                with deepspeed.zero.GatheredParameters([split]):
                    values = split.detach().to("cpu", copy=True) if launch.is_main() else torch.empty(0)
                whole[id(split)] = split, nn.Parameter(values, requires_grad=split.requires_grad)
            module._parameters[name] = whole[id(split)][1]

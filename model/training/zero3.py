"""DeepSpeed's ZeRO-3, which splits the weights themselves over ranks."""

import json
from pathlib import Path

import torch
from torch import nn

from cardiolect.utils import launch
from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError


def read_deepspeed_config(path: Path) -> dict:
    """The content of a DeepSpeed configuration. Raises `UserError` if it is not one."""
    try:
        config = json.loads(path.read_text())
        stage = config.get("zero_optimization", {}).get("stage", 0)
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"DEEPSPEED_CONFIG: {path} is not a DeepSpeed configuration in JSON ({error})") from None
    if stage not in range(4):
        raise UserError(f"DEEPSPEED_CONFIG: {path}: zero_optimization.stage is {stage!r}; it must be 0, 1, 2 or 3")
    return config


def splits_weights(path: Path) -> bool:
    """Whether a DeepSpeed configuration is one of ZeRO-3."""
    return read_deepspeed_config(path).get("zero_optimization", {}).get("stage") == 3


def check_half_precision(path: Path, device: str) -> None:
    """Raise `UserError` unless PRECISION=fp16 can train: with DeepSpeed's scaled losses, on a GPU."""
    if choose_device(device).type == "cpu":
        raise UserError("PRECISION=fp16: training needs a GPU; on a CPU set fp32 or bf16")
    if not read_deepspeed_config(path).get("fp16", {}).get("enabled"):
        raise UserError(f'PRECISION=fp16: {path} lacks "fp16": {{"enabled": "auto"}}, which scales the loss')


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

"""The setting PRECISION of language models, which may follow the device."""

from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, ValidationInfo

from cardiolect.utils import launch


def _precision_here(value: Any, info: ValidationInfo) -> Any:
    """bf16, fp16 or fp32 for "auto", with a line; other values as they are."""
    if value != "auto":
        return value
    if info.data.get("device") == "cpu" or not torch.cuda.is_available():
        chosen, reason = "fp32", "it runs on a CPU"
    elif torch.cuda.get_device_capability()[0] < 8:
        chosen, reason = "fp16", f"{torch.cuda.get_device_name()} has no bf16"
    else:
        chosen, reason = "bf16", f"{torch.cuda.get_device_name()} has it"
    if launch.is_main():
        print(f"PRECISION=auto is {chosen} here: {reason}")
    return chosen


Precision = Annotated[Literal["fp32", "bf16", "fp16"], BeforeValidator(_precision_here)]

"""The setting PRECISION, which may follow the device."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ValidationInfo

from cardiolect.utils import launch

AUTO = "auto: bf16 on GPUs and CPUs that have instructions for it"


def _of_language_model(value: Any, info: ValidationInfo) -> Any:
    return _with_line(*_precision_here(info, "fp16")) if value == "auto" else value


def _of_ecg_tokenizer(value: Any, info: ValidationInfo) -> Any:
    return _with_line(*_precision_here(info, "fp32")) if value == "auto" else value


def _precision_here(info: ValidationInfo, of_older_gpus: str) -> tuple[str, str]:
    """The precision, and why."""
    import torch  # slow, and most settings say the precision

    if info.data.get("device") == "cpu" or not torch.cuda.is_available():
        # Other CPUs compute bf16 in float32, and lose time on converting.
        able = [name for name in ("avx512_bf16", "amx_bf16") if torch.cpu.get_capabilities().get(name)]
        return ("bf16", f"the CPU has {able[0]}") if able else ("fp32", "the CPU has no instructions for bf16")
    name = torch.cuda.get_device_name()
    if torch.cuda.get_device_capability()[0] < 8:
        return of_older_gpus, f"{name} has no bf16"
    return "bf16", f"{name} has it"


def _with_line(chosen: str, reason: str) -> str:
    launch.announce(f"PRECISION=auto is {chosen} here: {reason}")
    return chosen


Precision = Annotated[Literal["fp32", "bf16", "fp16"], BeforeValidator(_of_language_model)]
TokenizerPrecision = Annotated[Literal["fp32", "bf16"], BeforeValidator(_of_ecg_tokenizer)]

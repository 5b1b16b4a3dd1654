"""Language models in 8 or 4 bits for small GPUs, with bitsandbytes (Dettmers et al. 2022, 2023).

Only the linear layers of its blocks are quantised: embedding, head and what is trained (LoRA, ECG rows) are not.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError

if TYPE_CHECKING:
    import torch


def _number(value: Any) -> Any:
    return int(value) if str(value).isdigit() else value


Bits = Annotated[Literal[0, 4, 8], BeforeValidator(_number)]


def check_installed(key: str) -> None:
    """Raise `UserError`, which names the setting ``key``, unless bitsandbytes is installed."""
    if find_spec("bitsandbytes") is None:
        raise UserError(f'{key}: needs bitsandbytes (pip install -e ".[quant]")')


def quantized(bits: int, compute: "torch.dtype", device: str = "auto", key: str = "LOAD_BITS") -> dict:
    """Options of ``from_pretrained`` that load a model in ``bits`` bits (NF4 with double quantisation, or LLM.int8).

    compute: dtype of products. Raises `UserError` if bitsandbytes is not installed.
    """
    from transformers import BitsAndBytesConfig

    check_installed(f"{key}={bits}")
    config = BitsAndBytesConfig(
        load_in_8bit=bits == 8,
        load_in_4bit=bits == 4,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=compute,
        bnb_4bit_use_double_quant=True,
    )
    return {"quantization_config": config, "device_map": {"": choose_device(device)}}


def check_widths(model: "torch.nn.Module") -> None:
    """Raise `UserError` if the CPU backend of bitsandbytes cannot generate with a model in 4 bits."""
    layers = [m for m in model.modules() if type(m).__name__ == "Linear4bit" and m.weight.device.type == "cpu"]
    if wrong := sorted({layer.in_features for layer in layers if layer.in_features % 64}):
        raise UserError(f"LOAD_BITS=4 on a CPU: layers must have widths of a multiple of 64, not {wrong[0]}; set 8")


def placement(bits: int, device: str = "auto") -> dict:
    """`quantized` over all GPUs, for the demo. Raises `UserError` without a CUDA device."""
    if bits not in (8, 4):
        raise UserError(f"--quantize {bits}: give 8 or 4")
    if choose_device(device).type == "cpu":
        raise UserError(f"--quantize {bits}: needs a CUDA device; leave it out to answer on the CPU")
    import torch  # slow, and settings are read without it

    return quantized(bits, torch.bfloat16, device, "--quantize") | {"device_map": "auto"}

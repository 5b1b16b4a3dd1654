"""Language models in 8 or 4 bits for small GPUs, with bitsandbytes (Dettmers et al. 2022, 2023)."""

from importlib.util import find_spec

import torch
from transformers import BitsAndBytesConfig

from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError


def placement(bits: int, device: str = "auto") -> dict:
    """Options of ``from_pretrained`` that load a model in ``bits`` bits on all GPUs; ECG tokens stay unquantized.

    Raises `UserError` if there is no CUDA device or bitsandbytes is not installed.
    """
    if bits not in (8, 4):
        raise UserError(f"--quantize {bits}: give 8 or 4")
    if choose_device(device).type == "cpu":
        raise UserError(f"--quantize {bits}: needs a CUDA device; leave it out to answer on the CPU")
    if find_spec("bitsandbytes") is None:
        raise UserError(f"--quantize {bits}: needs bitsandbytes (pip install bitsandbytes)")
    config = BitsAndBytesConfig(
        load_in_8bit=bits == 8, load_in_4bit=bits == 4, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    return {"quantization_config": config, "device_map": "auto"}

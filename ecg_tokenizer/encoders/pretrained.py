"""Models of the transformers library from a local folder, their weights as safetensors."""

from pathlib import Path

import torch
from transformers import PreTrainedModel

from cardiolect.utils.errors import UserError


def load_pretrained(model_class: type, folder: Path | str, key: str) -> PreTrainedModel:
    """The model in ``folder``, in float32. Poolers may be missing: they are not used.

    key: the setting that names the folder. Raises `UserError` if the folder has no model, its weights are not
    safetensors, or one is missing.
    """
    try:
        model, found = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{key}: {folder} holds no weights as safetensors ({reason})") from None
    if missing := sorted(name for name in found["missing_keys"] if "pooler" not in name):
        raise UserError(f"{key}: {folder} lacks weights that its config.json asks for ({missing[0]}, ...)")
    return model

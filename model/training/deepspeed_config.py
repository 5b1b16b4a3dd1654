"""DEEPSPEED_CONFIG: what it says, and whether that agrees with the settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cardiolect.utils.errors import UserError

AUTO = "auto"  # Transformers writes the value of the settings in its place
ABSENT = 1  # the number that DeepSpeed and Accelerate take for a key that is not there
REPLACED = {  # blocks of a configuration that Transformers prefers, and the settings in whose place they are
    "optimizer": "OPTIMIZER, its learning rates and WEIGHT_DECAY",
    "scheduler": "SCHEDULE, WARMUP_STEPS and WARMUP_RATIO",
}


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


def check_deepspeed_config(path: Path, precision: str, numbers: Mapping[str, tuple[str, float]]) -> None:
    """Raise `UserError` if DeepSpeed would train otherwise than the settings say, or refuse it after all preparation.

    numbers: key of the configuration -> key of the settings with the same meaning, and its value.
    """
    config, named = read_deepspeed_config(path), f"DEEPSPEED_CONFIG: {path}"
    if "zero_optimization" not in config:
        raise UserError(f'{named} lacks "zero_optimization"; see ds_config_zero2.json')
    _check_zero(config["zero_optimization"], named)
    for block, keys in REPLACED.items():
        if block in config:
            raise UserError(f'{named}: "{block}" would replace {keys}; remove it from the file')
    for name in ("bf16", "fp16"):
        _check_enabled(config.get(name, {}), name, precision, path)
    sizes = ("train_batch_size", "train_micro_batch_size_per_gpu")
    if not any(key in config for key in sizes):
        raise UserError(f'{named} lacks "{sizes[1]}": "auto"')
    for key in sizes:
        if (value := config.get(key, AUTO)) != AUTO:
            raise UserError(f'{named}: "{key}" is {value!r}, but BATCH_SIZE and BATCH_TOKENS decide; write "auto"')
    for key, (setting, wanted) in numbers.items():
        if (value := config.get(key, ABSENT)) not in (AUTO, wanted):
            absent = "" if key in config else " if it is not given"
            raise UserError(f'{named}: "{key}" is {value!r}{absent}, but {setting} is {wanted:g}; write "auto"')


def _check_zero(block: dict, named: str) -> None:
    from deepspeed.runtime.zero.config import DeepSpeedZeroConfig  # slow; other settings are checked before

    given = {key: value for key, value in block.items() if value != AUTO}
    try:
        DeepSpeedZeroConfig(**given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f'{named}: "zero_optimization": {key}: {first["msg"]}') from None


def _check_enabled(block: Any, name: str, precision: str, path: Path) -> None:
    enabled = block.get("enabled", False) if isinstance(block, dict) else block
    if enabled == AUTO or enabled == (precision == name):
        return
    if precision == name:
        why = ", which scales the loss" if name == "fp16" else ""
        raise UserError(f'PRECISION={name}: {path} lacks "{name}": {{"enabled": "auto"}}{why}')
    raise UserError(f'PRECISION={precision}: {path} has "{name}": {json.dumps(block)}; write {{"enabled": "auto"}}')

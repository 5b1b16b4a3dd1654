"""The parts of a model that are trained and those that are frozen, by name and with their numbers of parameters."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from peft import PeftModel
from torch import nn

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.model.llm.ecg_language_model import ECGLanguageModel, LanguageModel, inner_model

LANGUAGE_MODEL, ADAPTERS, ROWS, NORMS, PROJECTOR = (
    "language model",
    "adapters",
    "rows of ECG tokens",
    "norms",
    "projector",
)


class Part(NamedTuple):
    """Numbers of parameters."""

    trained: int
    frozen: int


def parts_of(model: LanguageModel, representation: ECGRepresentation) -> dict[str, Part]:
    """Every part of a model that is ready for training, by name; those without parameters are left out.

    The table of a language model that trains without adapters counts as a whole, even if only its ECG rows move.
    """
    inner = inner_model(model)
    groups: dict[str, list[nn.Parameter]] = {}
    if isinstance(representation, nn.Module):
        groups["encoder" if representation.embeds else "ECG tokenizer"] = list(representation.parameters())
    if isinstance(model, ECGLanguageModel):
        groups[PROJECTOR] = list(model.projector.parameters())
    for name, parameter in inner.named_parameters():
        groups.setdefault(_part_of(name) if isinstance(inner, PeftModel) else LANGUAGE_MODEL, []).append(parameter)
    return {name: part for name, group in groups.items() if any(part := _count(group))}


def parts_in_words(parts: Mapping[str, Part]) -> str:
    """``trained: projector 4,160; frozen: encoder 213,000, language model 1,314,304``."""
    lines = []
    for word in Part._fields:
        sizes = {name: getattr(part, word) for name, part in parts.items()}
        named = [f"{name} {size:,}" for name, size in sizes.items() if size]
        lines.append(f"{word}: {', '.join(named) or 'nothing'}")
    return "; ".join(lines)


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """Numbers of trainable and of all parameters."""
    part = _count(model.parameters())
    return part.trained, sum(part)


def _part_of(name: str) -> str:
    """Of a parameter in a language model with adapters."""
    if "lora_" in name:
        return ADAPTERS
    if "trainable_tokens" in name:
        return ROWS
    return NORMS if "modules_to_save" in name else LANGUAGE_MODEL


def _count(parameters: Iterable[nn.Parameter]) -> Part:
    trained = frozen = 0
    for parameter in parameters:
        size = parameter.numel() * (2 if type(parameter).__name__ == "Params4bit" else 1)
        trained, frozen = (trained + size, frozen) if parameter.requires_grad else (trained, frozen + size)
    return Part(trained, frozen)

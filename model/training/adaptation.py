"""Choose the trained parameters: adapters or the whole model, and only the ECG rows of the token tables."""

import re
from collections.abc import Sequence

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from cardiolect.model.llm.ecg_language_model import ECGLanguageModel, LanguageModel, inner_model
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.settings import TrainSettings
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError


def prepare_for_training(model: LanguageModel, vocabulary: Vocabulary, settings: TrainSettings) -> LanguageModel:
    """Freeze and wrap ``model`` according to the settings. A model that already has adapters keeps training them.

    If ECGs are embedded, the projector and the parameters of the representation are trained as well.
    """
    if isinstance(model, ECGLanguageModel):
        model.language_model = prepare_for_training(model.language_model, vocabulary, settings)
        for parameter in model.ecg_parameters():
            parameter.requires_grad_(True)
        return model
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    if settings.tuning == "full":
        if isinstance(model, PeftModel):
            raise UserError("CHECKPOINT holds adapters; TUNING=full needs a merged checkpoint")
        if not settings.train_text_rows:
            freeze_text_rows(model, vocabulary)
        _freeze_other_inputs(model)
        return model
    if isinstance(model, PeftModel):
        return model
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        raise UserError(
            f"TUNING=lora: the head of a {model.config.model_type} model has a bias, which adapters of its rows would "
            "leave out; set TUNING=full"
        )
    targets = _targets(model, settings.lora_targets)
    new_rows = list(vocabulary.new_ids)
    names = {id(module): name for name, module in model.named_modules()}
    tables = {names[id(model.get_input_embeddings())]: new_rows}
    if not _tied(model):
        # With the embedding alone, an untied head would stay frozen, and ECG tokens could never be predicted.
        tables[names[id(model.get_output_embeddings())]] = new_rows
    return get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            target_modules=targets,
            trainable_token_indices=tables,
        ),
    )


def with_adapters_own(settings: TrainSettings, model: LanguageModel) -> TrainSettings:
    """The settings with the LORA_* values of the adapters that ``model`` has and keeps, if it has any.

    Raises `UserError` if a LORA_* key that was set says otherwise.
    """
    model = inner_model(model)
    if not isinstance(model, PeftModel):
        return settings
    config = model.peft_config[model.active_adapter]
    layers = [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]
    own = {"lora_rank": config.r, "lora_alpha": config.lora_alpha, "lora_dropout": config.lora_dropout}
    every = [name for name in settings.lora_targets if any(layer.endswith(f".{name}") for layer in layers)]
    if every != settings.lora_targets or not all(layer.endswith(tuple(every)) for layer in layers):
        own["lora_targets"] = list(dict.fromkeys(layer.rpartition(".")[2] for layer in layers))
    others = {name: value for name, value in own.items() if getattr(settings, name) != value}
    if refused := sorted(settings.model_fields_set & others.keys()):
        words = [f"{key.upper()} is {_words(getattr(settings, key))}, theirs {_words(own[key])}" for key in refused]
        raise UserError(
            f"CHECKPOINT holds adapters, which are trained as they are: {'; '.join(words)}; remove these keys, or "
            "merge the checkpoint (cardiolect merge) to train new adapters"
        )
    if others and launch.is_main():
        words = [f"{name.upper()}={_words(value)}" for name, value in others.items()]
        print(f"CHECKPOINT holds adapters, which are trained as they are: {' '.join(words)}")
    return settings.model_copy(update=others)


def _words(value) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


def freeze_text_rows(model: PreTrainedModel, vocabulary: Vocabulary) -> None:
    """Zero the gradient of all rows except those of ECG tokens; without weight decay, text rows then never change."""
    head = model.get_output_embeddings()
    tables = {id(t): t for t in (model.get_input_embeddings().weight, head.weight, head.bias) if t is not None}
    for table in tables.values():
        trained = torch.zeros(table.shape[0], *[1] * (table.dim() - 1))
        trained[vocabulary.new_ids.start : vocabulary.new_ids.stop] = 1
        table.register_hook(lambda grad, trained=trained: grad * trained.to(grad))


def _targets(model: PreTrainedModel, names: Sequence[str]) -> list[str] | str:
    """What PEFT shall adapt: the layers of these names, or a pattern if other parts of the model have such names too.

    Raises `UserError` if the language model lacks a name.
    """
    decoder, suffixes = model.get_decoder(), tuple(f".{name}" for name in names)
    inside = {id(module) for module in decoder.modules()}
    found = {path: id(module) in inside for path, module in model.named_modules() if f".{path}".endswith(suffixes)}
    missing = [name for name in names if not any(f".{path}".endswith(f".{name}") for path in found if found[path])]
    if missing:
        layers = (path.rpartition(".")[2] for path, module in decoder.named_modules() if _has_weights(module))
        raise UserError(
            f"LORA_TARGETS: the language model has no layers named {', '.join(missing)}; it has "
            f"{', '.join(dict.fromkeys(layers))}"
        )
    if all(found.values()):
        return list(names)
    (path,) = (path for path, module in model.named_modules() if module is decoder)
    return rf"{re.escape(path)}\.(?:.*\.)?(?:{'|'.join(map(re.escape, names))})"


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | Conv1D)


def _freeze_other_inputs(model: PreTrainedModel) -> None:
    """Freeze what reads pictures or sound in a model that has more than a language model."""
    if model.config.get_text_config() is not model.config:
        parts = (model.get_decoder(), model.get_input_embeddings(), model.get_output_embeddings())
        language = {id(parameter) for part in parts for parameter in part.parameters()}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) in language)


def _tied(model: PreTrainedModel) -> bool:
    head = model.get_output_embeddings()
    return head is None or head.weight is model.get_input_embeddings().weight


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """Numbers of trainable and of all parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad), sum(p.numel() for p in model.parameters())

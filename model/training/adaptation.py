"""Choose the trained parameters: adapters or the whole model, and only the ECG rows of the token tables."""

from collections.abc import Collection, Iterable, Sequence

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.transformers_weight_conversion import _MODEL_TO_CONVERSION_PATTERN, _MOE_TARGET_MODULE_MAPPING
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from cardiolect.model.llm.checkpoint_folder import bits_of
from cardiolect.model.llm.ecg_language_model import ECGLanguageModel, LanguageModel, inner_model
from cardiolect.model.llm.row_adapters import use_row_adapters
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.settings import ALL_LINEAR, TrainSettings
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError


def prepare_for_training(model: LanguageModel, vocabulary: Vocabulary, settings: TrainSettings) -> LanguageModel:
    """Freeze and wrap ``model`` according to the settings. A model that already has adapters keeps training them.

    If ECGs are embedded, the projector and the parameters of the representation are trained as well; with TUNING=none,
    they alone. Raises `UserError` if that leaves nothing to train.
    """
    if isinstance(model, ECGLanguageModel):
        model.language_model = prepare_for_training(model.language_model, vocabulary, settings)
        for parameter in model.ecg_parameters():
            parameter.requires_grad_(True)
        return model
    if settings.tuning != "lora" and isinstance(model, PeftModel):
        raise UserError(f"CHECKPOINT holds adapters; TUNING={settings.tuning} needs a merged checkpoint")
    if settings.gradient_checkpointing:
        model.activation_checkpointing_enable()
        model.enable_input_require_grads()
    if settings.tuning == "none":
        return model.requires_grad_(False)
    if settings.tuning == "full":
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
    new_rows = list(vocabulary.new_ids)
    names = {id(module): name for name, module in model.named_modules()}
    tables = {names[id(model.get_input_embeddings())]: new_rows}
    if not _tied(model):
        # With the embedding alone, an untied head would stay frozen, and ECG tokens could never be predicted.
        tables[names[id(model.get_output_embeddings())]] = new_rows
    adapted = get_peft_model(
        model,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=settings.lora_dropout,
            use_dora=settings.lora_variant == "dora",
            use_rslora=settings.lora_variant == "rslora",
            target_modules=_for_peft(model, _chosen(model, settings.lora_targets)),
            modules_to_save=_norms(model) if settings.train_norms else None,
            trainable_token_indices=tables,
        ),
    )
    return use_row_adapters(adapted)


def with_adapters_own(settings: TrainSettings, model: LanguageModel) -> TrainSettings:
    """The settings with LORA_* and TRAIN_NORMS as the adapters have them that ``model`` has and keeps, if it has any.

    Raises `UserError` if one of these keys was set and says otherwise.
    """
    model = inner_model(model)
    if not isinstance(model, PeftModel):
        return settings
    config, stock = model.peft_config[model.active_adapter], model.get_base_model()
    own = {
        "lora_rank": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "lora_variant": "dora" if config.use_dora else "rslora" if config.use_rslora else "lora",
        "train_norms": bool(config.modules_to_save),
    }
    layers = _linear_layers(stock)
    adapted = [path for path, module in layers.items() if isinstance(module, LoraLayer)]
    if adapted != _matching(layers, settings.lora_targets):
        own["lora_targets"] = _last_names(adapted)
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


def with_bits_of(settings: TrainSettings, info: dict) -> TrainSettings:
    """The settings with LOAD_BITS as the checkpoint with this content of cardiolect.json has it, if it is not set."""
    bits = bits_of(info)
    if not bits or "load_bits" in settings.model_fields_set:
        return settings
    settings = settings.model_copy(update={"load_bits": bits})
    settings.check_quantized()
    if launch.is_main():
        print(f"CHECKPOINT was trained on a language model of {bits} bits, and is again; LOAD_BITS=0: whole")
    return settings


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


def with_layer_names(settings: TrainSettings, model: LanguageModel) -> TrainSettings:
    """The settings with the names of the layers in the place of LORA_TARGETS=all-linear, as they are stored."""
    if settings.tuning != "lora" or settings.lora_targets != [ALL_LINEAR]:
        return settings
    model = inner_model(model)
    stock = model.get_base_model() if isinstance(model, PeftModel) else model
    layers = _linear_layers(stock)
    if (others := _other_weights(stock, layers)) and launch.is_main():
        print(f"LORA_TARGETS=all-linear: these weights get no adapters: {', '.join(others)}")
    return settings.model_copy(update={"lora_targets": _last_names(layers)})


def _linear_layers(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The linear layers of the language model that can have adapters, by path; the head is not one of them."""
    inside = {id(module) for module in model.get_decoder().modules()} - {id(model.get_output_embeddings())}
    layers: dict[str, nn.Module] = {}
    last = None
    for path, module in model.named_modules():
        part_of_last = last is not None and path.startswith(f"{last}.")
        if id(module) in inside and isinstance(module, nn.Linear | Conv1D | LoraLayer) and not part_of_last:
            layers[path] = module
            last = path
    taken = _names_of_experts(model)
    return {path: module for path, module in layers.items() if path.rpartition(".")[2] not in taken}


def _names_of_experts(model: PreTrainedModel) -> Collection[str]:
    """Names that PEFT takes for those of fused experts, even if linear layers have them, too (DeepSeek's MLP)."""
    return _MOE_TARGET_MODULE_MAPPING.get(_MODEL_TO_CONVERSION_PATTERN.get(model.config.model_type), {})


def _other_weights(model: PreTrainedModel, layers: dict[str, nn.Module]) -> list[str]:
    """Names of the language model's matrices, such as fused experts, that are neither layers nor embeddings."""
    parts = [*layers.values(), *(m for m in model.modules() if isinstance(m, nn.Embedding | BaseTunerLayer))]
    known = {id(parameter) for part in parts for parameter in part.parameters()}
    named = model.get_decoder().named_parameters()
    names = (".".join(path.split(".")[-2:]) for path, weight in named if weight.dim() > 1 and id(weight) not in known)
    return list(dict.fromkeys(names))


def _matching(layers: Sequence[str], names: Sequence[str]) -> list[str]:
    """The paths in ``layers`` that end with one of the names; all if the name is all-linear."""
    suffixes = tuple(f".{name}" for name in names)
    return [path for path in layers if names == [ALL_LINEAR] or f".{path}".endswith(suffixes)]


def _chosen(model: PreTrainedModel, names: Sequence[str]) -> list[str]:
    """Paths of the layers that get adapters. Raises `UserError` if the language model lacks a name."""
    layers = list(_linear_layers(model))
    missing = [name for name in names if name != ALL_LINEAR and not _matching(layers, [name])]
    if missing:
        experts = any(name in _names_of_experts(model) for name in missing)
        where = " outside of its experts, which get no adapters" if experts else ""
        raise UserError(
            f"LORA_TARGETS: the language model has no layers named {', '.join(missing)}{where}; it has "
            f"{', '.join(_last_names(layers))}"
        )
    return _matching(layers, names)


def _last_names(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(path.rpartition(".")[2] for path in paths))


def _for_peft(model: PreTrainedModel, layers: list[str]) -> list[str]:
    """What PEFT shall adapt: the last names of the layers, or their paths if other modules have such names too."""
    names = _last_names(layers)
    same = {path for path, _ in model.named_modules() if path.rpartition(".")[2] in names}
    return names if same == set(layers) else layers


def _norms(model: PreTrainedModel) -> list[str]:
    """Paths of the language model's normalisation layers that have weights."""
    inside = {id(module) for module in model.get_decoder().modules()}
    return [
        path
        for path, module in model.named_modules()
        if id(module) in inside
        and "norm" in f"{path.rpartition('.')[2]} {type(module).__name__}".lower()
        and any(True for _ in module.parameters(recurse=False))
    ]


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

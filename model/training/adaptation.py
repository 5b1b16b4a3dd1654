"""Choose the trained parameters: adapters or the whole model, and only the ECG rows of the token tables."""

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from cardiolect.model.llm.ecg_language_model import ECGLanguageModel, LanguageModel
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.settings import TrainSettings
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
        return model
    if isinstance(model, PeftModel):
        return model
    missing = [t for t in settings.lora_targets if not any(n.endswith(t) for n, _ in model.named_modules())]
    if missing:
        raise UserError(f"LORA_TARGETS: the language model has no layers named {', '.join(missing)}")
    new_rows = list(vocabulary.new_ids)
    names = {id(module): name.split(".")[-1] for name, module in model.named_modules()}
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
            target_modules=list(settings.lora_targets),
            trainable_token_indices=tables,
        ),
    )


def freeze_text_rows(model: PreTrainedModel, vocabulary: Vocabulary) -> None:
    """Zero the gradient of all rows except those of ECG tokens; without weight decay, text rows then never change."""
    tables = {id(t): t for t in (model.get_input_embeddings().weight, model.get_output_embeddings().weight)}
    for table in tables.values():
        trained = torch.zeros(table.shape[0], 1)
        trained[vocabulary.new_ids.start : vocabulary.new_ids.stop] = 1
        table.register_hook(lambda grad, trained=trained: grad * trained.to(grad))


def _tied(model: PreTrainedModel) -> bool:
    head = model.get_output_embeddings()
    return head is None or head.weight is model.get_input_embeddings().weight


def trainable_parameters(model: nn.Module) -> tuple[int, int]:
    """Numbers of trainable and of all parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad), sum(p.numel() for p in model.parameters())

"""Adapters of the ECG tokens' rows, as PEFT defines and saves them, at the cost of a small table.

PEFT writes the rows into a copy of the whole embedding and head, for every pass: several times the cost of a step with
a vocabulary of 128,000 tokens. Here the frozen table is used as it is, and what belongs to ECG tokens is replaced.
"""

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import PeftModel
from peft.tuners.trainable_tokens import TrainableTokensLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

# PEFT asks every language model by this name, about which users can do nothing.
warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)


class RowAdapter(TrainableTokensLayer):
    """PEFT's layer with the same parameters, names and merging, for contiguous ids of one adapter."""

    def forward_adapters(self, x: Tensor, active_adapters: list[str], *args, **kwargs) -> Tensor:
        if self.disable_adapters or self.merged or len(active_adapters) != 1:
            return super().forward_adapters(x, active_adapters, *args, **kwargs)
        (name,) = active_adapters
        first, table = self.token_indices[name][0], self.base_layer.weight
        rows = self.trainable_tokens_delta[name].to(table)
        found = self.base_layer(x, *args, **kwargs)
        if isinstance(self.base_layer, nn.Embedding):
            is_ecg = (x >= first) & (x < first + len(rows))
            own = F.embedding((x - first).clamp(0, len(rows) - 1), rows)
            scale = self._get_embed_scale()  # of Gemma
            own = own if scale is None else own * scale.to(own.dtype)
            return torch.where(is_ecg[..., None], own, found)
        # The gradient of a replaced logit flows back through the frozen row as well: subtract it, at the value 0.
        frozen = F.linear(x, self.trainable_tokens_original[name].to(table))
        return _Replaced.apply(found, F.linear(x, rows) + (frozen.detach() - frozen), first)


class _Replaced(torch.autograd.Function):
    """``logits`` with some columns replaced, without a copy of the others here or in the gradients."""

    @staticmethod
    def forward(ctx, logits: Tensor, own: Tensor, first: int) -> Tensor:
        ctx.columns = slice(first, first + own.shape[-1])
        logits = logits.detach()  # nothing else reads the head's output, and its gradient does not need it
        logits[..., ctx.columns] = own
        return logits

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        return gradient, gradient[..., ctx.columns], None


def load_adapters(model: PreTrainedModel, folder: Path, trainable: bool) -> PeftModel:
    """``model`` with the adapters of a checkpoint's folder, and its token rows computed as a `RowAdapter` does."""
    return use_row_adapters(PeftModel.from_pretrained(model, folder, is_trainable=trainable))


def use_row_adapters(model: PeftModel) -> PeftModel:
    """Compute the token rows of PEFT's adapters as a `RowAdapter` does; in place."""
    for module in model.modules():
        if type(module) is TrainableTokensLayer and all(map(_contiguous, module.token_indices.values())):
            module.__class__ = RowAdapter
    return model


def _contiguous(ids: list[int]) -> bool:
    return list(ids) == list(range(ids[0], ids[0] + len(ids)))

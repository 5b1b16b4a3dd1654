"""A stock causal LM that reads embedded ECGs: projected rows replace the placeholder tokens.

Without ECGs, `ECGLanguageModel` computes the same as the stock model. The saved language model is a stock folder, with
the projector in `PROJECTOR` and the representation in ``ecg_tokenizer/``.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.model.llm.projector import ProjectorKind, build_projector
from cardiolect.model.prompt.rendering import Prompt
from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import save_weights

if TYPE_CHECKING:  # takes a second to import, and only models with adapters need it
    from peft import PeftModel

PROJECTOR = "ecg_projector.safetensors"


class ECGLanguageModel(nn.Module):
    """A causal LM, an ECG representation that embeds, and the projector between them."""

    def __init__(
        self,
        language_model: "PreTrainedModel | PeftModel",
        representation: ECGRepresentation,
        placeholder_id: int,
        projector: ProjectorKind = "linear",
    ):
        super().__init__()
        self.language_model, self.placeholder_id = language_model, placeholder_id
        if any(True for _ in representation.trained_parameters()):
            self.representation = representation
        else:  # not a part that training moves, casts to its precision or saves with the others
            object.__setattr__(self, "representation", representation)
        width = language_model.get_input_embeddings().weight.shape[1]
        self.projector_kind = projector
        self.projector = build_projector(projector, representation.embedding_width, width)

    def forward(self, input_ids: Tensor | None = None, ecgs: Sequence[Any] = (), **inputs):
        """Like the language model. ecgs: items whose rows replace the placeholders of ``input_ids``, row by row."""
        if len(ecgs):
            return self.language_model(inputs_embeds=self.embed_prompts(input_ids, ecgs), **inputs)
        if self.training:  # ranks exchange the gradients of all parameters: those of the projector must be there, as 0
            embeddings = self.get_input_embeddings()(input_ids)
            unused = sum(parameter.sum() for parameter in self.ecg_parameters())
            return self.language_model(inputs_embeds=embeddings + 0 * unused, **inputs)
        return self.language_model(input_ids=input_ids, **inputs)

    def embed_prompts(self, input_ids: Tensor, ecgs: Sequence[np.ndarray | Tensor]) -> Tensor:
        """``(rows, tokens)`` -> ``(rows, tokens, width)``, with each item's rows in place of its placeholders.

        Raises ValueError if there are more or fewer placeholders than rows.
        """
        embeddings = self.get_input_embeddings()(input_ids)
        like = next(self.projector.parameters())  # training in bf16 casts all parameters
        items = [torch.as_tensor(np.array(ecg) if isinstance(ecg, np.ndarray) else ecg) for ecg in ecgs]
        rows = self.projector(self.representation.embed([item.to(like) for item in items]))
        places = input_ids == self.placeholder_id
        if int(places.sum()) != len(rows):
            raise ValueError(f"{int(places.sum())} placeholders in the prompts, but {len(rows)} rows to replace them")
        return embeddings.masked_scatter(places[..., None], rows.to(embeddings.dtype))

    def ecg_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters of the projector, and those of the representation that are trained with it."""
        yield from self.projector.parameters()
        yield from self.representation.trained_parameters()

    def save_projector(self, folder: Path) -> None:
        save_weights(self.projector, folder / PROJECTOR)

    def load_projector(self, folder: Path) -> None:
        """Raises `UserError` if the file is missing or does not fit."""
        try:
            self.projector.load_state_dict(load_file(folder / PROJECTOR))
        except (OSError, RuntimeError, ValueError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{folder / PROJECTOR}: the projector cannot be loaded ({reason})") from None

    @property
    def config(self):
        return self.language_model.config

    @property
    def device(self) -> torch.device:
        return self.language_model.device

    @property
    def dtype(self) -> torch.dtype:
        return self.language_model.dtype

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def get_output_embeddings(self) -> nn.Module:
        return self.language_model.get_output_embeddings()


LanguageModel: TypeAlias = "PreTrainedModel | PeftModel | ECGLanguageModel"


def inner_model(model: LanguageModel) -> "PreTrainedModel | PeftModel":
    """The language model itself, without the projector."""
    return model.language_model if isinstance(model, ECGLanguageModel) else model


def with_inner(model: LanguageModel, language_model: "PreTrainedModel | PeftModel") -> LanguageModel:
    """``model`` with its language model replaced (in place), for example by one with adapters."""
    if not isinstance(model, ECGLanguageModel):
        return language_model
    model.language_model = language_model
    return model


def embedded(prompts: Iterable[Prompt]) -> dict[str, list[np.ndarray]]:
    """Keyword arguments of a forward pass over the prefixes of prompts: their items, if ECGs are embedded."""
    items = [item for prompt in prompts for item in prompt.items]
    return {"ecgs": items} if items else {}


def embed_prompt(model: LanguageModel, ids: Sequence[int], items: Sequence[np.ndarray] = ()) -> Tensor:
    """Input embeddings ``(tokens, width)`` of one sequence, without gradients."""
    row = torch.tensor([list(ids)], device=model.device)
    with torch.no_grad():
        rows = model.embed_prompts(row, items) if len(items) else model.get_input_embeddings()(row)
    return rows[0]

"""Language models in folders on this machine: embeddings for retrieval, and answers."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cardiolect.utils.device import choose_device
from cardiolect.utils.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH = 32
MOST_TOKENS = 256  # of an answer
_PARTS = (".safetensors", ".json", ".model", ".txt")  # files that determine what a model answers


class Embedder:
    """Unit vectors of texts: the mean over the last layer's tokens. Texts are cut after the model's positions."""

    def __init__(self, folder: Path, device: str):
        from transformers import AutoModel

        self.tokenizer, self.model = _load(folder, AutoModel, "--embeddings", device)
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.unk_token
        self.name, self._longest = _named(folder), _longest(self.model, self.tokenizer)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """float32 ``(texts, width)``, each row of length 1."""
        import torch

        rows = []
        for start in range(0, len(texts), _BATCH):
            batch = self.tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=self._longest,
                return_tensors="pt",
            ).to(self.model.device)
            with torch.inference_mode():
                states = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0].float()
            mask = batch["attention_mask"].unsqueeze(-1).float()
            mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
            rows.append(torch.nn.functional.normalize(mean, dim=-1).cpu().numpy())
        return np.concatenate(rows)


class LocalModel:
    """Greedy answers of a causal language model, one at a time, with its chat template if it has one."""

    def __init__(self, folder: Path, device: str):
        from transformers import AutoModelForCausalLM

        self.tokenizer, self.model = _load(folder, AutoModelForCausalLM, "--model", device)
        self.name = _named(folder)
        self._longest = _longest(self.model, self.tokenizer)

    def answer(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The reply to OpenAI's messages. Raises `UserError` if they leave no room for one."""
        import torch

        if self.tokenizer.chat_template:
            prompt = self.tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        else:
            prompt = "\n\n".join(message["content"] for message in messages) + "\n\nAnswer: "
        tokens = self.tokenizer(prompt, return_tensors="pt", add_special_tokens=not self.tokenizer.chat_template)
        ids = tokens["input_ids"].to(self.model.device)
        if (room := self._longest - ids.shape[1]) < 1:
            raise UserError(
                f"--model {self.name}: reads {self._longest} tokens, and a prompt has {ids.shape[1]}; give fewer "
                "--passages"
            )
        with torch.inference_mode():
            out = self.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=min(MOST_TOKENS, room),
                pad_token_id=self.tokenizer.pad_token_id or self.tokenizer.eos_token_id or 0,
            )
        return self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()


def _load(folder: Path, kind: Any, option: str, device: str) -> "tuple[PreTrainedTokenizerBase, PreTrainedModel]":
    import torch
    from transformers import AutoTokenizer

    if not (folder / "config.json").is_file():
        raise UserError(f"{option} {folder}: no config.json; give the folder of a language model")
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = kind.from_pretrained(folder, use_safetensors=True, dtype=torch.float32, **options)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{option} {folder}: not a language model that transformers can read: {reason}") from None
    return tokenizer, model.to(choose_device(device)).eval()


def _longest(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> int:
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    return int(min(positions, tokenizer.model_max_length))


def _named(folder: Path) -> str:
    """The folder's name with a hash of its files, so that kept answers of other weights are not taken for these."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.iterdir() if each.suffix in _PARTS):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return f"{folder.resolve().name} {digest.hexdigest()[:12]}"

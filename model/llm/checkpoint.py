"""A checkpoint: a folder that is all you need to evaluate, query and serve a model.

    model.safetensors, config.json, tokenizer.json ...   a stock causal LM (or adapter_*.safetensors and .json)
    chat_template.jinja, generation_config.json          for stock servers
    ecg_tokenizer/                                       the ECG representation
    ecg_projector.safetensors                            only if the representation embeds ECGs
    cardiolect.json                                      stage, settings, fingerprints, figures
    README.md                                            model card, written by training

safetensors and JSON only.
"""

import hashlib
import json
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.model.llm.ecg_language_model import (
    PROJECTOR,
    ECGLanguageModel,
    LanguageModel,
    inner_model,
    with_inner,
)
from cardiolect.model.llm.projector import ProjectorKind
from cardiolect.model.llm.sources import language_model_folder
from cardiolect.model.llm.token_rows import extend_embeddings
from cardiolect.model.prompt.chat_template import set_chat_template
from cardiolect.model.prompt.vocabulary import ECG_START, Vocabulary
from cardiolect.utils.errors import UserError

INFO = "cardiolect.json"
FINGERPRINTED = (  # in addition to the weights
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
MAX_NEW_TOKENS = 200  # default limit of an answer
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Checkpoint:
    """The contents of a checkpoint folder."""

    model: LanguageModel
    vocabulary: Vocabulary
    representation: ECGRepresentation
    info: dict = field(default_factory=dict)

    @property
    def is_stock(self) -> bool:
        """Whether the model is a stock causal LM, which reads an ECG as text."""
        return not self.representation.embeds


def load_language_model(path: Path | str, precision: str, **placement):
    """``(model, tokenizer)`` of any causal LM, see `language_model_folder`; placement: see `quantization.placement`.

    Raises `UserError` if there is none, or if it cannot answer questions that are packed after one ECG.
    """
    path = language_model_folder(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            path,
            local_files_only=True,
            dtype=DTYPES[precision],
            # Packed rows need a boolean 4-D mask, which eager attention would add to the scores.
            attn_implementation="sdpa",
            **placement,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(
            f"{path}: no causal language model can be loaded: {' '.join(str(error).split())[:200]}"
        ) from None
    kinds = set(getattr(model.config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if kinds or getattr(model, "_is_stateful", False):
        names = f" ({', '.join(sorted(kinds))})" if kinds else ""
        raise UserError(f"{path}: some layers keep a state{names}; questions packed after one ECG would see each other")
    return model, tokenizer


def longest_sequence(model: LanguageModel) -> int | None:
    """The most tokens that the language model takes: its positions, or its sliding window, which packing ignores."""
    limits = [getattr(model.config, key, None) for key in ("max_position_embeddings", "sliding_window")]
    return min((limit for limit in limits if limit), default=None)


def new_checkpoint(
    model: PreTrainedModel,
    tokenizer,
    representation: ECGRepresentation,
    seed: int,
    projector: ProjectorKind = "linear",
) -> Checkpoint:
    """Add the tokens of an ECG representation to a text model, untrained.

    seed: of the new rows and of the projector. projector: only used if the representation embeds ECGs.
    """
    fresh = ECG_START not in tokenizer.get_vocab()
    vocabulary = Vocabulary.extend(tokenizer, representation.vocabulary_size, representation.embeds)
    if fresh:  # otherwise the language model keeps the rows that it has learned
        extend_embeddings(model, vocabulary, representation.geometry(), seed)
    checkpoint = Checkpoint(model, vocabulary, representation, {"embedding_seed": seed})
    if representation.embeds:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            checkpoint.model = ECGLanguageModel(model, representation, vocabulary.first_code_id, projector)
        checkpoint.info["projector"] = projector
    return checkpoint


def read_info(path: Path) -> dict:
    """The contents of cardiolect.json. Raises `UserError` if ``path`` is not a checkpoint."""
    if not (path / INFO).is_file():
        raise UserError(f"{path}: not a checkpoint ({INFO} is missing); pretrain.sh and finetune.sh write them")
    return _read_json(path / INFO)


def load_checkpoint(path: Path, precision: str = "fp32", trainable: bool = False, **placement) -> Checkpoint:
    """Load a folder that `save_checkpoint` wrote; placement: see `quantization.placement`.

    Raises `UserError` if a part is missing or damaged.
    """
    info = read_info(path)
    representation = load_representation(path / "ecg_tokenizer")
    base = _base_of(path)
    model, tokenizer = load_language_model(base or path, precision, **placement)
    # A complete model already has its ECG rows. A base model gets them as before training, and then the adapters.
    seed, projector = info.get("embedding_seed", 0), info.get("projector", "linear")
    checkpoint = new_checkpoint(model, tokenizer, representation, seed, projector)
    checkpoint.info = info
    if base is not None:
        adapted = PeftModel.from_pretrained(inner_model(checkpoint.model), path, is_trainable=trainable)
        checkpoint.model = with_inner(checkpoint.model, adapted)
    if isinstance(checkpoint.model, ECGLanguageModel):
        checkpoint.model.load_projector(path)
        for parameter in checkpoint.model.ecg_parameters():
            parameter.data = parameter.data.to(model.device, DTYPES[precision])
    return checkpoint


def fingerprint(folder: Path) -> str:
    """Short hash of everything that determines a checkpoint's answers.

    That is weights, configuration and text tokenizer (for adapters also those of the base model) and the ECG tokenizer.
    Raises `UserError` if one of these is missing.
    """
    digest, paths = hashlib.sha256(), []
    for part in (folder, folder / "ecg_tokenizer", _base_of(folder)):
        if part is not None:
            if not part.is_dir():
                raise UserError(f"{folder}: not a checkpoint ({part} is missing)")
            paths += [
                path for path in sorted(part.iterdir()) if path.suffix == ".safetensors" or path.name in FINGERPRINTED
            ]
    for path in paths:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _base_of(folder: Path) -> Path | None:
    """The language model that a checkpoint's adapters belong to; None if the checkpoint is a complete model."""
    config = folder / "adapter_config.json"
    if not config.is_file():
        return None
    name = _read_json(config).get("base_model_name_or_path")
    if not isinstance(name, str):
        raise UserError(f"{config}: does not name a language model; is the checkpoint complete?")
    if not Path(name).is_dir():
        raise UserError(
            f"{folder}: contains adapters of the language model {name}, which does not exist; put it back or merge"
        )
    return Path(name)


def _read_json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        reason = " ".join(str(error).split())[:80]
        raise UserError(f"{path}: not JSON ({reason}); is the checkpoint complete?") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: does not contain a JSON object; is the checkpoint complete?")
    return found


def save_checkpoint(checkpoint: Checkpoint, folder: Path, merge: bool) -> None:
    """Write the folder. merge: fold adapters into the model, in place, which makes it a stock model."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    model = inner_model(checkpoint.model)
    if merge and isinstance(model, PeftModel):
        model = model.merge_and_unload()
    if not isinstance(model, PeftModel):
        model.generation_config = generation_config(checkpoint.vocabulary)
    model.save_pretrained(folder)
    if isinstance(checkpoint.model, ECGLanguageModel):
        checkpoint.model.save_projector(folder)
    else:
        set_chat_template(checkpoint.vocabulary)
    checkpoint.vocabulary.tokenizer.save_pretrained(folder)
    checkpoint.representation.save_pretrained(folder / "ecg_tokenizer")
    packages = ("torch", "transformers", "peft", "deepspeed", "vector-quantize-pytorch")
    info = {
        **checkpoint.info,
        "representation": checkpoint.representation.name,
        "ecg_tokenizer_fingerprint": checkpoint.representation.fingerprint(),
        "versions": {name: version(name) for name in packages},
    }
    (folder / INFO).write_text(json.dumps(info, indent=2, sort_keys=True) + "\n")


def _remove_earlier(folder: Path) -> None:
    """Remove what a checkpoint of another kind has left in the folder.

    Adapters next to a whole model would be taken for the model, and a projector for that of embedded ECGs.
    """
    stale = (PROJECTOR, "chat_template.jinja", "config.json", "generation_config.json")
    for path in [*folder.glob("adapter_*"), *folder.glob("model*.safetensors*"), *(folder / name for name in stale)]:
        path.unlink(missing_ok=True)
    for path in (folder / "ecg_tokenizer").glob("*"):
        path.unlink()


def generation_config(vocabulary: Vocabulary) -> GenerationConfig:
    """Settings with which a stock ``generate`` or server answers like `model.inference.generation`.

    Answers are greedy and without ECG tokens.
    """
    words = vocabulary.tokenizer
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=MAX_NEW_TOKENS,
        suppress_tokens=list(vocabulary.new_ids),
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )

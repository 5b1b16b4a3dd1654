"""A checkpoint: a folder that is all you need to evaluate, query and serve a model.

    model.safetensors, config.json, tokenizer.json ...   a stock causal LM (or adapter_*.safetensors and .json)
    chat_template.jinja, generation_config.json          for stock servers
    base_chat_template.jinja                             that of the initial language model, if it has one
    ecg_tokenizer/                                       the ECG representation
    ecg_projector.safetensors                            only if the representation embeds ECGs
    retrieval/                                           the index of similar training recordings, with RETRIEVE
    cardiolect.json                                      stage, settings, fingerprints, figures
    calibration.json                                     probabilities of yes, written by ``cardiolect calibrate``
    README.md                                            model card, written by training

safetensors and JSON only.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.retrieval.index import NeighbourIndex
from cardiolect.model.llm.checkpoint_folder import (
    BASE_CHAT_TEMPLATE,
    INFO,
    base_of,
    bits_of,
    check_ecg_tokenizer,
    load_ecg_tokenizer,
    load_index,
    read_info,
)
from cardiolect.model.llm.ecg_language_model import ECGLanguageModel, LanguageModel, inner_model, with_inner
from cardiolect.model.llm.projector import ProjectorKind
from cardiolect.model.llm.quantization import check_widths, quantized
from cardiolect.model.llm.sources import language_model_folder
from cardiolect.model.llm.supported import unsupported
from cardiolect.model.llm.token_rows import extend_embeddings
from cardiolect.model.prompt.chat_template import PromptKind, with_prompt
from cardiolect.model.prompt.vocabulary import ECG_START, Vocabulary
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

MAX_NEW_TOKENS = 200  # default limit of an answer
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Checkpoint:
    """The contents of a checkpoint folder. index: of the training recordings, if prompts have similar ones."""

    model: LanguageModel
    vocabulary: Vocabulary
    representation: ECGRepresentation
    info: dict = field(default_factory=dict)
    index: NeighbourIndex | None = None

    @property
    def is_stock(self) -> bool:
        """Whether the model is a stock causal LM, which reads an ECG as text."""
        return not self.representation.embeds

    def use_prompt(self, prompt: PromptKind, in_system: bool = False) -> None:
        """Write prompts of this kind from now on; in_system: similar recordings stand in their system message.

        Raises `UserError` if the language model's chat cannot be used like this.
        """
        self.vocabulary = with_prompt(self.vocabulary, prompt, in_system)
        self.info["prompt"] = prompt

    def mark_times(self, marked: bool) -> None:
        """Whether ranges of times in questions get the tokens of the representation's `time_bins` from now on."""
        bins = self.representation.time_bins if marked else None
        self.vocabulary = replace(self.vocabulary, time_bins=bins)
        if bins is not None:
            self.info["times_marked"] = True


def load_language_model(path: Path | str, precision: str, **placement):
    """``(model, tokenizer)`` of any causal LM, see `language_model_folder`; placement: see `quantization.quantized`.

    Raises `UserError` if there is none, or if it cannot answer questions that are packed after one ECG.
    """
    path = language_model_folder(path)
    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        if config.is_encoder_decoder:
            raise UserError(f"{path}: a {config.model_type} model cannot be used: it has an encoder and a decoder")
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model, found = AutoModelForCausalLM.from_pretrained(
            path,
            local_files_only=True,
            dtype=DTYPES[precision],
            output_loading_info=True,
            **placement,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise UserError(
            f"{path}: no causal language model can be loaded: {' '.join(str(error).split())[:200]}"
        ) from None
    _check_weights(path, found["missing_keys"], found["unexpected_keys"])
    if (Path(path) / INFO).is_file():  # chat_template.jinja is then of our making
        own = Path(path) / BASE_CHAT_TEMPLATE
        tokenizer.chat_template = own.read_text(encoding="utf-8") if own.is_file() else None
    if placement:
        check_widths(model)
    if reason := unsupported(model):
        raise UserError(
            f"{path}: a {model.config.model_type} model cannot be used: {reason}; questions packed after one ECG would "
            "not be answered as if each were asked alone"
        )
    return model, tokenizer


def _check_weights(path: Path, missing: Iterable[str], unexpected: Iterable[str]) -> None:
    """Raises `UserError` if weights are missing, which Transformers draws at random, or left over in a checkpoint."""
    if missing:
        raise UserError(f"{path}: lacks weights that its config.json asks for ({_names(missing)})")
    if unexpected:
        line = f"{path}: has weights that its config.json has no place for ({_names(unexpected)})"
        if (path / INFO).is_file():
            raise UserError(line)
        launch.announce(f"{line}; they are not used")


def _names(weights: Iterable[str]) -> str:
    return f"{len(set(weights))}, such as {min(weights)}"


def longest_sequence(model: LanguageModel) -> int | None:
    """The most tokens that the language model takes; None if there is no limit."""
    text = model.config.get_text_config()
    limits = [getattr(text, "max_position_embeddings", None)]
    rope = getattr(text, "rope_parameters", None) or {}
    for parameters in (rope, *(each for each in rope.values() if isinstance(each, dict))):
        if parameters.get("rope_type") == "longrope":
            # Beyond, one long row would change the positions of all tokens in its batch, and of those already cached.
            limits.append(parameters.get("original_max_position_embeddings"))
    return min((limit for limit in limits if limit), default=None)


def new_checkpoint(
    model: PreTrainedModel,
    tokenizer,
    representation: ECGRepresentation,
    seed: int,
    projector: ProjectorKind = "linear",
    row_multiple: int = 1,
    spread: float = 1.0,
) -> Checkpoint:
    """Add the tokens of an ECG representation to a text model, untrained.

    seed: of the new rows and of the projector. projector: only used if the representation embeds ECGs. row_multiple,
    spread: of the new rows, see `extend_embeddings`.
    """
    fresh = ECG_START not in tokenizer.get_vocab()
    vocabulary = Vocabulary.extend(tokenizer, representation.vocabulary_size, representation.embeds)
    if fresh:  # otherwise the language model keeps the rows that it has learned
        extend_embeddings(model, vocabulary, representation.geometry(), seed, row_multiple, spread)
    info = {"embedding_seed": seed, "row_multiple": row_multiple}
    checkpoint = Checkpoint(model, vocabulary, representation, info)
    if representation.embeds:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            checkpoint.model = ECGLanguageModel(model, representation, vocabulary.first_code_id, projector)
        checkpoint.info["projector"] = projector
    return checkpoint


def check_ecg_rows(path: Path, words, representation: ECGRepresentation, where: Path) -> None:
    """`check_ecg_tokenizer` of a language model that has ECG tokens already. words: its text tokenizer.

    Raises `UserError`, too, if nothing says which ECG tokenizer its rows belong to.
    """
    if (path / INFO).is_file():
        check_ecg_tokenizer(path, representation, where)
    elif ECG_START in words.get_vocab():
        raise UserError(f"{path}: has ECG tokens, but no {INFO} says of which ECG tokenizer; take the whole checkpoint")


def load_checkpoint(
    path: Path,
    precision: str = "fp32",
    trainable: bool = False,
    load_bits: int | None = None,
    device: str = "auto",
    **placement,
) -> Checkpoint:
    """Load a folder that `saving.save_checkpoint` wrote.

    load_bits: 4 or 8 quantises the language model on ``device``, 0 leaves it as it is, None does as in training.
    placement: see `quantization.placement`. Raises `UserError` if a part is missing or damaged.
    """
    info = read_info(path)
    representation = load_ecg_tokenizer(path)
    base = base_of(path)
    if bits := bits_of(info) if load_bits is None and not placement else load_bits:
        if representation.embeds:
            raise UserError(f"LOAD_BITS={bits}: {path} embeds ECGs, which need whole weights")
        placement = quantized(bits, DTYPES[precision], device)
    model, tokenizer = load_language_model(base or path, precision, **placement)
    # A complete model already has its ECG rows. A base model gets them as before training, and then the adapters.
    seed, projector = info.get("embedding_seed", 0), info.get("projector", "linear")
    multiple = info.get("row_multiple", 1)  # older checkpoints have no spare rows
    checkpoint = new_checkpoint(model, tokenizer, representation, seed, projector, multiple)
    checkpoint.info, checkpoint.index = info, load_index(path)
    in_system = checkpoint.index is not None and checkpoint.index.retrieval.place == "system"
    try:
        checkpoint.use_prompt(info.get("prompt", "plain"), in_system)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    checkpoint.mark_times(info.get("times_marked", False))  # older ones were trained without
    if base is not None:
        from cardiolect.model.llm.row_adapters import load_adapters  # PEFT takes a second to import

        adapted = load_adapters(inner_model(checkpoint.model), path, trainable)
        checkpoint.model = with_inner(checkpoint.model, adapted)
    if isinstance(checkpoint.model, ECGLanguageModel):
        checkpoint.model.load_projector(path)
        checkpoint.model.projector.to(model.device, DTYPES[precision])
        if any(True for _ in representation.trained_parameters()):
            representation.to(model.device, DTYPES[precision])  # with the buffers of its norms
    return checkpoint

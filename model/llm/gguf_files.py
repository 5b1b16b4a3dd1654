"""Converts a GGUF file to a folder that transformers loads, trains and saves.

transformers reads some GGUF files, but leaves the result marked as quantised, refuses to save it, and drops what it
does not know without a word. Here the weights become float32, and whatever would be lost ends the conversion.
"""

import hashlib
import json
import logging
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import torch
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
from transformers.integrations.gguf.reader import GgufHeader, read_gguf_metadata
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import share

SOURCE = "gguf_source.json"  # in a converted folder: name and hash of the file that it was made from
ARCHITECTURES = ("llama", "qwen2", "qwen3", "gemma3")  # those whose conversion was compared with the original model
_ROPE = "rope_freqs.weight"  # how Llama 3.1 and later scale positions
_AS_GPT2 = ("gpt-2", "phi-2", "mpt", "olmo", "jais")  # names of ways to split text before byte pairs are merged
_DIGITS_APART = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
_ORIGINAL = "set LLM_PATH to the folder with the original safetensors and tokenizer"
_PROBE = "The rate  is 1234 bpm, isn't it?\n\n  QTc: 440\tms (±5 %);  don't.\n"


def is_converted(folder: Path, file: Path) -> bool:
    """Whether `convert_gguf` has made ``folder`` from ``file``."""
    source = folder / SOURCE
    return source.is_file() and json.loads(source.read_text()) == _identity(file)


def convert_gguf(file: Path, folder: Path) -> None:
    """Write the model and tokenizer of ``file`` to ``folder``, in float32.

    Raises `UserError` if the file is damaged or holds what cannot be converted.
    """
    with _one_line(file):
        metadata, _ = read_gguf_metadata(str(file))
        header = GgufHeader.from_file(str(file))
        _check(file, metadata, header)
        model, tokenizer = _load(file, metadata.get(f"{header.architecture}.attention.key_length"))
        _check_complete(file, header, model)
        if header.architecture == "llama" and "llama.attention.head_count_kv" not in metadata:
            _restore_halves(model)
        _split_text(file, tokenizer, metadata)
        plain = _without_quantisation(model, _rope_factors(header))
    plain.save_pretrained(folder)
    share(folder.glob("*.safetensors"))
    tokenizer.save_pretrained(folder)
    if AutoTokenizer.from_pretrained(folder, local_files_only=True)(_PROBE) != tokenizer(_PROBE):
        raise UserError(f"{file}: its tokenizer splits text differently once it is saved; {_ORIGINAL}")
    (folder / SOURCE).write_text(json.dumps(_identity(file)) + "\n")  # last: without it the folder is incomplete


def _identity(file: Path) -> dict:
    with file.open("rb") as opened:
        return {"file": file.name, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


@contextmanager
def _one_line(file: Path):
    """Every failure as a `UserError`: a damaged file raises errors of any kind, deep inside the libraries."""
    chatty = logging.getLogger("transformers")
    level = chatty.level
    chatty.setLevel(logging.ERROR)  # that tokens of a GGUF are not in their usual class is what is checked here
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise UserError(f"{file}: not a GGUF file that can be converted: {reason}") from None
    finally:
        chatty.setLevel(level)


def _check(file: Path, metadata: dict, header: GgufHeader) -> None:
    if header.architecture not in ARCHITECTURES:
        raise UserError(
            f"{file}: GGUF files of {header.architecture} are not converted, only those of {', '.join(ARCHITECTURES)}; "
            f"{_ORIGINAL}"
        )
    end = header.data_start + max((t.offset + t.nbytes for t in header.tensors), default=0)
    if file.stat().st_size < end:
        raise UserError(f"{file}: damaged: {file.stat().st_size:,} of {end:,} bytes; fetch it again")
    scaling = metadata.get(f"{header.architecture}.rope.scaling.type", "none")
    if scaling != "none":
        raise UserError(f"{file}: scales its positions ({scaling}), which is lost in a conversion; {_ORIGINAL}")


def _load(file: Path, head_dim: int | None) -> tuple[PreTrainedModel, object]:
    place = {"gguf_file": file.name, "local_files_only": True}
    config = AutoConfig.from_pretrained(file.parent, **place)
    if head_dim is not None:  # transformers takes the default of Qwen3
        config.head_dim = head_dim
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **place)
    for key in ("local_files_only", "is_local"):  # how it was read, not what it is
        tokenizer.init_kwargs.pop(key, None)
    model, found = AutoModelForCausalLM.from_pretrained(
        file.parent, config=config, dtype=torch.float32, output_loading_info=True, **place
    )
    if found["missing_keys"]:
        raise UserError(f"{file}: lacks weights, such as {sorted(found['missing_keys'])[0]}")
    return model, tokenizer


def _check_complete(file: Path, header: GgufHeader, model: PreTrainedModel) -> None:
    held = sum(prod(tensor.shape) for tensor in header.tensors if tensor.name != _ROPE)
    used = sum(parameter.numel() for parameter in model.parameters())
    if held != used:
        raise UserError(f"{file}: holds {held:,} weights, of which the {header.architecture} model has {used:,}")


def _split_text(file: Path, tokenizer, metadata: dict) -> None:
    """Split text before byte pairs are merged as the model's own tokenizer does; transformers knows some ways only."""
    if metadata.get("tokenizer.ggml.model") != "gpt2":
        return  # SentencePiece does not split
    way = metadata.get("tokenizer.ggml.pre", "default")
    if way in _DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    elif way not in (*_AS_GPT2, *GGUF_PRE_TOKENIZER_SPLITS):
        raise UserError(f"{file}: how its tokenizer splits text ({way}) is not known here; {_ORIGINAL}")


@torch.no_grad()
def _restore_halves(model: PreTrainedModel) -> None:
    """Bring the rows of queries and keys, which llama.cpp interleaves, into transformers' order.

    transformers does so itself only if the file states its number of KV heads, which is optional.
    """
    heads = model.config.num_attention_heads
    for layer in model.model.layers:
        for weight in (layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight):
            weight.copy_(weight.unflatten(0, (heads, -1, 2)).swapaxes(1, 2).flatten(0, 2))


def _rope_factors(header: GgufHeader) -> np.ndarray | None:
    for tensor in header.tensors:
        if tensor.name == _ROPE:
            return np.fromfile(header.path, "<f4", prod(tensor.shape), offset=header.data_start + tensor.offset)
    return None


def _without_quantisation(model: PreTrainedModel, rope_factors: np.ndarray | None) -> PreTrainedModel:
    """The same weights in a model that can be saved."""
    config = model.config
    for key in ("quantization_config", "_model_name_or_path"):
        if hasattr(config, key):
            delattr(config, key)
    if rope_factors is not None:
        _scale_rope(config, rope_factors)
    with torch.device("meta"):
        plain = type(model)(config)
    plain.load_state_dict(model.state_dict(), assign=True)
    plain.tie_weights()
    plain.generation_config = model.generation_config
    return plain


def _scale_rope(config: PreTrainedConfig, factors: np.ndarray) -> None:
    """Restore the scaling of Llama 3.1 and later, of which a GGUF file keeps only the result.

    factors: (head_dim / 2,), by which the frequencies are divided.
    """
    plain = config.rope_parameters["rope_theta"] ** -(np.arange(len(factors)) / len(factors))
    config.rope_parameters = {
        **config.rope_parameters,
        "rope_type": "llama3",
        "factor": float(factors.max()),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    if not np.allclose(frequencies.numpy(), plain / factors, rtol=1e-4):
        raise UserError("it scales its positions in another way than Llama 3.1 to 3.3")

"""GGUF files of tiny Llamas, written with gguf's own writer as llama.cpp's converter writes them."""

import json
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
OTHERS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def digits_apart() -> PreTrainedTokenizerFast:
    """A byte-level BPE that splits text as SmolLM2 does."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(["Is the rate  57 bpm?\nthe   12 leads, the rate", "  1", "  1", "  1"] * 9, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<|im_start|>", eos_token="<|im_end|>", unk_token="<|endoftext|>"
    )


def tiny_llama(tied: bool = True, **config) -> LlamaForCausalLM:
    torch.manual_seed(2)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = {**sizes, **heads, **config}
    return LlamaForCausalLM(LlamaConfig(vocab_size=320, tie_word_embeddings=tied, **config)).eval()


def write_gguf(
    path: Path,
    model: LlamaForCausalLM,
    architecture: str = "llama",
    split: str = "smollm",
    extra=(),
    kv_heads: bool = True,
    **strings,
) -> Path:
    """The model with `digits_apart`.

    extra: ``(name, array)`` of more tensors. kv_heads: whether their number is stated. strings: more metadata.
    """
    writer, config = gguf.GGUFWriter(path, architecture), model.config
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    if kv_heads:
        writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    for key, value in strings.items():
        writer.add_string(f"{architecture}.{key.replace('__', '.')}", value)
    _add_tokenizer(writer, split)
    for name, tensor in model.state_dict().items():
        if name != "lm_head.weight" or not config.tie_word_embeddings:
            array = tensor.numpy()
            for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
                if part in name:
                    array = _permuted(array, heads)
            writer.add_tensor(_gguf_name(name), np.ascontiguousarray(array))
    for name, array in extra:
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: gguf.GGUFWriter, split: str) -> None:
    words = digits_apart()
    bpe = json.loads(words.backend_tokenizer.to_str())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(sorted(bpe["vocab"], key=bpe["vocab"].get))
    writer.add_token_types([3] * 3 + [1] * (len(bpe["vocab"]) - 3))  # control, then normal tokens
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(words.bos_token_id)
    writer.add_eos_token_id(words.eos_token_id)
    writer.add_unk_token_id(words.unk_token_id)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")


def _permuted(array: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a head in llama.cpp's order: halves interleaved."""
    return array.reshape(heads, 2, array.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(array.shape)


def _gguf_name(name: str) -> str:
    stem, suffix = name.rsplit(".", 1)
    if stem in OTHERS:
        return f"{OTHERS[stem]}.{suffix}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{LAYER[part]}.{suffix}"

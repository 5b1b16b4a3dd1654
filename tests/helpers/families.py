"""Tiny configurations of many families of language models, with random weights."""

from collections.abc import Callable
from typing import NamedTuple

import transformers as t
from transformers import PreTrainedConfig

SIZES = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512
)
GROUPED = SIZES | dict(num_key_value_heads=2)  # fewer keys than queries
WINDOW = 24
MIXED = dict(sliding_window=WINDOW, layer_types=["sliding_attention", "full_attention"])
EXPERTS = dict(num_experts=4, num_local_experts=4, num_experts_per_tok=2, moe_intermediate_size=16)
LATENT = dict(q_lora_rank=8, kv_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=8, v_head_dim=8)
DEEPSEEK = (
    SIZES
    | LATENT
    | dict(
        num_key_value_heads=4,
        n_routed_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=16,
        first_k_dense_replace=1,
    )
    | dict(n_group=1, topk_group=1)
)
PICTURES = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)
LONGROPE = dict(rope_type="longrope", short_factor=[1.0] * 4, long_factor=[2.0] * 4)
MAMBA = dict(mamba_n_heads=8, mamba_d_head=8, num_local_experts=0, shared_intermediate_size=48)


class Family(NamedTuple):
    """config: from a vocabulary's size and its special tokens. targets: layers that get adapters."""

    config: Callable[..., PreTrainedConfig]
    targets: tuple[str, ...] = ("q_proj", "v_proj")


def family(kind: str, *targets: str, **settings) -> Family:
    config = getattr(t, f"{kind}Config")
    return Family(lambda **words: config(**words, **settings), targets or ("q_proj", "v_proj"))


def gemma3_with_pictures(**words) -> PreTrainedConfig:
    """As Gemma-3 4B and up: the text model is a part."""
    return t.Gemma3Config(
        text_config=dict(GROUPED, head_dim=8, **MIXED, **words),
        vision_config=dict(PICTURES, patch_size=8),
        mm_tokens_per_image=1,
        image_token_index=words["vocab_size"] - 1,
        **{key: value for key, value in words.items() if key.endswith("token_id")},
    )


TRAINED = {
    "llama": family("Llama", **GROUPED),
    "llama 3": family("Llama", **GROUPED, rope_parameters=LLAMA3 | dict(original_max_position_embeddings=32)),
    "mistral": family("Mistral", **GROUPED, sliding_window=None),
    "mistral 0.1": family("Mistral", **GROUPED, sliding_window=WINDOW),
    "ministral": family("Ministral", **GROUPED, sliding_window=WINDOW, head_dim=8),
    "mixtral": family("Mixtral", **GROUPED, **EXPERTS, sliding_window=None),
    "starcoder2": family("Starcoder2", **GROUPED, sliding_window=WINDOW),
    "qwen2": family("Qwen2", **GROUPED),
    "qwen2 with a window": family(
        "Qwen2", **GROUPED, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "qwen2_moe": family("Qwen2Moe", **GROUPED, **EXPERTS, shared_expert_intermediate_size=16),
    "qwen3": family("Qwen3", **GROUPED, head_dim=8),
    "qwen3_moe": family("Qwen3Moe", **GROUPED, **EXPERTS, head_dim=8),
    "gemma": family("Gemma", **GROUPED, head_dim=8),
    "gemma2": family("Gemma2", **GROUPED, head_dim=8, query_pre_attn_scalar=8, **MIXED),
    "gemma3_text": family("Gemma3Text", **GROUPED, head_dim=8, query_pre_attn_scalar=8, **MIXED),
    "gemma3": Family(gemma3_with_pictures),
    "phi": family("Phi", **SIZES),
    "phi3": family("Phi3", "qkv_proj", "o_proj", **GROUPED, sliding_window=WINDOW),
    "phi3 long": family(
        "Phi3",
        "qkv_proj",
        **GROUPED,
        sliding_window=None,
        rope_parameters=LONGROPE | dict(original_max_position_embeddings=384),
        original_max_position_embeddings=384,
    ),
    "smollm3": family("SmolLM3", **GROUPED),
    "olmo2": family("Olmo2", **GROUPED),
    "olmo3": family("Olmo3", **GROUPED, **MIXED),
    "granite": family("Granite", **GROUPED),
    "granitemoehybrid": family("GraniteMoeHybrid", **GROUPED, **MAMBA, layer_types=["attention"] * 2),
    "gpt2": family("GPT2", "c_attn", "c_fc", n_embd=32, n_layer=2, n_head=4, n_positions=512),
    "gpt_neox": family("GPTNeoX", "query_key_value", **SIZES),
    "gptj": family("GPTJ", n_embd=32, n_layer=2, n_head=4, n_positions=512, rotary_dim=4),
    "opt": family("OPT", **SIZES, ffn_dim=48, word_embed_proj_dim=32),
    "falcon": family("Falcon", "query_key_value", **SIZES, alibi=False, new_decoder_architecture=False),
    "stablelm": family("StableLm", **GROUPED),
    "nemotron": family("Nemotron", **GROUPED),
    "cohere": family("Cohere", **GROUPED),
    "cohere2": family("Cohere2", **GROUPED, **MIXED),
    "exaone4": family("Exaone4", **GROUPED, **MIXED),
    "glm4": family("Glm4", **GROUPED, head_dim=8),
    "ernie4_5": family("Ernie4_5", **GROUPED),
    "deepseek_v3": family("DeepseekV3", "q_b_proj", "o_proj", **DEEPSEEK),
    "gpt_oss": family("GptOss", **GROUPED, head_dim=8, **MIXED, num_local_experts=4, num_experts_per_tok=2),
}

REFUSED = {
    "bloom": (family("Bloom", hidden_size=32, n_layer=2, n_head=4), "ALiBi"),
    "mpt": (family("Mpt", d_model=32, n_layers=2, n_heads=4), "ALiBi"),
    "falcon": (family("Falcon", **SIZES, alibi=True, new_decoder_architecture=False), "ALiBi"),
    "gpt_neo": (
        family("GPTNeo", hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]]),
        "local attention",
    ),
    "llama4_text": (
        family("Llama4Text", **GROUPED, head_dim=8, intermediate_size_mlp=48, num_local_experts=2),
        "chunked attention",
    ),
    "gemma3n_text": (
        family(
            "Gemma3nText",
            **GROUPED,
            **MIXED,
            head_dim=8,
            vocab_size_per_layer_input=64,
            hidden_size_per_layer_input=4,
            num_kv_shared_layers=0,
            laurel_rank=4,
            activation_sparsity_pattern=[0.0, 0.0],
        ),
        "an embedding in every layer",
    ),
    "mamba": (family("Mamba", hidden_size=32, num_hidden_layers=2), "keep a state"),
    "jamba": (
        family(
            "Jamba",
            **GROUPED,
            num_experts=2,
            num_experts_per_tok=1,
            use_mamba_kernels=False,
            attn_layer_period=2,
            attn_layer_offset=1,
        ),
        "keep a state",
    ),
    "falcon_h1": (
        family("FalconH1", **GROUPED, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_head=8, mamba_n_groups=1),
        "keep a state",
    ),
    "granitemoehybrid": (
        family("GraniteMoeHybrid", **GROUPED, **MAMBA, layer_types=["mamba", "attention"]),
        "keep a state",
    ),
    "qwen3_next": (family("Qwen3Next", **GROUPED, **EXPERTS, head_dim=8), "keep a state"),
    "rwkv": (family("Rwkv", hidden_size=32, num_hidden_layers=2, attention_hidden_size=32), "keep a state"),
    "lfm2": (family("Lfm2", **GROUPED, layer_types=["conv", "full_attention"]), "convolutions"),
    "deepseek_v32": (family("DeepseekV32", **DEEPSEEK), "sparse attention"),
    "bart": (family("Bart", d_model=32, decoder_layers=2, decoder_attention_heads=4), "positions"),
    "bert": (family("Bert", **SIZES, is_decoder=False), "not causal"),
}

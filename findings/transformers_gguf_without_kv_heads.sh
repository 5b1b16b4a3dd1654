#!/usr/bin/env bash
# transformers 5.23.0 scrambles the queries and keys of a Llama GGUF file that does not state the number of KV heads.
#
# It hurts whoever loads such a file of a model without grouped queries: shapes fit, loading reports nothing, and the
# model writes nonsense.
#
# Standard: in the GGUF specification attention.head_count_kv is optional; a model without it has as many heads of keys
# and values as of queries (no grouped-query attention). llama.cpp stores the rows of queries and keys interleaved.
# Seen: a tiny model with random weights, in float32, with and without that key. llama.cpp gives the original's
# probabilities for both files. transformers gives them for the first; from the second it takes the right number of
# heads, but leaves the rows of queries and keys in llama.cpp's order.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 accelerate==1.15.0 \
  gguf==0.19.0 xllamacpp==2026.10.11549 || exit 2
TQDM_DISABLE=1 HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import logging.handlers
import queue
import sys
import warnings
from importlib.metadata import version

import gguf
import numpy as np
import torch
import xllamacpp
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

LAYERS, HEADS, WIDTH, VOCABULARY = 2, 2, 128, 257
torch.manual_seed(0)
sizes = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "hidden_size": WIDTH, "intermediate_size": WIDTH}
config = LlamaConfig(vocab_size=VOCABULARY, initializer_range=0.1, **sizes)
original = LlamaForCausalLM(config).eval()
prompt = np.random.default_rng(0).integers(0, VOCABULARY, 100).tolist()
messages = queue.SimpleQueue()
logging.getLogger("transformers").addHandler(logging.handlers.QueueHandler(messages))


def write(path: str, stated: bool) -> str:
    writer = gguf.GGUFWriter(path, "llama")
    for key, value in {"block_count": LAYERS, "context_length": 2048, "vocab_size": VOCABULARY}.items():
        writer.add_uint32(f"llama.{key}", value)
    for key, value in {"embedding_length": WIDTH, "feed_forward_length": WIDTH, "rope.dimension_count": 64}.items():
        writer.add_uint32(f"llama.{key}", value)
    writer.add_head_count(HEADS)
    if stated:
        writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*sorted(ByteLevel.alphabet()), "ab"])
    writer.add_token_types([gguf.TokenType.NORMAL] * VOCABULARY)
    writer.add_token_merges(["a b"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
    for name, weight in original.state_dict().items():
        if "q_proj" in name or "k_proj" in name:  # llama.cpp interleaves the halves of a head
            weight = weight.reshape(HEADS, 2, 32, WIDTH).swapaxes(1, 2).reshape(WIDTH, WIDTH)
        writer.add_tensor(names.get_name(name, (".weight",)), weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@torch.no_grad()
def log_probabilities(model: LlamaForCausalLM) -> torch.Tensor:
    return model.eval()(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)


def by_llama_cpp(path: str) -> torch.Tensor:
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup, params.verbosity = path, 256, False, -1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    request = {"prompt": prompt, "n_predict": 1, "n_probs": VOCABULARY, "temperature": 0}
    answer = xllamacpp.Server(params).handle_completions(request)["choices"][0]
    found = {each["id"]: each["logprob"] for each in answer["logprobs"]["content"][0]["top_logprobs"]}
    return torch.tensor([found[token] for token in range(VOCABULARY)])


names = ("torch", "transformers", "gguf", "xllamacpp")
print(", ".join(f"{name} {version(name)}" for name in names))
print("expected: the log-probabilities of the original from both files, or an error or a warning")
right, described = log_probabilities(original), True
for stated in (True, False):
    file = write("with.gguf" if stated else "without.gguf", stated)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded, report = AutoModelForCausalLM.from_pretrained(".", gguf_file=file, output_loading_info=True)
    read, ran = (float((each - right).abs().max()) for each in (log_probabilities(loaded), by_llama_cpp(file)))
    described &= ran < 1e-2 and (read < 1e-4 if stated else read > 0.1)
    described &= loaded.config.num_key_value_heads == HEADS and not caught and not any(report.values())
    print(f"seen: {file}: llama.cpp differs by {ran:.1g} at most, transformers by {read:.2g}")
described &= messages.empty()
print(f"seen: messages of transformers: {'none' if messages.empty() else messages.get().getMessage()}")
sys.exit(0 if described else 1)
PY

#!/usr/bin/env bash
# transformers 5.23.0 reads a GGUF file of Llama 3.1, 3.2 or 3.3 as a model with unscaled positions, without a warning.
#
# It hurts whoever fine-tunes or evaluates such a model from its GGUF file: it is another model than the one that
# llama.cpp runs from the same file.
#
# Documentation: transformers lists Llama among the architectures that it loads from GGUF, dequantised, for further
# training. Llama 3.1 and later rotate slow dimensions more slowly (rope_type "llama3"); llama.cpp's converter writes
# these factors as the tensor rope_freqs.weight, one for each pair of dimensions, and llama.cpp divides by them.
# Seen: a tiny model with random weights and the scaling of Llama 3.2, in float32. llama.cpp gives the probabilities of
# the original model; transformers drops the tensor and gives others. Once the original's frequencies are put into the
# loaded model, its logits are equal: nothing else is lost.
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
LLAMA = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0}
LLAMA |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
torch.manual_seed(0)
sizes = {"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "hidden_size": WIDTH, "intermediate_size": WIDTH}
sizes |= {"vocab_size": VOCABULARY, "max_position_embeddings": 131072, "initializer_range": 0.1}
config = LlamaConfig(rope_parameters=LLAMA, **sizes)
original = LlamaForCausalLM(config).eval()
plain = LLAMA["rope_theta"] ** -(torch.arange(0, 64, 2) / 64)  # heads have 64 dimensions

writer = gguf.GGUFWriter("tiny.gguf", "llama")
for key, value in {"block_count": LAYERS, "context_length": 131072, "vocab_size": VOCABULARY}.items():
    writer.add_uint32(f"llama.{key}", value)
for key, value in {"embedding_length": WIDTH, "feed_forward_length": WIDTH, "rope.dimension_count": 64}.items():
    writer.add_uint32(f"llama.{key}", value)
writer.add_head_count(HEADS)
writer.add_head_count_kv(HEADS)
writer.add_layer_norm_rms_eps(config.rms_norm_eps)
writer.add_rope_freq_base(LLAMA["rope_theta"])
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("llama-bpe")
writer.add_token_list([*sorted(ByteLevel.alphabet()), "ab"])
writer.add_token_types([gguf.TokenType.NORMAL] * VOCABULARY)
writer.add_token_merges(["a b"])
writer.add_tensor("rope_freqs.weight", (plain / original.model.rotary_emb.inv_freq).numpy().astype("<f4"))
names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, LAYERS)
for name, weight in original.state_dict().items():
    if "q_proj" in name or "k_proj" in name:  # llama.cpp interleaves the halves of a head
        weight = weight.reshape(HEADS, 2, 32, WIDTH).swapaxes(1, 2).reshape(WIDTH, WIDTH)
    writer.add_tensor(names.get_name(name, (".weight",)), weight.contiguous().numpy())
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

messages = queue.SimpleQueue()
logging.getLogger("transformers").addHandler(logging.handlers.QueueHandler(messages))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    loaded, report = AutoModelForCausalLM.from_pretrained(".", gguf_file="tiny.gguf", output_loading_info=True)
told = [messages.get().getMessage() for _ in range(messages.qsize())] + [str(each.message) for each in caught]
prompt = np.random.default_rng(0).integers(0, VOCABULARY, 500).tolist()
with torch.no_grad():
    right, read = (model.eval()(torch.tensor([prompt])).logits[0, -1].log_softmax(-1) for model in (original, loaded))
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.warmup, params.verbosity = "tiny.gguf", 1024, False, -1
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
request = {"prompt": prompt, "n_predict": 1, "n_probs": VOCABULARY, "temperature": 0}
answer = xllamacpp.Server(params).handle_completions(request)
ran = {each["id"]: each["logprob"] for each in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]}
cpp = torch.tensor([ran[token] for token in range(VOCABULARY)])

wrong, close = (float((each - right).abs().max()) for each in (read, cpp))
names = ("torch", "transformers", "gguf", "xllamacpp")
print(", ".join(f"{name} {version(name)}" for name in names))
print("expected: the log-probabilities of the original, or an error, or a warning that a tensor is not used")
print(f"seen: llama.cpp differs from the original by {close:.1g} at most, transformers by {wrong:.2f}")
loaded.model.rotary_emb.inv_freq = original.model.rotary_emb.inv_freq
with torch.no_grad():
    restored = torch.equal(loaded(torch.tensor([prompt])).logits, original(torch.tensor([prompt])).logits)
kind, left = loaded.config.rope_parameters["rope_type"], {name: found for name, found in report.items() if found}
print(f"seen: with the original's frequencies its logits are {'equal' if restored else 'not equal'}")
print(f"seen: transformers has rope_type {kind!r}, warnings {told}, and in its loading report {left or 'nothing'}")
sys.exit(0 if close < 1e-2 and wrong > 0.1 and kind == "default" and not left and not told and restored else 1)
PY

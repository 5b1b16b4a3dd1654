#!/usr/bin/env bash
# transformers 5.23.0 keeps packed texts apart only without a cache: by default each text attends to those before it.
#
# It hurts whoever packs texts into one row in a training loop of their own: a report is predicted with the reports of
# other patients in view. Gradient checkpointing, which should cost time and nothing else, gives other losses. Trainer
# is not affected, since it turns the cache off.
#
# Documentation: DataCollatorWithFlattening makes one row of several texts, whose position_ids start again, and leaves
# it to attention to handle that. transformers recognises such rows by position_ids and masks them in all its attentions.
# use_cache is described as returning keys and values that speed up decoding; it is on by default.
# Seen: with use_cache=False each packed text has the logits that it has alone. By default it has not, with sdpa and
# eager attention, in training too, without an error or a warning. The one warning, that gradient checkpointing sets
# use_cache=False, comes when the losses are right.
#
# Exit code: 0 if this is still so, 1 if the behaviour has changed, 2 if the packages could not be installed.
set -euo pipefail
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT && cd "$work" || exit 2
python3 -m venv venv || exit 2
venv/bin/pip install -q --disable-pip-version-check torch==2.13.0 transformers==5.23.0 || exit 2
HF_HUB_OFFLINE=1 venv/bin/python - <<'PY'
import logging.handlers
import queue
import sys
import warnings
from importlib.metadata import version

import torch
from transformers import DataCollatorWithFlattening, LlamaConfig, LlamaForCausalLM

TEXTS = ([3, 5, 7, 9, 11], [20, 21, 22, 23])
torch.manual_seed(0)
sizes = {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
model = LlamaForCausalLM(LlamaConfig(**sizes))  # in training mode, without dropout
batch = DataCollatorWithFlattening()([{"input_ids": text} for text in TEXTS])
messages = queue.SimpleQueue()
logging.getLogger("transformers").addHandler(logging.handlers.QueueHandler(messages))


def furthest(**options) -> float:
    """By how much the logits of packed texts differ from those of each alone, at most."""
    alone = torch.cat([model(torch.tensor([text]), **options).logits[0] for text in TEXTS])
    return float((model(**batch, **options).logits[0] - alone).abs().max().detach())


print(f"torch {version('torch')}, transformers {version('transformers')}")
print("expected: a packed text has the logits that it has alone, or an error or a warning says that it has not")
described = True
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for kind in ("sdpa", "eager"):
        model.set_attn_implementation(kind)
        by_default, uncached = furthest(), furthest(use_cache=False)
        described &= by_default > 0.1 and uncached < 1e-5
        print(f"seen: {kind}: logits differ by up to {by_default:.2f} by default, {uncached:.1g} with use_cache=False")
    before = float(model(**batch).loss.detach())
told = [messages.get().getMessage() for _ in range(messages.qsize())] + [str(each.message) for each in caught]
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    model.gradient_checkpointing_enable()
after = float(model(**batch).loss.detach())
described &= not told and "use_cache=False" in messages.get(timeout=1).getMessage() and abs(before - after) > 1e-3
print(f"seen: the loss is {before:.4f}, with gradient checkpointing {after:.4f}; warnings before that {told}")
sys.exit(0 if described else 1)
PY

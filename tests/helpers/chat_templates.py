"""Small text tokenizers with chat templates in the style of language model families, written for these tests."""

import string
from collections.abc import Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_TEXTS = [
    f"Patient: age {k}, sex female.\nReport user assistant system model: yes, no. Is it [INST] {k}? [/INST] answer\n\n"
    for k in range(60)
]

CHATML = """{% for message in messages %}{% if loop.first and message['role'] != 'system' %}\
{{ '<|im_start|>system\nBe a good assistant.<|im_end|>\n' }}{% endif %}\
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
"""
LLAMA_3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0].role == 'system' %}
    {%- set instructions = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set instructions = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + date_string + '\n\n' + instructions + '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""
GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}
{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}\
{{ message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""
MISTRAL = """{{ bos_token }}{% for message in messages %}
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}
{%- else %}{{ raise_exception('only user and assistant') }}{% endif %}
{% endfor %}"""
LLAMA_2 = """{% for message in messages %}
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + message['content'].strip() + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endif %}
{% endfor %}"""
PHI_3 = """{{ bos_token }}{% for message in messages %}
{% if message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '<|end|>\n<|assistant|>\n' }}
{%- elif message['role'] == 'assistant' %}{{ message['content'] + '<|end|>\n' }}{% endif %}
{% endfor %}"""
ZEPHYR = """{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}\
{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}"""
DEEPSEEK = """{{ bos_token }}{% for message in messages %}
{% if message['role'] == 'user' %}{{ '<\uff5cUser\uff5c>' + message['content'] }}{% endif %}
{% if message['role'] == 'assistant' %}{{ '<\uff5cAssistant\uff5c>' + message['content'] + eos_token }}{% endif %}
{% endfor %}{% if add_generation_prompt %}{{ '<\uff5cAssistant\uff5c>' }}{% endif %}"""
# Reasoning of earlier answers is dropped, and a conversation that ends in an answer shows an empty one.
THINKING = """{%- set ns = namespace(last=0) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' %}
        {%- set thought = '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {{- '<|im_start|>assistant\n<think>\n' + thought + '\n</think>\n\n' + content + '<|im_end|>\n' }}
        {%- else %}
            {{- '<|im_start|>assistant\n' + content + '<|im_end|>\n' }}
        {%- endif %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and not enable_thinking %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}
"""

# Name: template, tokenizer, special tokens.
FAMILIES = {
    "ChatML": (CHATML, "bytes", ("<|im_start|>", "<|im_end|>")),
    "ChatML, superwords": (CHATML, "superwords", ("<|im_start|>", "<|im_end|>")),
    "Llama 3, split as GPT-2": (LLAMA_3, "bytes", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    "Llama 3": (LLAMA_3, "lines", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    "Gemma": (GEMMA, "pieces", ("<start_of_turn>", "<end_of_turn>")),
    "Mistral": (MISTRAL, "spaced pieces", ()),
    "Mistral, control tokens": (MISTRAL, "pieces", ("[INST]", "[/INST]")),
    "Llama 2": (LLAMA_2, "spaced pieces", ()),
    "Phi-3": (PHI_3, "spaced pieces", ("<|user|>", "<|assistant|>", "<|end|>")),
    "Zephyr": (ZEPHYR, "spaced pieces", ()),
    "DeepSeek": (DEEPSEEK, "lines", ("<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>")),
    "Qwen3": (THINKING, "lines", ("<|im_start|>", "<|im_end|>", "<think>", "</think>")),
    "SmolLM3": (
        CHATML.replace("Be a", "Today Date: ' + strftime_now('%d %B %Y') + '\\n\\nBe a"),
        "bytes",
        ("<|im_start|>", "<|im_end|>"),
    ),
}


def family(name: str) -> PreTrainedTokenizerFast:
    template, kind, special = FAMILIES[name]
    return tokenizer_with(template, kind, special)


def tokenizer_with(template: str | None, kind: str = "bytes", special: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A byte-level or SentencePiece-like tokenizer.

    kind: bytes as in GPT-2; lines, where line ends stay together, as in Llama 3; superwords, merged across spaces and
    line ends; pieces as in Gemma; spaced pieces as in Llama 2, where a space goes before every text, also after a
    special token.
    """
    pieces = kind.endswith("pieces")
    bpe = Tokenizer(models.BPE(byte_fallback=pieces, unk_token="<unk>" if pieces else None))
    control = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))] if pieces else ["<s>", "</s>"]
    if pieces:
        before = [normalizers.Prepend("▁")] if kind.startswith("spaced") else []
        bpe.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", "▁")])
        bpe.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    else:
        words = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+")
        split = [pre_tokenizers.Split(words, "isolated")] if kind == "lines" else []
        split.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "bytes"))
        bpe.pre_tokenizer = pre_tokenizers.Sequence(split)
        bpe.decoder = decoders.ByteLevel()
    alphabet = [*string.ascii_letters, *string.punctuation, "▁"] if pieces else pre_tokenizers.ByteLevel.alphabet()
    size = 700 if pieces else 600
    bpe.train_from_iterator(
        _TEXTS,
        trainers.BpeTrainer(vocab_size=size, special_tokens=control, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>" if pieces else None,
        clean_up_tokenization_spaces=False,
    )
    swallowing = kind.startswith("spaced")  # Phi-3's special tokens swallow the line end after them
    # Qwen3's tags are tokens, but not special ones.
    tokenizer.add_tokens(
        [AddedToken(t, special="think" not in t, normalized=False, rstrip=swallowing and t[1] == "|") for t in special]
    )
    tokenizer.chat_template = template
    return tokenizer

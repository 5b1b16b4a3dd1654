"""``LLM_PATH=tiny``: a small Llama with random weights and a BPE trained on the corpus, without a download."""

from collections.abc import Iterable

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import Split
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"


def train_bpe(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most ``vocabulary`` tokens, which can spell any text.

    Merges may span spaces, but not punctuation or numbers ("superwords", Liu et al. 2025, arXiv 2503.13423). A finding
    such as " left axis deviation" becomes one token, which halves the number of tokens in a question.
    texts: rendered prompts and answers, so that the fixed words of prompts merge as well.
    """
    bpe = Tokenizer(models.BPE())
    parts = Split(Regex(r"\??\n?[A-Z]\w+:| ?[^.,:;?!/()\d\n]+| ?\d+|[.,:;?!/()\n]+"), behavior="isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(sorted(texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=BOS, eos_token=EOS, pad_token=PAD, clean_up_tokenization_spaces=False
    )


def build_tiny_llama(
    tokenizer: PreTrainedTokenizerFast, layers: int, hidden: int, heads: int, tied: bool, seed: int
) -> LlamaForCausalLM:
    """A Llama of the given size with weights drawn from ``seed``."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=-(-8 * hidden // 3 // 32) * 32,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=4096,
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)

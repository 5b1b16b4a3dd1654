"""What training on ECGs does to a language model's plain text: perplexity, and the probability of ECG tokens."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from cardiolect.model.llm.ecg_language_model import LanguageModel, inner_model
from cardiolect.model.llm.masks import sliding_window
from cardiolect.model.prompt.vocabulary import Vocabulary

# Written for this measurement: a story, a recipe, a question, a program. No training data of a language model has it.
TEXT = Path(__file__).with_name("plain_text.txt")
LENGTH = 512  # most tokens that the model sees at once


@torch.inference_mode()
def plain_text_figures(model: LanguageModel, vocabulary: Vocabulary) -> dict[str, float]:
    """How well ``model`` predicts `TEXT`, and what it gives to ECG tokens there.

    perplexity: per token among those of text, comparable between stages of one model; with new ECG rows and no
    training, it is that of the language model as it came. bits_per_byte: the same, comparable between models.
    ecg_probability: mean probability of all ECG tokens together. ecg_first: share of positions at which an ECG token is
    the most likely one. Neither of these two can occur in answers of this package, which excludes ECG tokens; vLLM
    and llama.cpp exclude nothing.
    """
    language_model = inner_model(model)
    training, new = language_model.training, vocabulary.new_ids
    device = language_model.get_input_embeddings().weight.device
    text = TEXT.read_text(encoding="utf-8").strip()
    ids, bos = vocabulary.text_ids(text), vocabulary.tokenizer.bos_token_id
    text_config = language_model.config.get_text_config()
    limits = (sliding_window(text_config), getattr(text_config, "max_position_embeddings", None))
    length = min(LENGTH, *(limit for limit in limits if limit)) - (bos is not None)
    losses, ecg, first = [], [], []
    language_model.eval()
    for start in range(0, len(ids), length):
        part = ids[start : start + length]
        row = torch.tensor([[*([] if bos is None else [bos]), *part]], device=device)
        logits = language_model(input_ids=row, use_cache=False).logits[0, :-1].float()
        likely, chosen = logits.softmax(-1), logits.argmax(-1)
        ecg.append(likely[:, new.start : new.stop].sum(-1))
        first.append((chosen >= new.start) & (chosen < new.stop))
        logits[:, new.start : new.stop] = -torch.inf
        losses.append(torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="none"))
    language_model.train(training)
    loss = torch.cat(losses).double()
    return {
        "tokens": len(loss),
        "perplexity": round(math.exp(min(loss.mean().item(), 50)), 3),
        "bits_per_byte": round(loss.sum().item() / math.log(2) / len(text.encode()), 4),
        "ecg_probability": float(f"{torch.cat(ecg).mean().item():.3g}"),
        "ecg_first": round(torch.cat(first).float().mean().item(), 4),
    }


def plain_text_in_words(figures: Mapping[str, Mapping[str, float]]) -> str:
    """The figures before and after training, in one line."""
    before, after = figures["before"], figures["after"]
    return (
        f"perplexity {before['perplexity']:.1f} and {after['perplexity']:.1f}, probability of ECG tokens "
        f"{before['ecg_probability']:.2g} and {after['ecg_probability']:.2g}"
    )

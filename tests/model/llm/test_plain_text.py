"""What is measured of a language model's plain text."""

import math

import pytest
import torch

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.llm.plain_text import TEXT, plain_text_figures
from tests.helpers.language_models import tiny_language_model


@pytest.fixture
def checkpoint(tmp_path, tokenizer_folder):
    model, tokenizer = load_language_model(tiny_language_model(tmp_path), "fp32")
    return new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)


def test_new_rows_leave_the_perplexity_of_the_model_that_came(checkpoint, tmp_path):
    """Its own, as transformers computes it for windows of 512 tokens, the start token included."""
    model, tokenizer = load_language_model(tmp_path, "fp32")
    ids = checkpoint.vocabulary.text_ids(TEXT.read_text().strip())
    total = 0.0
    for start in range(0, len(ids), 511):
        row = torch.tensor([[tokenizer.bos_token_id, *ids[start : start + 511]]])
        with torch.no_grad():
            total += model(input_ids=row, labels=row).loss.item() * (row.shape[1] - 1)
    figures = plain_text_figures(checkpoint.model, checkpoint.vocabulary)
    assert figures["tokens"] == len(ids)
    assert figures["perplexity"] == pytest.approx(math.exp(total / len(ids)), rel=1e-4)
    assert figures["bits_per_byte"] == pytest.approx(total / math.log(2) / len(TEXT.read_bytes().strip()), rel=1e-3)


def test_the_probability_of_ecg_tokens_is_measured_and_does_not_change_the_perplexity(checkpoint):
    new = checkpoint.vocabulary.new_ids
    head = checkpoint.model.get_output_embeddings()
    before = plain_text_figures(checkpoint.model, checkpoint.vocabulary)
    assert 0 < before["ecg_probability"] < 1
    checkpoint.model.config.tie_word_embeddings = False
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    checkpoint.model.eval()
    with torch.no_grad():
        head.weight[new.start : new.stop] *= 0
        head.weight[new.start] = 1e4
        head.weight[new.start + 1] = -1e4
    after = plain_text_figures(checkpoint.model, checkpoint.vocabulary)
    assert after["ecg_first"] == 1 and after["ecg_probability"] == pytest.approx(1)
    assert after["perplexity"] == pytest.approx(before["perplexity"])

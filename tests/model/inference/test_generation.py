"""Batches that share prefixes generate the same texts as one prompt at a time."""

import pytest
import torch
from transformers import (
    AutoTokenizer,
    MambaConfig,
    MambaForCausalLM,
)

from bench.baselines.separate_prompts import generate_separately
from cardiolect.model.evaluation.answers import yes_no_tokens
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.llm.checkpoint import load_language_model
from cardiolect.model.llm.tiny import train_bpe
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.utils.errors import UserError
from tests.helpers.language_models import tiny_language_model
from tests.helpers.prompts import varied_prompts


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_batches_that_share_prefixes_answer_as_one_prompt_at_a_time(checkpoint, batch_size):
    asked = varied_prompts(checkpoint.vocabulary)
    plain = dict(generate_separately(checkpoint.model, checkpoint.vocabulary, asked, 12))
    shared = dict(generate_texts(checkpoint.model, checkpoint.vocabulary, asked, 12, batch_size))
    assert {i: answer.text for i, answer in shared.items()} == plain
    assert len(set(map(len, plain.values()))) > 2, "answers of one length would not test that rows end on their own"


def test_every_ecg_is_computed_once(checkpoint, monkeypatch):
    asked, seen = varied_prompts(checkpoint.vocabulary), []
    forward = checkpoint.model.forward

    def counted(ids, **kwargs):
        seen.append(ids.shape)
        return forward(ids, **kwargs)

    monkeypatch.setattr(checkpoint.model, "forward", counted)
    list(generate_texts(checkpoint.model, checkpoint.vocabulary, asked, 1, 100))
    alone = checkpoint.model.config.model_type == "mistral"  # padding would eat its window
    assert [shape[0] for shape in seen] == ([1] * 2 * len(asked) if alone else [3, len(asked)])


def test_watched_logits_are_the_models_own_for_the_first_word(checkpoint):
    asked = varied_prompts(checkpoint.vocabulary)
    found = dict(generate_texts(checkpoint.model, checkpoint.vocabulary, asked, 4, 100, watched=(5, 9)))
    with torch.no_grad():
        for i, prompt in enumerate(asked):
            logits = checkpoint.model(torch.tensor([[*prompt.prefix, *prompt.question]])).logits[0, -1]
            torch.testing.assert_close(torch.tensor(found[i].watched), logits[[5, 9]], rtol=1e-4, atol=1e-4)


def test_yes_and_no_are_compared_only_if_each_is_one_token():
    """Longer words may begin with the same token, so that their margin would mean nothing."""
    known = Vocabulary.extend(train_bpe({"Is it? yes", "Is it? no"} | {f"so {k} yes no" for k in range(50)}, 400), 5)
    assert len(set(yes_no_tokens(known))) == 2
    assert yes_no_tokens(Vocabulary.extend(train_bpe({"Sinus rhythm."}, 300), 5)) == ()


def test_no_ecg_token_is_ever_generated(checkpoint):
    vocabulary = checkpoint.vocabulary
    with torch.no_grad():
        checkpoint.model.get_output_embeddings().weight[vocabulary.new_ids.start :] *= 9
    texts = dict(generate_texts(checkpoint.model, vocabulary, varied_prompts(vocabulary), 6, 100))
    assert not any("<|ecg" in answer.text for answer in texts.values())


def test_a_language_model_that_keeps_a_state_is_refused(tmp_path):
    """Packed questions would see each other through the state."""
    folder = tiny_language_model(tmp_path / "llm")
    size = len(AutoTokenizer.from_pretrained(folder))
    MambaForCausalLM(MambaConfig(vocab_size=size, hidden_size=16, num_hidden_layers=1)).save_pretrained(folder)
    with pytest.raises(UserError, match=r"llm: "):
        load_language_model(folder, "fp32")

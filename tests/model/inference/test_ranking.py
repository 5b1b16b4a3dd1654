"""Ranking scores every candidate like a full sequence of its own."""

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig

from bench.baselines.separate_candidates import score_separately
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.inference.ranking import Ranked, rank_answers
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.prompt.rendering import Prompt, render_answer
from tests.helpers.language_models import tiny_language_model
from tests.helpers.prompts import prompt_about, varied_prompts

LEADS = [("lead I",), ("lead II",), ("lead I", "lead II"), ("lead III",)]
LISTS = [[("yes",), ("no",)], LEADS, [("yes", "no"), ("yes",)], [("none",)], [(f"lead V{k}",) for k in range(1, 7)]]


def ranked(checkpoint, asked, candidates, batch_size=100) -> list[Ranked]:
    found = dict(rank_answers(checkpoint.model, checkpoint.vocabulary, asked, candidates, batch_size))
    return [found[i] for i in range(len(asked))]


def assert_scored_as_full_sequences(checkpoint, batch_size):
    asked = varied_prompts(checkpoint.vocabulary)
    candidates = [LISTS[i % len(LISTS)] for i in range(len(asked))]
    plain = score_separately(checkpoint.model, checkpoint.vocabulary, asked, candidates)
    for found, scores in zip(ranked(checkpoint, asked, candidates, batch_size), plain, strict=True):
        assert found.log_probabilities == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_log_probabilities_are_those_of_one_full_sequence_at_a_time(checkpoint, batch_size):
    assert_scored_as_full_sequences(checkpoint, batch_size)


def test_layers_with_and_without_a_window_keep_their_own_masks(tmp_path, tokenizer_folder):
    folder = tiny_language_model(tmp_path / "llm")
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(folder)),
        hidden_size=32,
        intermediate_size=64,
        head_dim=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=32,
        layer_types=["sliding_attention", "full_attention"],
    )
    Gemma3ForCausalLM(config).save_pretrained(folder)
    model, tokenizer = load_language_model(folder, "fp32")
    made = new_checkpoint(model.eval(), tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    assert_scored_as_full_sequences(made, 100)


def test_adapters_take_part_in_ranking(checkpoint):
    plain = score_separately(
        checkpoint.model, checkpoint.vocabulary, varied_prompts(checkpoint.vocabulary)[:1], [LEADS]
    )
    checkpoint.model = get_peft_model(
        checkpoint.model, LoraConfig(target_modules="all-linear", init_lora_weights=False)
    )
    checkpoint.model.eval()
    assert_scored_as_full_sequences(checkpoint, 100)
    (found,) = ranked(checkpoint, varied_prompts(checkpoint.vocabulary)[:1], [LEADS])
    assert found.log_probabilities != pytest.approx(plain[0], abs=1e-3)


def test_every_ecg_is_computed_once_and_batches_keep_their_limit_of_candidates(checkpoint, monkeypatch):
    asked, seen = varied_prompts(checkpoint.vocabulary), []
    forward = checkpoint.model.forward

    def counted(ids, **kwargs):
        seen.append((len(ids), kwargs["logits_to_keep"]))
        return forward(ids, **kwargs)

    monkeypatch.setattr(checkpoint.model, "forward", counted)
    ranked(checkpoint, asked, [LEADS] * len(asked), batch_size=20)
    prefixes = {prompt.prefix for prompt in asked}
    assert seen[0] == (len(prefixes), 1) and [rows for rows, _ in seen[1:]] == [5] * 3  # of four candidates each


def test_the_end_token_distinguishes_an_answer_that_begins_another(tmp_path, tokenizer_folder):
    """A trained model also ranks its greedy answer first if that is among the candidates."""
    model, tokenizer = load_language_model(tiny_language_model(tmp_path / "llm"), "fp32")
    made = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    vocabulary = made.vocabulary
    truths = [("lead I",), ("lead II",), ("yes",), ("yes", "no")]
    begin, whole = (render_answer(vocabulary, answers) for answers in truths[:2])
    assert whole[: len(begin) - 1] == begin[:-1], "the one has to begin the other to test this"
    asked = [prompt_about(vocabulary, None, question=text) for text in "abcd"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(100):
        for prompt, answers in zip(asked, truths, strict=True):
            before, answer = list(prompt.prefix + prompt.question), render_answer(vocabulary, answers)
            labels = torch.tensor([[-100] * len(before) + answer])
            model(torch.tensor([before + answer]), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    found = [each.text for each in ranked(made, asked, [truths] * len(asked))]
    assert found == [".".join(answers) for answers in truths]
    assert found == [answer.text for _, answer in sorted(generate_texts(model, vocabulary, asked, 12, 100))]


def test_probabilities_are_shares_among_the_candidates_and_the_text_is_that_of_the_best(checkpoint):
    asked = varied_prompts(checkpoint.vocabulary)
    for found in ranked(checkpoint, asked, [LEADS] * len(asked)):
        weights = [math.exp(each) for each in found.log_probabilities]
        assert found.probability == pytest.approx(max(weights) / sum(weights))
        assert found.text == ".".join(LEADS[weights.index(max(weights))])


def test_no_probability_is_lost_to_ecg_tokens(checkpoint):
    """Answers are text, so the probability of ECG tokens is excluded, as in generation."""
    vocabulary = checkpoint.vocabulary
    asked = varied_prompts(vocabulary)[:2]
    before = ranked(checkpoint, asked, [LEADS] * 2)
    if checkpoint.model.get_output_embeddings().weight is checkpoint.model.get_input_embeddings().weight:
        head = torch.nn.Linear(*checkpoint.model.get_output_embeddings().weight.T.shape, bias=False)
        head.weight.data.copy_(checkpoint.model.get_output_embeddings().weight)
        checkpoint.model.set_output_embeddings(head)
    with torch.no_grad():
        checkpoint.model.get_output_embeddings().weight[vocabulary.new_ids.start :] *= 9
    after = ranked(checkpoint, asked, [LEADS] * 2)
    for one, other in zip(before, after, strict=True):
        assert one.log_probabilities == pytest.approx(other.log_probabilities, abs=1e-4)


def test_a_prompt_without_candidates_is_refused(checkpoint):
    with pytest.raises(ValueError, match="no candidate"):
        ranked(checkpoint, [Prompt((1, 2), (3,), "an ECG")], [[]])

"""Attribution: the weights are on the codes that the answer comes from, and the model is unchanged."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from cardiolect.model.inference.attribution import answer_margin, attribute_to_codes
from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe
from cardiolect.model.prompt.rendering import render_ecgs, render_prompt
from cardiolect.model.prompt.vocabulary import Vocabulary

CODES, TELLING = 40, 7  # code 7 is what the question is about
QUESTION = "Does this ECG show atrial fibrillation?"


@pytest.fixture(scope="module")
def vocabulary():
    texts = {f"Question: {QUESTION}\nAnswer:{word}" for word in (" yes", " no")} | {f"so {k} yes no" for k in range(50)}
    return Vocabulary.extend(train_bpe(texts, 400), CODES)


@pytest.fixture(scope="module")
def reader(vocabulary):
    """A Llama of two layers that has learned to answer yes if an ECG has code 7, and otherwise no."""
    model = build_tiny_llama(vocabulary.tokenizer, layers=2, hidden=32, heads=2, tied=False, seed=0)
    rng, yes, no = np.random.default_rng(0), *answers(vocabulary)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(120):
        ecgs = [some_ecg(rng, telling=k % 2 == 0)[0] for k in range(16)]
        ids = torch.tensor([[*prefix, *question] for prefix, _, question in (prompt(vocabulary, e) for e in ecgs)])
        gold = torch.tensor([(yes if TELLING in ecg else no)[0] for ecg in ecgs])
        loss = torch.nn.functional.cross_entropy(model(ids).logits[:, -1], gold)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    model.zero_grad(set_to_none=True)
    return model.eval()


def some_ecg(rng, telling, length=30):
    """Codes, and the position of the decisive one."""
    codes = rng.choice(np.delete(np.arange(CODES), TELLING), length)
    at = int(rng.integers(length))
    if telling:
        codes[at] = TELLING
    return codes, at


def prompt(vocabulary, *ecgs):
    """Prefix, mask of its ECG tokens, and question."""
    prefix, is_ecg = render_ecgs(vocabulary, ecgs, ["age 56"] * len(ecgs))
    return prefix, is_ecg, render_prompt(vocabulary, "qa", QUESTION)


def answers(vocabulary):
    return vocabulary.text_ids(" yes"), vocabulary.text_ids(" no")


def test_the_weight_peaks_at_the_code_that_the_answer_comes_from(vocabulary, reader):
    rng, (yes, no) = np.random.default_rng(1), answers(vocabulary)
    shares = []
    for _ in range(8):
        codes, at = some_ecg(rng, telling=True)
        weights = attribute_to_codes(reader, vocabulary, *prompt(vocabulary, codes), yes, no)
        assert weights.shape == codes.shape and weights.dtype == np.float64 and (weights >= 0).all()
        assert weights.sum() == pytest.approx(1) and weights.argmax() == at
        shares.append(weights[at])
        alone = attribute_to_codes(reader, vocabulary, *prompt(vocabulary, codes), yes)
        assert alone.argmax() == at, "without an alternative as well"
        against = attribute_to_codes(reader, vocabulary, *prompt(vocabulary, codes), no, yes)
        assert against[at] == 0, "what speaks for yes does not speak for no"
    assert np.mean(shares) > 0.5


def test_two_ecgs_that_are_compared_both_have_weights(vocabulary, reader):
    rng, (yes, no) = np.random.default_rng(2), answers(vocabulary)
    (first, _), (second, at) = some_ecg(rng, telling=False, length=20), some_ecg(rng, telling=True)
    weights = attribute_to_codes(reader, vocabulary, *prompt(vocabulary, first, second), yes, no)
    assert weights.shape == (50,) and weights.argmax() == 20 + at
    only_one = attribute_to_codes(reader, vocabulary, *prompt(vocabulary, None, second), yes, no)
    assert only_one.shape == (30,) and only_one.argmax() == at


def test_no_ecg_gives_no_weights(vocabulary, reader):
    yes, no = answers(vocabulary)
    assert attribute_to_codes(reader, vocabulary, *prompt(vocabulary, None), yes, no).shape == (0,)


def test_weights_depend_on_the_prompt_alone_and_the_model_is_unchanged(vocabulary, reader):
    rng, (yes, no) = np.random.default_rng(3), answers(vocabulary)
    one, other = (prompt(vocabulary, some_ecg(rng, telling=True)[0]) for _ in range(2))
    before = {name: value.clone() for name, value in reader.state_dict().items()}
    first = attribute_to_codes(reader, vocabulary, *one, yes, no)
    reader.train()  # the mode is put back, and dropout or the like not used
    attribute_to_codes(reader, vocabulary, *other, yes, no)
    assert reader.training
    reader.eval()
    with torch.inference_mode():
        again = attribute_to_codes(reader, vocabulary, *one, yes, no)
    np.testing.assert_array_equal(first, again)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in reader.parameters())
    assert all(torch.equal(before[name], value) for name, value in reader.state_dict().items())


def test_answers_of_several_tokens_count_as_a_whole(vocabulary, reader):
    """The margin is that of whole answers of any length; compared with a gradient computed one text at a time."""
    codes, _ = some_ecg(np.random.default_rng(4), telling=True)
    prefix, is_ecg, question = prompt(vocabulary, codes)
    end = [vocabulary.tokenizer.eos_token_id]
    long, short = vocabulary.text_ids(" sinus rhythm, normal") + end, answers(vocabulary)[0] + end
    assert len(long) > 5 > len(short) == 2
    at = [i for i, inside in enumerate(is_ecg) if inside][:-1]
    table = reader.get_input_embeddings().weight.detach()
    ecg = table[torch.tensor(prefix)[at]]

    def chance(part, text):
        rows = table[torch.tensor(prefix + question + text)].clone()
        rows[at] = part
        spoken = reader(inputs_embeds=rows[None]).logits[0].log_softmax(-1)
        start = len(prefix + question) - 1
        return sum(spoken[start + k, token] for k, token in enumerate(text))

    gradient = torch.zeros_like(ecg)
    for alpha in (torch.arange(8) + 0.5) / 8:
        part = (ecg.mean(0) + alpha * (ecg - ecg.mean(0))).requires_grad_(True)
        gradient += torch.autograd.grad(chance(part, short) - chance(part, long), part)[0]
    expected = ((ecg - ecg.mean(0)) * gradient).sum(-1).clamp(min=0)
    found = attribute_to_codes(reader, vocabulary, prefix, is_ecg, question, short, long)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-4)


def test_adapters_and_half_precision_give_the_weights_of_the_merged_model(vocabulary, reader, tmp_path):
    codes, at = some_ecg(np.random.default_rng(5), telling=True)
    asked = (*prompt(vocabulary, codes), *answers(vocabulary))
    reader.save_pretrained(tmp_path)
    base = LlamaForCausalLM.from_pretrained(tmp_path)
    tables = {"embed_tokens": list(vocabulary.new_ids)}
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj"], trainable_token_indices=tables))
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.02 * torch.randn_like(parameter))
    weights = attribute_to_codes(adapted, vocabulary, *asked)
    assert weights.argmax() == at and all(parameter.grad is None for parameter in adapted.parameters())
    merged = adapted.merge_and_unload()
    np.testing.assert_allclose(weights, attribute_to_codes(merged, vocabulary, *asked), atol=1e-4)
    half = attribute_to_codes(merged.to(torch.bfloat16), vocabulary, *asked)
    assert half.argmax() == at and half == pytest.approx(weights, abs=0.1)


def test_margins_of_a_batch_are_those_of_one_prompt_at_a_time(vocabulary, reader):
    rng = np.random.default_rng(5)
    prompts = []
    for _ in range(3):
        prefix, _, question = prompt(vocabulary, some_ecg(rng, telling=True)[0])
        prompts.append(reader.get_input_embeddings()(torch.tensor([*prefix, *question])))
    end = vocabulary.tokenizer.eos_token_id
    for answer, other in (([5, 6, end], [5, end]), ([7], [8]), ([5, 6], None)):
        together = answer_margin(reader, torch.stack(prompts), answer, other)
        alone = torch.cat([answer_margin(reader, each[None], answer, other) for each in prompts])
        torch.testing.assert_close(together, alone)

"""Language models of many families: packed rows, adapters and generation are exact, or the model is refused."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.llm.checkpoint import (
    generation_config,
    load_language_model,
    longest_sequence,
    new_checkpoint,
)
from cardiolect.model.llm.tiny import train_bpe
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.model.training import attention
from cardiolect.model.training.adaptation import prepare_for_training
from cardiolect.model.training.objectives import weighted_loss
from cardiolect.model.training.packing import collate, lay_out, pack
from cardiolect.utils.errors import UserError
from tests.helpers.families import REFUSED, TRAINED, WINDOW

BIASED_HEAD = ("phi", "gptj")  # PEFT's adapters of rows leave the bias out
QUESTIONS = ("Is it?", "Does this ECG show atrial fibrillation?", "Normal?")


@pytest.fixture(scope="module")
def words():
    return train_bpe({"Does this ECG show atrial fibrillation? yes no", "Sinus rhythm. Normal ECG."}, 300)


def saved(family, words, folder):
    """A model of a family with random weights, as a user's local LLM_PATH."""
    torch.manual_seed(0)
    ids = {f"{name}_token_id": getattr(words, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    model = AutoModelForCausalLM.from_config(family.config(vocab_size=len(words), **ids))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=TRAINED)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(name, words, tokenizer_folder, tmp_path_factory):
    folder = saved(TRAINED[name], words, tmp_path_factory.mktemp("llm"))
    model, tokenizer = load_language_model(folder, "fp32")
    return new_checkpoint(model.eval(), tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)


def rows_of(vocabulary):
    """Two ECGs longer than the window with three questions each, of which the last tokens are supervised."""
    rng, rows = np.random.default_rng(0), []
    for codes, lengths in ((2 * WINDOW, (5, 2 * WINDOW, 9)), (WINDOW + 7, (6, 4, 8))):
        prefix = [vocabulary.start_id, *vocabulary.code_ids(rng.integers(0, 100, codes)), vocabulary.end_id]
        turns = [(rng.integers(5, 250, n).tolist(), [0.0] * 2 + [1.0] * (n - 2)) for n in lengths]
        rows.append((prefix, turns))
    return rows


def plain_loss(model, prefix, turns):
    """Mean loss of the supervised tokens, from the stock model's own loss of one sequence at a time."""
    total = weight = 0.0
    for ids, weights in turns:
        labels = [-100] * len(prefix) + [i if w else -100 for i, w in zip(ids, weights, strict=True)]
        loss = model(input_ids=torch.tensor([[*prefix, *ids]]), labels=torch.tensor([labels])).loss
        total, weight = total + loss * sum(weights), weight + sum(weights)
    return total / weight


@torch.no_grad()
def test_packed_questions_have_the_loss_of_plain_sequences(checkpoint):
    """The ECG is longer than the window, so that a layer that counts rows instead of positions shows."""
    model, vocabulary = checkpoint.model, checkpoint.vocabulary
    head, pad = model.get_output_embeddings(), vocabulary.tokenizer.pad_token_id
    rows = rows_of(vocabulary)
    batches = [collate([pack(*row)], pad) for row in rows]
    if attention.supports_rows(model):
        batches += [lay_out([pack(*row)]) for row in rows]
    for batch, (prefix, turns) in zip(batches, rows * 2, strict=False):
        laid_out = "row_groups" in batch
        model.set_attn_implementation(attention.NAME) if laid_out else None
        loss, weight = weighted_loss(model, head, batch)
        model.set_attn_implementation("sdpa") if laid_out else None
        torch.testing.assert_close(loss / weight, plain_loss(model, prefix, turns), rtol=0, atol=1e-5)
    together, weight = weighted_loss(model, head, collate([pack(*row) for row in rows], pad))
    sizes = [sum(sum(weights) for _, weights in turns) for _, turns in rows]
    apart = sum(plain_loss(model, *row) * size for row, size in zip(rows, sizes, strict=True)) / sum(sizes)
    torch.testing.assert_close(together / weight, apart, rtol=0, atol=1e-5)


def test_answers_are_those_of_the_stock_generate(checkpoint):
    model, vocabulary = checkpoint.model, checkpoint.vocabulary
    codes = np.random.default_rng(1).integers(0, 100, 2 * WINDOW)
    ecg = PreparedECG("1", codes.tolist(), codes)
    prompts = [make_prompt(vocabulary, [ecg], ["age 56"], "qa", question) for question in QUESTIONS]
    ours = dict(generate_texts(model, vocabulary, prompts, 8, 3))
    settings = generation_config(vocabulary)
    settings.max_new_tokens = 8
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([[*prompt.prefix, *prompt.question]])
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
        text = vocabulary.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip()
        assert ours[i].text == text


def test_a_step_of_adapters_merges_into_the_stock_model(checkpoint, name):
    vocabulary, base = checkpoint.vocabulary, copy.deepcopy(checkpoint.model)
    before = {key: value.clone() for key, value in base.state_dict().items()}
    table = base.get_input_embeddings().weight.detach().clone()
    settings = SimpleNamespace(
        gradient_checkpointing=False,
        tuning="lora",
        lora_targets=list(TRAINED[name].targets),
        lora_rank=4,
        lora_alpha=8,
        lora_dropout=0.0,
    )
    if name in BIASED_HEAD:
        with pytest.raises(UserError, match=f"head of a {name} model has a bias"):
            prepare_for_training(base, vocabulary, settings)
        return
    model = prepare_for_training(base, vocabulary, settings)
    batch = collate([pack(*row) for row in rows_of(vocabulary)], vocabulary.tokenizer.pad_token_id)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.Adam(trained, lr=0.01), []
    for _ in range(2):
        loss, weight = weighted_loss(model, model.get_output_embeddings(), batch)
        (loss / weight).backward()
        assert all(parameter.grad is not None for parameter in trained), "an adapter outside the language model"
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    ids = torch.tensor([rows_of(vocabulary)[0][0]])
    model.eval()
    with torch.no_grad():
        adapted = model(input_ids=ids).logits
        merged = model.merge_and_unload()
        torch.testing.assert_close(merged(input_ids=ids).logits, adapted, rtol=1e-4, atol=1e-4)
    text_rows = slice(0, vocabulary.start_id)
    changed = {key for key, value in merged.state_dict().items() if not torch.equal(value, before[key])}
    assert changed and not any("vision" in key or "multi_modal" in key for key in changed)
    assert torch.equal(merged.get_input_embeddings().weight[text_rows], table[text_rows])


@pytest.mark.parametrize("kind", REFUSED)
def test_a_family_that_cannot_be_exact_is_refused_before_training(kind, words, tmp_path):
    family, reason = REFUSED[kind]
    folder = saved(family, words, tmp_path)
    with pytest.raises(UserError, match=rf"a {kind} model cannot be used: .*{reason}") as refused:
        load_language_model(folder, "fp32")
    assert "\n" not in str(refused.value) and str(folder) in str(refused.value)


def test_a_window_is_no_limit_and_long_rope_is(checkpoint, name):
    assert longest_sequence(checkpoint.model) == (384 if name == "phi3 long" else 512)

"""Embedded ECGs: rows replace placeholders, and everything else works as for codes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.model.inference.attribution import attribute_to_codes
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.inference.ranking import rank_answers
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.ecg_language_model import ECGLanguageModel
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.prompt.rendering import make_prompt, render_answer, render_prefix, render_prompt
from cardiolect.model.training.adaptation import prepare_for_training
from cardiolect.model.training.objectives import weighted_loss
from cardiolect.model.training.packing import collate
from cardiolect.model.training.rows import FinetuneDataset
from cardiolect.model.training.settings import TrainSettings
from cardiolect.utils.errors import UserError
from tests.helpers.ecgs import ItemsInMemory
from tests.helpers.language_models import tiny_language_model
from tests.helpers.representations import LeadMeans

QUESTIONS = ("Does this ECG show atrial fibrillation?", "Is it?", "Normal?")
REFS = [RecordRef(str(k), Path(str(k)), f"p{k}") for k in range(3)]
CANDIDATES = [("yes",), ("no",), ("sinus rhythm",)]


@pytest.fixture(params=["tied", "untied"])
def checkpoint(request, tmp_path):
    """A tiny model with embedded ECGs, and weights that make answers depend on them."""
    model, tokenizer = load_language_model(tiny_language_model(tmp_path / "llm", request.param == "tied"), "fp32")
    checkpoint = new_checkpoint(model.eval(), tokenizer, LeadMeans(), seed=0, projector="mlp")
    with torch.no_grad():
        torch.manual_seed(4)
        for parameter in checkpoint.model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return checkpoint


@pytest.fixture
def ecgs() -> ItemsInMemory:
    """Three ECGs; the first two have the same length, so their token ids are equal."""
    rng = np.random.default_rng(0)
    items = {ref: rng.standard_normal((n, 12)).astype(np.float16) for ref, n in zip(REFS, (8, 8, 5), strict=True)}
    return ItemsInMemory(LeadMeans(), items)


def prompts(checkpoint, ecgs, refs=REFS, absent=False) -> list:
    return [
        make_prompt(checkpoint.vocabulary, [None if absent else ecgs.ecg(ref)], ["age 56"], "qa", question)
        for question in QUESTIONS
        for ref in refs
    ]


def test_rows_of_the_ecg_replace_its_placeholders(checkpoint, ecgs):
    prompt = prompts(checkpoint, ecgs)[0]
    ids, model = torch.tensor([prompt.prefix]), checkpoint.model
    found = model.embed_prompts(ids, prompt.items)
    places = ids[0] == checkpoint.vocabulary.first_code_id
    assert places.sum() == 8
    assert torch.equal(found[0, places], model.projector(torch.from_numpy(prompt.items[0]).float()))
    assert torch.equal(found[0, ~places], model.get_input_embeddings()(ids)[0, ~places])


def test_a_missing_or_surplus_row_is_an_error(checkpoint, ecgs):
    prompt = prompts(checkpoint, ecgs)[0]
    with pytest.raises(ValueError, match="8 placeholders in the prompts, but 7 rows"):
        checkpoint.model(torch.tensor([prompt.prefix]), ecgs=[prompt.items[0][:7]])


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_recordings_with_equal_ids_are_distinguished(checkpoint, ecgs, batch_size):
    """Prefixes are shared by recording, background and condition, not by token ids, which may be equal."""
    asked = prompts(checkpoint, ecgs)
    assert asked[0].prefix == asked[1].prefix and asked[0].key != asked[1].key
    run = (checkpoint.model, checkpoint.vocabulary)
    shared = dict(generate_texts(*run, asked, 8, batch_size))
    alone = [dict(generate_texts(*run, [prompt], 8, 1))[0] for prompt in asked]
    assert [shared[i].text for i in range(len(asked))] == [answer.text for answer in alone]
    assert [shared[i].logprob for i in range(len(asked))] == pytest.approx([a.logprob for a in alone], abs=1e-3)
    assert abs(shared[0].logprob - shared[1].logprob) > 1e-3, "the two ECGs have to matter for this test"
    ranked = dict(rank_answers(*run, asked, [CANDIDATES] * len(asked), batch_size))
    for i, prompt in enumerate(asked):
        one = dict(rank_answers(*run, [prompt], [CANDIDATES], 1))[0]
        assert ranked[i].log_probabilities == pytest.approx(one.log_probabilities, abs=1e-3)


def test_without_the_ecg_the_model_is_the_stock_one(checkpoint, ecgs):
    asked = prompts(checkpoint, ecgs, REFS[:1], absent=True)
    around = dict(generate_texts(checkpoint.model, checkpoint.vocabulary, asked, 8, 4))
    stock = dict(generate_texts(checkpoint.model.language_model, checkpoint.vocabulary, asked, 8, 4))
    assert around == stock


def examples() -> list[Example]:
    single = [
        Example(f"{question}{ref.record_id}", (ref,), "qa", question, ("yes",), background="age 56")
        for question in QUESTIONS
        for ref in REFS
    ]
    return [*single, Example("pair", (REFS[0], REFS[2]), "qa", "What is new?", ("no",))]


def test_packed_questions_have_the_loss_of_separate_rows(checkpoint, ecgs):
    head, pad = checkpoint.model.get_output_embeddings(), checkpoint.vocabulary.tokenizer.pad_token_id
    losses = []
    for questions_per_ecg in (3, 1):
        dataset = FinetuneDataset(checkpoint.vocabulary, examples(), ecgs, questions_per_ecg)
        rows = [dataset[i] for i in range(len(dataset))]
        loss, weight = weighted_loss(checkpoint.model, head, collate(rows, pad))
        losses.append((loss / weight).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_projector_and_language_model_train_and_text_rows_stay(checkpoint, ecgs, tuning):
    vocabulary, table = checkpoint.vocabulary, checkpoint.model.get_input_embeddings().weight
    before, projector = table.detach().clone(), checkpoint.model.projector[0].weight.detach().clone()
    settings = TrainSettings.model_construct(
        tuning=tuning,
        train_text_rows=False,
        lora_targets=["v_proj", "up_proj"],
        lora_rank=4,
        lora_alpha=8,
        lora_dropout=0.0,
    )
    model = prepare_for_training(checkpoint.model, vocabulary, settings)
    assert isinstance(model, ECGLanguageModel)
    dataset = FinetuneDataset(vocabulary, examples(), ecgs, 3)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    batch = collate([dataset[i] for i in range(len(dataset))], vocabulary.tokenizer.pad_token_id)
    losses = []
    for _ in range(6):
        loss, weight = weighted_loss(model, model.get_output_embeddings(), batch)
        optimizer.zero_grad()
        (loss / weight).backward()
        optimizer.step()
        losses.append((loss / weight).item())
    assert losses[-1] < losses[0]
    assert not torch.equal(model.projector[0].weight, projector)
    after = model.get_input_embeddings().weight.detach()
    assert torch.equal(after[: vocabulary.start_id], before[: vocabulary.start_id])


def test_the_weight_of_an_answer_is_attributed_to_the_rows(checkpoint, ecgs):
    vocabulary = checkpoint.vocabulary
    ids, of_ecg, items = render_prefix(vocabulary, [ecgs.ecg(REFS[0])], [""])
    weights = attribute_to_codes(
        checkpoint.model,
        vocabulary,
        ids,
        of_ecg,
        render_prompt(vocabulary, "qa", QUESTIONS[0]),
        render_answer(vocabulary, ["yes"]),
        render_answer(vocabulary, ["no"]),
        items,
    )
    assert weights.shape == (8,) and (weights >= 0).all() and weights.sum() == pytest.approx(1)


def test_a_chat_answers_as_evaluation_does(checkpoint, ecgs):
    chat = ECGChat(checkpoint)
    item = ecgs.item(REFS[1])
    expected = dict(generate_texts(checkpoint.model, checkpoint.vocabulary, prompts(checkpoint, ecgs, REFS[1:2]), 8, 1))
    assert chat.ask(item, QUESTIONS[0], patient="age 56", max_new_tokens=8) == expected[0].text


def test_a_checkpoint_is_saved_and_loaded_with_its_projector(checkpoint, ecgs, tmp_path, monkeypatch):
    monkeypatch.setattr("cardiolect.model.llm.checkpoint_folder.load_representation", lambda folder: LeadMeans())
    save_checkpoint(checkpoint, tmp_path / "saved", merge=True)
    assert not (tmp_path / "saved/chat_template.jinja").exists(), "a stock server cannot embed an ECG"
    asked = prompts(checkpoint, ecgs)
    before = dict(generate_texts(checkpoint.model, checkpoint.vocabulary, asked, 8, 4))
    loaded = load_checkpoint(tmp_path / "saved")
    assert loaded.model.projector_kind == "mlp" and not loaded.is_stock
    after = dict(generate_texts(loaded.model, loaded.vocabulary, asked, 8, 4))
    assert [after[i].text for i in range(len(asked))] == [before[i].text for i in range(len(asked))]
    half = load_checkpoint(tmp_path / "saved", "bf16")
    assert {p.dtype for p in half.model.parameters()} == {torch.bfloat16}
    assert len(dict(generate_texts(half.model, half.vocabulary, asked, 8, 4))) == len(asked)
    projector = tmp_path / "saved/ecg_projector.safetensors"
    for damage in (lambda: projector.write_bytes(projector.read_bytes()[:50]), projector.unlink):
        damage()
        with pytest.raises(UserError, match="the projector cannot be loaded"):
            load_checkpoint(tmp_path / "saved")


def test_a_batch_without_any_ecg_leaves_the_projector_a_gradient_of_zero(checkpoint, ecgs):
    """Ranks exchange the gradients of all parameters; one that has none for the projector would stop the others."""
    dataset = FinetuneDataset(checkpoint.vocabulary, examples(), ecgs, 3, ecg_dropout=0.999999)
    rows = [dataset[i] for i in range(len(dataset))]
    assert not any(row.items for row in rows)
    batch = collate(rows, checkpoint.vocabulary.tokenizer.pad_token_id)
    losses = []
    for training in (True, False):
        checkpoint.model.train(training)
        loss, weight = weighted_loss(checkpoint.model, checkpoint.model.get_output_embeddings(), batch)
        losses.append((loss / weight).item())
        if training:
            loss.backward()
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert all(not parameter.grad.any() for parameter in checkpoint.model.ecg_parameters())

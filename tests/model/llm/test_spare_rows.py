"""Added rows go up to a multiple of 64; the spare ones, which have no token, are never generated and have no mass."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PhiConfig, PhiForCausalLM

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.generation import generate_texts, stream_text
from cardiolect.model.inference.ranking import rank_answers
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.saving import generation_config, save_checkpoint
from cardiolect.model.training.adaptation import prepare_for_training
from cardiolect.model.training.settings import FinetuneSettings
from tests.helpers.language_models import tiny_language_model
from tests.helpers.prompts import varied_prompts

CANDIDATES = [("yes",), ("no",), ("left axis deviation",)]


def new(folder, tokenizer_folder, kind="tied", multiple=64) -> Checkpoint:
    torch.manual_seed(0)
    tiny_language_model(folder, tied=kind == "tied")
    if kind == "biased head":
        size = len(AutoTokenizer.from_pretrained(folder))
        sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
        model = PhiForCausalLM(PhiConfig(vocab_size=size, **sizes))
        torch.nn.init.normal_(model.lm_head.bias)
        model.save_pretrained(folder)
    model, words = load_language_model(folder, "fp32")
    return new_checkpoint(model.eval(), words, ECGTokenizer.from_pretrained(tokenizer_folder), 0, row_multiple=multiple)


def spare(checkpoint: Checkpoint) -> range:
    return range(checkpoint.vocabulary.new_ids.stop, checkpoint.model.get_input_embeddings().weight.shape[0])


@pytest.mark.parametrize("kind", ["tied", "untied", "biased head"])
def test_spare_rows_cannot_win_in_any_software(kind, tokenizer_folder, tmp_path):
    """Not even if it reads no generation settings, whatever the layers have learned."""
    checkpoint = new(tmp_path / "llm", tokenizer_folder, kind)
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "llm").get_input_embeddings().weight
    table = checkpoint.model.get_input_embeddings().weight
    assert table.shape[0] % 64 == 0 and 0 < len(spare(checkpoint)) < 64
    assert torch.equal(table[: len(before)], before)
    hidden = 10 * torch.randn(2000, 32)
    with torch.no_grad():
        logits = checkpoint.model.get_output_embeddings()(hidden)
    assert (logits[:, : checkpoint.vocabulary.start_id].amax(1) > logits[:, spare(checkpoint).start :].amax(1)).all()


def test_spare_rows_that_would_win_are_not_generated_and_have_no_mass(tokenizer_folder, tmp_path):
    """As the rows that a language model came with may be."""
    plain = new(tmp_path / "plain", tokenizer_folder, "untied", multiple=1)
    padded = new(tmp_path / "padded", tokenizer_folder, "untied")
    vocabulary, asked = padded.vocabulary, varied_prompts(padded.vocabulary)[:4]
    expected = dict(generate_texts(plain.model, plain.vocabulary, asked, 6, 4))
    ranked = dict(rank_answers(plain.model, plain.vocabulary, asked, [CANDIDATES] * 4, 4))
    with torch.no_grad():
        head = padded.model.get_output_embeddings().weight
        head[spare(padded).start :] = 50 * torch.randn(len(spare(padded)), 32)
    found = dict(generate_texts(padded.model, vocabulary, asked, 6, 4))
    for i, answer in expected.items():
        assert found[i].text == answer.text and found[i].logprob == pytest.approx(answer.logprob, abs=1e-4)
    for i, each in rank_answers(padded.model, vocabulary, asked, [CANDIDATES] * 4, 4):
        assert each.log_probabilities == pytest.approx(ranked[i].log_probabilities, abs=1e-4)
    assert list(stream_text(padded.model, vocabulary, asked[0], 6))[-1] == expected[0].text
    save_checkpoint(padded, tmp_path / "saved", merge=False)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "saved").eval()
    ids = torch.tensor([[*asked[0].prefix, *asked[0].question]])
    for draw in (False, True):
        answer = model.generate(ids, max_new_tokens=6, do_sample=draw)[0, ids.shape[1] :]
        assert (answer < vocabulary.start_id).all()
    free = model.generate(ids, max_new_tokens=6, suppress_tokens=None)[0, ids.shape[1] :]
    assert set(free.tolist()) & set(spare(padded)), "else nothing had to be suppressed"


def adapter(folder, tokenizer_folder, multiple: int) -> Checkpoint:
    checkpoint = new(folder, tokenizer_folder, multiple=multiple)
    settings = FinetuneSettings.model_construct(_fields_set=set(), lora_rank=4)
    checkpoint.model = prepare_for_training(checkpoint.model, checkpoint.vocabulary, settings).eval()
    with torch.no_grad():
        for parameter in checkpoint.model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return checkpoint


@pytest.mark.parametrize("whole_tables", [False, True])
def test_adapters_from_before_there_were_spare_rows_load_as_they_are(whole_tables, tokenizer_folder, tmp_path):
    checkpoint, ids = adapter(tmp_path / "llm", tokenizer_folder, multiple=1), torch.tensor([[3, 4, 300, 310]])
    save_checkpoint(checkpoint, tmp_path / "old", merge=False)
    if whole_tables:
        checkpoint.model.save_pretrained(tmp_path / "old")
    file = tmp_path / "old/cardiolect.json"
    info = json.loads(file.read_text())
    del info["row_multiple"]
    file.write_text(json.dumps(info))
    with torch.no_grad():
        assert torch.equal(load_checkpoint(tmp_path / "old").model(ids).logits, checkpoint.model(ids).logits)


def test_a_merged_model_keeps_its_spare_rows(tokenizer_folder, tmp_path):
    checkpoint, ids = adapter(tmp_path / "llm", tokenizer_folder, multiple=64), torch.tensor([[3, 4, 300, 310]])
    save_checkpoint(checkpoint, tmp_path / "adapters", merge=False)
    loaded = load_checkpoint(tmp_path / "adapters")
    with torch.no_grad():
        expected = loaded.model(ids).logits
        assert torch.equal(expected, checkpoint.model(ids).logits)
        save_checkpoint(loaded, tmp_path / "merged", merge=True)
        torch.testing.assert_close(load_checkpoint(tmp_path / "merged").model(ids).logits, expected)
    rows = AutoConfig.from_pretrained(tmp_path / "merged").vocab_size
    assert rows % 64 == 0
    settings = json.loads((tmp_path / "merged/generation_config.json").read_text())
    assert settings["suppress_tokens"] == list(range(checkpoint.vocabulary.start_id, rows))


def test_a_whole_model_without_spare_rows_loads_and_is_saved_as_it_is(tokenizer_folder, tmp_path):
    save_checkpoint(new(tmp_path / "llm", tokenizer_folder, multiple=1), tmp_path / "old", merge=False)
    save_checkpoint(loaded := load_checkpoint(tmp_path / "old"), tmp_path / "again", merge=False)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("old", "again"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert generation_config(loaded.vocabulary).suppress_tokens == list(loaded.vocabulary.new_ids)


def test_rows_that_a_language_model_came_with_are_not_changed(tokenizer_folder, tmp_path):
    """Qwen has spare rows already, of which the ECG tokens take the first."""
    checkpoint = new(tmp_path / "llm", tokenizer_folder, multiple=64)
    folder = shutil.copytree(tmp_path / "llm", tmp_path / "roomy")
    checkpoint.model.config.vocab_size = 700
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = torch.randn(700, 32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    checkpoint.model.config.save_pretrained(folder)
    model, words = load_language_model(folder, "fp32")
    made = new_checkpoint(model, words, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0, row_multiple=64)
    table, stop = model.get_input_embeddings().weight, made.vocabulary.new_ids.stop
    assert len(table) == 700 and torch.equal(table[stop:], weights["model.embed_tokens.weight"][stop:])

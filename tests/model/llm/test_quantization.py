"""Language models in 4 and 8 bits are trained by adapters, and loaded so again; what cannot be is refused."""

import json
from importlib.util import find_spec

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model
from cardiolect.model.llm.quantization import quantized
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.serving.publish import merge
from cardiolect.model.training.parts import trainable_parameters
from cardiolect.model.training.settings import PretrainSettings
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import curve, finetune_lines, pretrain_lines, run

installed = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason='bitsandbytes missing: pip install -e ".[quant]"'
)
QLORA = {"TUNING": "lora", "LORA_RANK": 4, "LORA_DROPOUT": 0, "CHECKPOINT_FORMAT": "adapter", "BATCH_SIZE": 4}


def language_model(folder, tied: bool = False):
    """Wide enough for blocks of 64 weights."""
    words = AutoTokenizer.from_pretrained(tiny_language_model(folder))
    torch.manual_seed(0)
    sizes = dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2)
    ids = dict(bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id)
    config = LlamaConfig(vocab_size=len(words), tie_word_embeddings=tied, initializer_range=0.1, **sizes, **ids)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def lines(corpus, tokenizer_folder, base, **values) -> dict:
    found = {**pretrain_lines(corpus, tokenizer_folder), **QLORA, "LLM_PATH": base, **values}
    return {key: value for key, value in found.items() if not key.startswith("TINY_")}


def logits(checkpoint) -> torch.Tensor:
    with torch.inference_mode():
        return checkpoint.model.eval()(torch.tensor([[3, 4, *checkpoint.vocabulary.code_ids([1, 2]), 5]])).logits


@installed
@pytest.mark.parametrize(("bits", "tied"), [(4, True), (8, False)])
def test_a_quantised_model_is_trained_evaluated_and_merged(bits, tied, corpus, tokenizer_folder, tmp_path, capsys):
    base = language_model(tmp_path / "llm", tied)
    whole = run("pretrain", tmp_path, "whole", **lines(corpus, tokenizer_folder, base, MAX_STEPS=4))
    out = run("pretrain", tmp_path, "few", **lines(corpus, tokenizer_folder, base, MAX_STEPS=4, LOAD_BITS=bits))
    assert curve(out) == pytest.approx(curve(whole), rel=0.05) and not (curve(out) == curve(whole)).all()
    info = json.loads((out / "cardiolect.json").read_text())
    assert info["load_bits"] == info["settings"]["load_bits"] == bits
    chat = ECGChat.from_pretrained(out, "cpu")
    model = chat.checkpoint.model.get_base_model()
    layer = model.model.layers[0].mlp.down_proj
    assert layer.weight.dtype == (torch.uint8 if bits == 4 else torch.int8)
    tables = [model.get_input_embeddings().token_adapter.base_layer.weight, model.lm_head.weight]
    assert all(table.dtype == torch.float32 for table in tables)
    few, stock = logits(chat.checkpoint), logits(load_checkpoint(out, load_bits=0))
    assert 1e-4 < (few - stock).std() / stock.std() < 0.3
    with pytest.raises(UserError, match="adapters cannot be merged into quantised weights"):
        save_checkpoint(chat.checkpoint, tmp_path / "refused", merge=True)
    capsys.readouterr()
    merge(out, tmp_path / "merged")
    assert f"trained on weights of {bits} bits, merged into whole ones" in capsys.readouterr().out
    merged = load_checkpoint(tmp_path / "merged")
    assert merged.info["load_bits"] == 0
    torch.testing.assert_close(logits(merged), stock, rtol=1e-4, atol=1e-4)


@installed
def test_fine_tuning_goes_on_with_the_bits_of_its_checkpoint(corpus, tokenizer_folder, tmp_path):
    base = language_model(tmp_path / "llm")
    first = run("pretrain", tmp_path, "pre", **lines(corpus, tokenizer_folder, base, MAX_STEPS=2, LOAD_BITS=4))
    values = {**finetune_lines(corpus, first), **QLORA, "MAX_STEPS": 2, "QUESTIONS_PER_ECG": 2}
    second = run("finetune", tmp_path, "ft", **values)
    assert json.loads((second / "cardiolect.json").read_text())["load_bits"] == 4
    answers = ECGChat.from_pretrained(second, "cpu").checkpoint
    assert answers.model.get_base_model().is_loaded_in_4bit


@installed
def test_a_quantised_model_is_tried_before_training_like_any_other(tmp_path):
    model, _ = load_language_model(language_model(tmp_path), "fp32", **quantized(4, torch.float32, "cpu"))
    whole, _ = load_language_model(tmp_path, "fp32")
    assert trainable_parameters(model)[1] == trainable_parameters(whole)[1], "two weights lie in a byte"
    assert model.is_loaded_in_4bit and model.lm_head.weight.dtype == torch.float32


@installed
def test_widths_that_bitsandbytes_cannot_generate_with_are_refused_on_a_cpu(tmp_path):
    folder = tiny_language_model(tmp_path)
    with pytest.raises(UserError, match="widths of a multiple of 64, not 32; set 8"):
        load_language_model(folder, "fp32", **quantized(4, torch.float32, "cpu"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"TUNING": "full", "CHECKPOINT_FORMAT": "merged"}, "LOAD_BITS=4 needs TUNING=lora"),
        ({"CHECKPOINT_FORMAT": "merged"}, "LOAD_BITS=4 needs CHECKPOINT_FORMAT=adapter"),
        ({"LORA_VARIANT": "dora"}, "LOAD_BITS=4: LORA_VARIANT=dora"),
        ({"DEEPSPEED_CONFIG": ROOT / "ds_config_zero3.json"}, "ZeRO-3, which cannot split quantised weights"),
        ({"LOAD_BITS": 5}, "LOAD_BITS"),
        ({"LOAD_BITS": 0, "PRECISION": "fp16", "DEVICE": "cpu"}, "PRECISION=fp16: training needs a GPU"),
    ],
)
def test_what_cannot_be_combined_is_refused_before_work(values, message, corpus, tokenizer_folder, tmp_path):
    base = tiny_language_model(tmp_path / "llm")
    values = {**lines(corpus, tokenizer_folder, base, LOAD_BITS=4), "OUTPUT_DIR": tmp_path / "out", **values}
    file = tmp_path / "run.env"
    file.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    with pytest.raises(UserError, match=message) as refused:
        PretrainSettings.load(file)
    assert "\n" not in str(refused.value)


def test_a_missing_bitsandbytes_is_one_line(monkeypatch):
    monkeypatch.setattr("cardiolect.model.llm.quantization.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"LOAD_BITS=4: needs bitsandbytes .*\[quant\]"):
        quantized(4, torch.float32)

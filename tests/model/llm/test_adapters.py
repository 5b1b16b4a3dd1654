"""Adapters: small files that give back the trained model to the bit, and merge into a stock one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import Checkpoint, load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.ecg_language_model import inner_model
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.training.adaptation import prepare_for_training, with_adapters_own
from cardiolect.model.training.settings import FinetuneSettings, TrainSettings
from tests.helpers.language_models import tiny_language_model

VARIANTS = [("lora", False), ("lora", True), ("rslora", False), ("dora", False), ("dora", True)]


def settings(variant: str = "lora", norms: bool = False) -> TrainSettings:
    return FinetuneSettings.model_construct(
        _fields_set=set(), lora_rank=4, lora_dropout=0.0, lora_variant=variant, train_norms=norms
    )


def trained(folder: Path, tokenizer_folder: Path, tied: bool = True, **values) -> Checkpoint:
    """Adapters of the language model ``folder``/llm after two steps."""
    torch.manual_seed(0)
    model, words = load_language_model(tiny_language_model(folder / "llm", tied=tied), "fp32")
    checkpoint = new_checkpoint(model, words, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    checkpoint.model = prepare_for_training(model, checkpoint.vocabulary, settings(**values))
    parameters = [parameter for parameter in checkpoint.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    for _ in range(2):
        ids = tokens(checkpoint)
        checkpoint.model(input_ids=ids, labels=ids).loss.backward()
        assert all(parameter.grad is not None for parameter in parameters)
        optimizer.step()
        optimizer.zero_grad()
    return checkpoint


def tokens(checkpoint: Checkpoint) -> torch.Tensor:
    return torch.tensor([[3, 4, *checkpoint.vocabulary.code_ids([1, 2, 3]), 5, 6]])


def logits(checkpoint: Checkpoint) -> torch.Tensor:
    with torch.no_grad():
        return checkpoint.model.eval()(input_ids=tokens(checkpoint)).logits


def adapter_file(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(("variant", "norms"), VARIANTS)
def test_every_variant_is_trained_reloaded_and_merged(variant, norms, tied, tokenizer_folder, tmp_path):
    checkpoint = trained(tmp_path, tokenizer_folder, tied, variant=variant, norms=norms)
    expected = logits(checkpoint)
    save_checkpoint(checkpoint, tmp_path / "adapters", merge=False)
    loaded = load_checkpoint(tmp_path / "adapters")
    assert torch.equal(logits(loaded), expected)
    own = with_adapters_own(settings(), load_checkpoint(tmp_path / "adapters", trainable=True).model)
    assert (own.lora_variant, own.train_norms) == (variant, norms)
    save_checkpoint(loaded, tmp_path / "merged", merge=True)
    torch.testing.assert_close(logits(load_checkpoint(tmp_path / "merged")), expected, rtol=1e-4, atol=1e-4)
    before, after = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("llm", "merged"))
    norm_weights = [name for name in before if "norm" in name]
    assert all(torch.equal(before[name], after[name]) != norms for name in norm_weights)
    magnitudes = [name for name in adapter_file(tmp_path / "adapters") if "magnitude" in name]
    assert len(magnitudes) == (14 if variant == "dora" else 0)


def test_rslora_scales_by_the_root_of_the_rank(tokenizer_folder, tmp_path):
    checkpoint = trained(tmp_path, tokenizer_folder, variant="rslora")
    layer = checkpoint.model.get_base_model().model.layers[0].mlp.up_proj
    assert layer.scaling == {"default": 16 / 4**0.5}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_an_adapter_is_rows_and_low_rank_matrices_only(tied, tokenizer_folder, tmp_path):
    """The tables grow by the ECG tokens, for which PEFT would save them whole."""
    checkpoint = trained(tmp_path, tokenizer_folder, tied)
    save_checkpoint(checkpoint, tmp_path / "adapters", merge=False)
    values = sum(parameter.numel() for parameter in checkpoint.model.parameters() if parameter.requires_grad)
    size = (tmp_path / "adapters/adapter_model.safetensors").stat().st_size
    assert 4 * values <= size < 4 * values + 10_000
    rows = [tuple(tensor.shape) for name, tensor in adapter_file(tmp_path / "adapters").items() if "lora" not in name]
    assert rows == [(len(checkpoint.vocabulary.new_ids), 32)] * (1 if tied else 2)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_an_adapter_with_whole_tables_still_loads(tied, tokenizer_folder, tmp_path):
    """As they were saved before, with PEFT's own choice."""
    checkpoint = trained(tmp_path, tokenizer_folder, tied)
    save_checkpoint(checkpoint, tmp_path / "adapters", merge=False)
    slim = adapter_file(tmp_path / "adapters")
    checkpoint.model.save_pretrained(tmp_path / "adapters")
    fat = adapter_file(tmp_path / "adapters")
    assert slim.keys() < fat.keys()
    loaded = load_checkpoint(tmp_path / "adapters")
    assert torch.equal(logits(loaded), logits(checkpoint))
    save_checkpoint(loaded, tmp_path / "again", merge=False)
    again = adapter_file(tmp_path / "again")
    assert again.keys() == slim.keys() and all(torch.equal(again[name], slim[name]) for name in slim)


def test_an_adapter_goes_on_training_as_it_was(tokenizer_folder, tmp_path):
    save_checkpoint(trained(tmp_path, tokenizer_folder, variant="dora", norms=True), tmp_path / "adapters", merge=False)
    loaded = load_checkpoint(tmp_path / "adapters", trainable=True)
    loaded.model = prepare_for_training(loaded.model, loaded.vocabulary, settings())
    trainable = {name for name, parameter in loaded.model.named_parameters() if parameter.requires_grad}
    for part in ("lora_A", "lora_magnitude_vector", "modules_to_save", "trainable_tokens_delta"):
        assert any(part in name for name in trainable), part


@pytest.mark.parametrize("merge", [True, False], ids=["merged", "adapters"])
def test_the_cache_of_generation_is_not_saved_as_off(merge, tokenizer_folder, tmp_path):
    """Stock servers would compute every answer anew from its first token, for each token."""
    checkpoint = trained(tmp_path, tokenizer_folder)
    inner_model(checkpoint.model).config.use_cache = False
    save_checkpoint(checkpoint, tmp_path / "out", merge=merge)
    files = [file for file in (tmp_path / "out").glob("*config.json")]
    assert files and not any(json.loads(file.read_text()).get("use_cache") is False for file in files)

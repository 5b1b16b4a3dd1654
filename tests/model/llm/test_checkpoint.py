"""A checkpoint folder holds one checkpoint, whatever was in it before, and is refused if its files disagree."""

import json
import shutil

import pytest
import torch

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.serving.serve import is_servable
from cardiolect.utils.errors import UserError
from tests.helpers.language_models import tiny_language_model


@pytest.mark.parametrize(
    "kinds", [("adapters", "stock"), ("patches", "stock"), ("stock", "adapters"), ("stock", "patches")]
)
def test_a_run_into_the_folder_of_another_kind_leaves_nothing_of_it(kinds, stock, adapters, tokenizer_folder, tmp_path):
    """Adapters that stay next to a whole model would be loaded instead of it, without a word."""
    torch.manual_seed(0)
    model, words = load_language_model(tiny_language_model(tmp_path / "llm"), "fp32")
    made = {
        "stock": lambda: load_checkpoint(stock),
        "adapters": lambda: load_checkpoint(adapters),
        "patches": lambda: new_checkpoint(model, words, ECGPatches(PatchConfig("conv")), seed=0),
    }
    for kind in kinds:
        save_checkpoint(last := made[kind](), tmp_path / "out", merge=False)
    found = load_checkpoint(tmp_path / "out")
    assert type(found.model) is type(last.model) and type(found.representation) is type(last.representation)
    ids = torch.tensor([[3, 4, 5, 6]])
    with torch.no_grad():
        torch.testing.assert_close(found.model.eval()(ids).logits, last.model.eval()(ids).logits)
    assert is_servable(tmp_path / "out") == (kinds[-1] == "stock")
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert ("adapter_config.json" in files) == (kinds[-1] == "adapters")
    assert ("ecg_projector.safetensors" in files) == (kinds[-1] == "patches")
    assert isinstance(found.representation, ECGTokenizer) == (kinds[-1] != "patches")


@pytest.mark.parametrize("kind", ["stock", "adapters"])
def test_who_may_read_the_other_files_may_read_the_weights(kind, request, tmp_path):
    """A group on a cluster could list a shared checkpoint but not load it."""
    save_checkpoint(load_checkpoint(request.getfixturevalue(kind)), tmp_path / "out", merge=False)
    weights = list((tmp_path / "out").rglob("*.safetensors"))
    assert len(weights) == 2 and {file.stat().st_mode for file in weights} == {
        (tmp_path / "out/cardiolect.json").stat().st_mode
    }


@pytest.mark.parametrize("kind", ["stock", "adapters"])
def test_a_checkpoint_with_damaged_weights_does_not_stay(kind, request, tmp_path, monkeypatch):
    """Weights that are still split over ranks are empty, and were written so without a word."""
    checkpoint = load_checkpoint(request.getfixturevalue(kind))
    save_checkpoint(checkpoint, tmp_path / "out", merge=False)
    for parameter in checkpoint.model.parameters():
        parameter.ds_shape, parameter.data = parameter.shape, torch.empty(0)
    with pytest.raises(RuntimeError, match=r"damaged weights were written and are deleted .*has \[0\]"):
        save_checkpoint(checkpoint, tmp_path / "out", merge=False)
    assert not list((tmp_path / "out").glob("*model*.safetensors"))
    assert not (tmp_path / "out/cardiolect.json").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 3}, r"lacks weights that its config.json asks for \(\d+, such as model.layers.2"),
        ({"num_hidden_layers": 1}, r"has weights that its config.json has no place for \(\d+, such as model.layers.1"),
        ({"intermediate_size": 100}, "no causal language model can be loaded"),
        ({"num_attention_heads": 3}, "no causal language model can be loaded"),
        ({"hidden_size": "32"}, "no causal language model can be loaded"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(stock, tmp_path, change, message):
    """Layers that are missing were drawn at random, and the scores of such a model looked like any others."""
    folder = shutil.copytree(stock, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=message):
        load_checkpoint(folder)


def test_weights_of_a_foreign_model_that_are_not_used_are_named(tmp_path, capsys):
    folder = tiny_language_model(tmp_path / "llm")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    load_language_model(folder, "fp32")
    lines = [line for line in capsys.readouterr().out.splitlines() if "such as model.layers.1" in line]
    assert len(lines) == 1 and lines[0].endswith("; they are not used")


def test_weights_that_are_not_numbers_are_named_as_such(stock, tmp_path):
    checkpoint = load_checkpoint(stock)
    with torch.no_grad():
        checkpoint.model.get_input_embeddings().weight[:] = float("nan")
    save_checkpoint(checkpoint, tmp_path / "out", merge=False)
    with pytest.raises(UserError, match="are not all finite numbers"):
        load_checkpoint(tmp_path / "out")

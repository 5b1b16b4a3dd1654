"""A checkpoint folder holds one checkpoint, whatever was in it before."""

import pytest
import torch

from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.patches import ECGPatches, PatchConfig
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.serving.serve import is_servable
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

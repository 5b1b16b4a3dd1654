"""ZeRO-3 splits the weights over ranks: results are those of ZeRO-2, and checkpoints are whole."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cardiolect.ecg_tokenizer.patches import ECGPatches, PatchConfig
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.model.training.stages import finetune
from cardiolect.model.training.zero3 import splits_weights
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.language_models import tiny_language_model
from tests.helpers.runs import curve, finetune_lines, pretrain_lines, run


@pytest.fixture
def own_config(tmp_path):
    """A user's file of another name, which also splits the small tensors that DeepSpeed would keep whole."""
    config = json.loads((ROOT / "ds_config_zero3.json").read_text())
    config["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    file = tmp_path / "deepspeed.json"
    file.write_text(json.dumps(config))
    return file


def same_weights(one, two, name="model.safetensors") -> None:
    weights = [load_file(folder / name) for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for key in weights[0]:
        torch.testing.assert_close(weights[1][key], weights[0][key], rtol=1e-3, atol=1e-4)


def test_a_full_model_is_saved_whole(tmp_path, corpus, pretrained, own_config):
    """Seven validation rows for two ranks, which must forward together."""
    lines = {**finetune_lines(corpus, pretrained), "TUNING": "full", "BATCH_SIZE": 4, "MAX_VALID": 7}
    lines["NUM_PROCESSES"] = 2
    zero2 = run("finetune", tmp_path, "zero2", **lines)
    zero3 = run("finetune", tmp_path, "zero3", **lines, DEEPSPEED_CONFIG=own_config)
    np.testing.assert_allclose(curve(zero3), curve(zero2), rtol=2e-4)
    same_weights(zero2, zero3)
    infos = [json.loads((folder / "cardiolect.json").read_text()) for folder in (zero2, zero3)]
    assert infos[0]["valid_loss"] == pytest.approx(infos[1]["valid_loss"], rel=1e-4)


@pytest.mark.parametrize(("tied", "kind"), [(True, "merged"), (False, "adapter")])
def test_adapters_and_token_rows_are_saved_whole(tmp_path, corpus, tokenizer_folder, own_config, tied, kind):
    base = tiny_language_model(tmp_path / "llm", tied=tied)
    lines = {**pretrain_lines(corpus, tokenizer_folder), "LLM_PATH": base, "TUNING": "lora", "LORA_RANK": 4}
    lines |= {"BATCH_SIZE": 4, "NUM_PROCESSES": 2, "CHECKPOINT_FORMAT": kind}
    zero2 = run("pretrain", tmp_path, "zero2", **lines)
    zero3 = run("pretrain", tmp_path, "zero3", **lines, DEEPSPEED_CONFIG=own_config)
    np.testing.assert_allclose(curve(zero3), curve(zero2), rtol=2e-4)
    same_weights(zero2, zero3, {"merged": "model.safetensors", "adapter": "adapter_model.safetensors"}[kind])


def test_zero3_is_recognised_by_its_content(own_config):
    assert splits_weights(own_config) and splits_weights(ROOT / "ds_config_zero3.json")
    assert not splits_weights(ROOT / "ds_config_zero2.json")


@pytest.mark.parametrize(
    ("content", "lines", "message"),
    [
        ("not JSON", {}, "is not a DeepSpeed configuration in JSON"),
        ("[]", {}, "is not a DeepSpeed configuration in JSON"),
        ('{"zero_optimization": {"stage": "3"}}', {}, "zero_optimization.stage is '3'; it must be 0, 1, 2 or 3"),
        ('{"zero_optimization": {"stage": 3}}', {"OPTIMIZER": "muon", "TUNING": "full"}, "needs reduce_scatter"),
    ],
)
def test_what_cannot_work_is_refused_before_work(tmp_path, corpus, pretrained, content, lines, message):
    config, file = tmp_path / "deepspeed.json", tmp_path / "run.env"
    config.write_text(content)
    lines = {**finetune_lines(corpus, pretrained), "OUTPUT_DIR": tmp_path / "out", **lines, "DEEPSPEED_CONFIG": config}
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with pytest.raises(UserError, match=message):
        FinetuneSettings.load(file)


def test_embedded_ecgs_are_refused_with_zero3(monkeypatch):
    settings = SimpleNamespace(
        tasktype="qa",
        checkpoint=None,
        tokenizer_path=None,
        ecg_loss_weight=0,
        deepspeed_config=ROOT / "ds_config_zero3.json",
    )
    stages = "cardiolect.model.training.stages"
    checkpoint = SimpleNamespace(representation=ECGPatches(PatchConfig("conv")), info={})
    monkeypatch.setattr(f"{stages}.load_splits", lambda *_, **__: {})
    monkeypatch.setattr(f"{stages}.load_representation", lambda _: checkpoint.representation)
    monkeypatch.setattr(f"{stages}._new_checkpoint", lambda *_: checkpoint)
    with pytest.raises(UserError, match="ZeRO-3, which cannot train embedded ECGs"):
        finetune(settings)

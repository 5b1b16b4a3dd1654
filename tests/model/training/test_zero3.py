"""ZeRO-3 splits the weights over ranks: results are those of ZeRO-2, and checkpoints are whole."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cardiolect.ecg_tokenizer.patches.representation import ECGPatches
from cardiolect.ecg_tokenizer.patches.settings import PatchConfig
from cardiolect.model.training.deepspeed_config import splits_weights
from cardiolect.model.training.settings import FinetuneSettings
from cardiolect.model.training.stages import finetune
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
        ("{}", {}, 'lacks "zero_optimization"'),
        ('{"zero_optimization": {"stage": 2, "ofload": {}}}', {}, '"zero_optimization": ofload: Extra inputs'),
    ],
)
def test_what_cannot_work_is_refused_before_work(tmp_path, corpus, pretrained, content, lines, message):
    config, file = tmp_path / "deepspeed.json", tmp_path / "run.env"
    config.write_text(content)
    lines = {**finetune_lines(corpus, pretrained), "OUTPUT_DIR": tmp_path / "out", **lines, "DEEPSPEED_CONFIG": config}
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    with pytest.raises(UserError, match=message):
        FinetuneSettings.load(file)


MUON = {"OPTIMIZER": "muon", "TUNING": "full"}


@pytest.mark.parametrize(
    ("changed", "lines", "message"),
    [
        ({"optimizer": {"type": "Adam", "params": {"lr": 1}}}, {}, '"optimizer" would replace OPTIMIZER'),
        ({"optimizer": {"type": "AdamW", "params": {"lr": "auto"}}}, {}, '"optimizer" would replace OPTIMIZER'),
        ({"scheduler": {"type": "WarmupLR"}}, {}, '"scheduler" would replace SCHEDULE'),
        ({"bf16": None}, {"PRECISION": "bf16"}, 'PRECISION=bf16: .* lacks "bf16": {"enabled": "auto"}'),
        ({"bf16": {}}, {"PRECISION": "bf16"}, 'PRECISION=bf16: .* lacks "bf16": {"enabled": "auto"}'),
        ({"bf16": {"enabled": False}}, {"PRECISION": "bf16"}, 'PRECISION=bf16: .* lacks "bf16": {"enabled": "auto"}'),
        ({"fp16": {"enabled": True}}, {"PRECISION": "bf16"}, 'PRECISION=bf16: .* has "fp16": {"enabled": true}'),
        ({"fp16": {"enabled": True}}, {}, 'PRECISION=fp32: .* has "fp16": {"enabled": true}'),
        ({"bf16": {"enabled": True}}, {}, 'PRECISION=fp32: .* has "bf16": {"enabled": true}'),
        ({"bf16": True}, {}, 'PRECISION=fp32: .* has "bf16": true'),
        (
            {"train_batch_size": None, "train_micro_batch_size_per_gpu": None},
            {},
            'lacks "train_micro_batch_size_per_gpu',
        ),
        ({"train_batch_size": 16}, {}, '"train_batch_size" is 16, but BATCH_SIZE'),
        ({"train_micro_batch_size_per_gpu": 4}, {}, '"train_micro_batch_size_per_gpu" is 4, but BATCH_SIZE'),
        ({"gradient_accumulation_steps": 4}, {}, "is 4, but GRADIENT_ACCUMULATION_STEPS is 1"),
        (
            {"gradient_accumulation_steps": None},
            {"GRADIENT_ACCUMULATION_STEPS": 2},
            "is 1 if it is not given, but GRADIENT_ACCUMULATION_STEPS is 2",
        ),
        ({"gradient_clipping": 0.5}, {}, '"gradient_clipping" is 0.5, but MAX_GRAD_NORM is 1'),
        ({"gradient_clipping": None}, {"MAX_GRAD_NORM": 0.3}, "is 1 if it is not given, but MAX_GRAD_NORM is 0.3"),
        ({"gradient_clipping": 1.0}, MUON, '"gradient_clipping" is 1.0, but that of OPTIMIZER=muon is 0'),
    ],
)
def test_a_configuration_that_contradicts_the_settings_is_refused(tmp_path, changed, lines, message):
    with pytest.raises(UserError, match=f"{tmp_path}.*") as refused:
        load_with(changed, lines, tmp_path)
    assert re.search(message, str(refused.value)) and "deepspeed.json" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({}, {}),
        ({"bf16": {"enabled": True}, "fp16": {"enabled": False}}, {"PRECISION": "bf16"}),
        ({"bf16": None, "fp16": None}, {}),
        ({"gradient_accumulation_steps": 2}, {"GRADIENT_ACCUMULATION_STEPS": 2}),
        ({"gradient_clipping": 0.5}, {"MAX_GRAD_NORM": 0.5}),
        ({"gradient_clipping": None, "train_batch_size": None, "gradient_accumulation_steps": None}, {}),
        ({"gradient_clipping": 0}, MUON),
    ],
)
def test_a_configuration_that_agrees_with_the_settings_is_taken(tmp_path, changed, lines):
    load_with(changed, lines, tmp_path)


def load_with(changed: dict, lines: dict, folder) -> None:
    """Load settings with ds_config_zero2.json after changes; None removes a key."""
    content = json.loads((ROOT / "ds_config_zero2.json").read_text()) | changed
    config, file = folder / "deepspeed.json", folder / "run.env"
    config.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    paths = dict.fromkeys(("DATA_ROOT", "TRAIN_DATA", "VALID_DATA", "CHECKPOINT"), folder)
    lines = {**paths, "TASKTYPE": "qa", "OUTPUT_DIR": folder / "out", **lines, "DEEPSPEED_CONFIG": config}
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    FinetuneSettings.load(file)


def test_embedded_ecgs_are_refused_with_zero3(monkeypatch):
    settings = SimpleNamespace(
        tasktype="qa",
        checkpoint=None,
        tokenizer_path=None,
        ecg_loss_weight=0,
        tuning="full",
        deepspeed_config=ROOT / "ds_config_zero3.json",
    )
    stages = "cardiolect.model.training.stages"
    checkpoint = SimpleNamespace(representation=ECGPatches(PatchConfig("conv")), info={})
    monkeypatch.setattr(f"{stages}.load_splits", lambda *_, **__: {})
    monkeypatch.setattr(f"{stages}.load_representation", lambda _: checkpoint.representation)
    monkeypatch.setattr(f"{stages}._new_checkpoint", lambda *_: checkpoint)
    with pytest.raises(UserError, match="ZeRO-3, which cannot train embedded ECGs"):
        finetune(settings)

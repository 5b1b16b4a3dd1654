"""Which layers get adapters and which norms are trained, in models of many families."""

from types import SimpleNamespace

import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from cardiolect.model.training.adaptation import prepare_for_training, with_layer_names
from cardiolect.model.training.resume import differences
from cardiolect.model.training.settings import FinetuneSettings, TrainSettings
from cardiolect.utils.errors import UserError
from tests.helpers.families import TRAINED

VOCABULARY = SimpleNamespace(new_ids=range(290, 300))
HEARTLLM = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BIASED_HEAD = ("phi", "gptj")
MIXED_EXPERTS = ("gate_proj", "up_proj", "down_proj")  # of DeepSeek: PEFT takes them for its fused experts


def model_of(name: str):
    torch.manual_seed(0)
    ids = dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return AutoModelForCausalLM.from_config(TRAINED[name].config(vocab_size=300, **ids))


def settings(**values) -> TrainSettings:
    return FinetuneSettings.model_construct(_fields_set=set(values), **values)


def adapted(model, **values) -> set[str]:
    model = prepare_for_training(model, VOCABULARY, settings(**values)).get_base_model()
    return {path for path, module in model.named_modules() if isinstance(module, LoraLayer)}


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in BIASED_HEAD])
def test_all_linear_is_every_linear_layer_of_the_language_model_without_its_head(name):
    model = model_of(name)
    decoder = {id(module) for module in model.get_decoder().modules()}
    linear = {
        path
        for path, module in model.named_modules()
        if id(module) in decoder and isinstance(module, torch.nn.Linear | Conv1D)
        if not (name == "deepseek_v3" and path.endswith(MIXED_EXPERTS))
    }
    named = with_layer_names(settings(), model).lora_targets
    assert linear and adapted(model) == linear
    assert adapted(model_of(name), lora_targets=named) == linear, "the stored names mean the same layers"


def test_on_a_llama_all_linear_is_what_heartllm_adapts():
    model = model_of("llama")
    assert with_layer_names(settings(), model).lora_targets == HEARTLLM
    assert adapted(model) == adapted(model_of("llama"), lora_targets=HEARTLLM)


@pytest.mark.parametrize("name", ["mixtral", "deepseek_v3", "gpt_oss"])
def test_weights_that_all_linear_leaves_out_are_named(name, capsys):
    with_layer_names(settings(), model_of(name))
    line = capsys.readouterr().out
    assert "these weights get no adapters: " in line and "experts.gate_up_proj" in line


def test_nothing_is_said_if_every_layer_gets_an_adapter(capsys):
    with_layer_names(settings(), model_of("gpt2"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "input_layernorm", "mlp", "all-linea"])
def test_what_is_not_a_linear_layer_is_refused_with_the_names_of_those(target):
    with pytest.raises(UserError, match=f"no layers named {target}; it has {', '.join(HEARTLLM)}$"):
        adapted(model_of("llama"), lora_targets=["q_proj", target])


def test_names_of_experts_are_refused_with_the_names_of_other_layers():
    with pytest.raises(UserError, match=r"no layers named gate_proj outside of its experts.*; it has q_a_proj, "):
        adapted(model_of("deepseek_v3"), lora_targets=["o_proj", "gate_proj"])


@pytest.mark.parametrize("name", ["llama", "gpt2", "olmo2", "qwen3", "cohere", "gemma3"])
def test_norms_are_those_of_the_language_model_only(name):
    model = prepare_for_training(model_of(name), VOCABULARY, settings(train_norms=True))
    trained = {key for key, value in model.named_parameters() if value.requires_grad and "lora_" not in key}
    norms = {key for key in trained if "token_adapter" not in key}
    state = {key for key in model.state_dict() if ".original_module." in key and "token_adapter" not in key}
    assert {key.replace("modules_to_save.default", "original_module") for key in norms} == state
    words = ("norm", "ln_")
    all_norms = [
        key
        for key, _ in model_of(name).named_parameters()
        if any(word in key for word in words) and "vision" not in key and "multi_modal" not in key
    ]
    assert len(norms) == len(all_norms) > 0


def test_runs_before_all_linear_was_the_default_go_on():
    """They have stored the names, and TUNING=full does not use them."""
    before = settings().model_dump(mode="json") | {"lora_targets": HEARTLLM, "num_processes": 1}
    del before["lora_variant"], before["train_norms"]
    now = with_layer_names(settings(), model_of("llama"))
    assert differences(now, {}, before, {}) == []
    assert differences(settings(lora_targets=HEARTLLM[::-1]), {}, before, {}) == []
    full = settings(tuning="full", lora_rank=8)
    assert differences(full, {}, before | {"tuning": "full"}, {}) == []
    assert differences(with_layer_names(settings(), model_of("gpt2")), {}, before, {}) == [
        f"LORA_TARGETS was {','.join(HEARTLLM)}, now c_attn,c_proj,c_fc"
    ]
    others = settings(lora_targets=HEARTLLM, lora_variant="dora", train_norms=True)
    assert differences(others, {}, before, {}) == [
        "LORA_VARIANT was lora, now dora",
        "TRAIN_NORMS was False, now True",
    ]

"""Token rows of adapters are computed as by PEFT, without a copy of the whole table."""

import copy

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.trainable_tokens import TrainableTokensLayer
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

from cardiolect.model.llm.row_adapters import RowAdapter, use_row_adapters
from cardiolect.model.training.objectives import weighted_loss

NEW, ROWS = range(60, 90), 100  # the rows after the new ones belong to no token
SIZES = dict(
    vocab_size=ROWS,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    pad_token_id=0,
)
KINDS = {
    "tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "untied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=False)),
    "gemma": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, head_dim=8)),  # scales its embeddings
}


def adapted(kind: str, ids=NEW) -> PeftModel:
    """A model with adapters whose rows differ from the frozen ones."""
    torch.manual_seed(0)
    tables = {"model.embed_tokens": list(ids)} | ({"lm_head": list(ids)} if kind == "untied" else {})
    model = get_peft_model(KINDS[kind](), LoraConfig(target_modules=["q_proj"], trainable_token_indices=tables))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def batch() -> dict:
    ids = torch.randint(1, NEW.stop, (2, 40), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "loss_weights": (torch.arange(40) % 3 > 0).float().expand(2, -1)}


def step(model: PeftModel, chunk: int | None) -> torch.Tensor:
    loss, weight = weighted_loss(model, model.get_output_embeddings(), batch(), chunk)
    (loss / weight).backward()
    return loss / weight


@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_gradients_and_trained_rows_are_those_of_peft(kind, chunk):
    theirs = adapted(kind)
    ours = use_row_adapters(copy.deepcopy(theirs))
    models = (theirs, ours)
    optimizers = [torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=0.5) for m in models]
    for _ in range(3):
        expected, found = (step(model, chunk) for model in models)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        for (name, one), two in zip(theirs.named_parameters(), ours.parameters(), strict=True):
            if one.requires_grad:
                torch.testing.assert_close(two.grad, one.grad, rtol=1e-4, atol=1e-6, msg=name)
            else:
                assert two.grad is None, name
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    one, two = map(get_peft_model_state_dict, models)
    assert one.keys() == two.keys() and any("trainable_tokens_delta" in name for name in one)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_without_adapters_and_merged_the_model_is_that_of_peft(kind):
    theirs = adapted(kind)
    ours, ids = use_row_adapters(copy.deepcopy(theirs)), batch()["input_ids"]
    with torch.no_grad():
        expected = theirs(ids).logits
        torch.testing.assert_close(ours(ids).logits, expected, rtol=0, atol=1e-5)
        with theirs.disable_adapter(), ours.disable_adapter():
            assert torch.equal(ours(ids).logits, theirs(ids).logits)
        merged = ours.merge_and_unload()
        torch.testing.assert_close(merged(ids).logits, expected, rtol=0, atol=1e-5)
    assert not any(isinstance(module, TrainableTokensLayer) for module in merged.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_a_pass_makes_no_copy_of_the_table(kind, monkeypatch):
    """Which took several times as long as the step itself with a real vocabulary."""
    model = use_row_adapters(adapted(kind))
    monkeypatch.setattr(TrainableTokensLayer, "get_merged_weights", lambda *_: pytest.fail("the table was copied"))
    weight = model.base_model.model.lm_head.token_adapter.base_layer.weight
    assert not weight.requires_grad
    step(model, 7)
    assert weight.grad is None
    with torch.inference_mode():
        model(batch()["input_ids"])


def test_rows_that_are_not_contiguous_stay_with_peft():
    """As in adapters of other programs."""
    model = use_row_adapters(adapted("tied", ids=[60, 62, 70]))
    assert not any(isinstance(module, RowAdapter) for module in model.modules())
    step(model, None)

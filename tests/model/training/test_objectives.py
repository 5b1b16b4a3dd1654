"""The head in chunks: the loss and gradients of all positions at once, with the logits of one chunk in memory."""

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import CohereConfig, CohereForCausalLM, Gemma2Config, Gemma2ForCausalLM

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
from cardiolect.model.training import attention, objectives
from cardiolect.model.training.adaptation import prepare_for_training
from cardiolect.model.training.objectives import positions_per_chunk, weighted_loss
from cardiolect.model.training.packing import collate, lay_out, pack
from cardiolect.model.training.settings import TrainSettings
from tests.helpers.language_models import tiny_language_model

SIZES = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
SIZES |= {"num_attention_heads": 2, "num_key_value_heads": 2, "pad_token_id": 0}


def batch() -> dict[str, torch.Tensor]:
    """Twelve targets of unequal weight in two rows."""
    rows = [
        pack(range(5, 9), [((9, 10, 11, 12, 13), (0, 1, 1, 0.5, 1)), ((14, 15, 16), (0, 2, 1))]),
        pack(range(20, 24), [((25, 26, 27, 28), (0, 1, 0, 1))], [0, 0.1, 0.1, 0.1]),
    ]
    return collate([*rows, rows[0]], pad_id=0)


def loss_and_gradients(model, chunk: int | None) -> tuple[torch.Tensor, list[torch.Tensor], list[int]]:
    """And how many positions each call of the head computed."""
    head, sizes = model.get_output_embeddings(), []
    hook = head.register_forward_hook(lambda _, arguments, output: sizes.append(output.shape[0]))
    model.zero_grad()
    loss, weight = weighted_loss(model, head, batch(), chunk)
    hook.remove()
    forward = list(sizes)
    (loss / weight).backward()
    return loss.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None], forward


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("adapters", [False, True])
@pytest.mark.parametrize("chunk", [1, 5, 15, 100])
def test_chunks_have_the_loss_and_gradients_of_all_positions_at_once(tmp_path, tied, adapters, chunk):
    model, _ = load_language_model(tiny_language_model(tmp_path / "llm", tied=tied), "fp32")
    if adapters:
        tables = {"embed_tokens": [3, 11]} | ({} if tied else {"lm_head": [3, 11]})
        model = get_peft_model(model, LoraConfig(target_modules=["q_proj"], trainable_token_indices=tables))
    model.eval()
    whole, expected, sizes = loss_and_gradients(model, None)
    loss, gradients, parts = loss_and_gradients(model, chunk)
    # The first call is the model's own, which shows what its head is made of.
    assert len(sizes) == 1 and parts[0] == 1 and sum(parts[1:]) == sizes[0] and max(parts) <= chunk
    torch.testing.assert_close(loss, whole, rtol=1e-6, atol=0)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_many_positions_in_half_precision_have_their_loss_and_gradients_in_float32(tmp_path, dtype):
    """The sum of losses was rounded at every chunk, and in fp16 the gradients of a sum overflowed before its scale."""
    model, _ = load_language_model(tiny_language_model(tmp_path / "llm", tied=False), "fp32")
    head, positions = model.get_output_embeddings().to(dtype), 6000
    hidden = torch.full((1, positions, head.weight.shape[1]), 30, dtype=dtype).requires_grad_()
    rows = {"input_ids": torch.full((1, positions), 3), "loss_weights": torch.ones(1, positions, dtype=dtype)}

    class Model(torch.nn.Module):  # whose hidden states are given
        config, device = model.config, model.device

        def forward(self, input_ids, use_cache):
            return SimpleNamespace(logits=head(hidden))

    found = []
    for chunk in (None, 2500):
        head.zero_grad()
        loss, weight = weighted_loss(Model(), head, rows, chunk)
        assert loss.dtype == weight.dtype == torch.float32 and weight == positions - 1
        (256 * loss / weight).backward()
        found.append((loss.detach(), head.weight.grad.float()))
    assert found[1][0] == pytest.approx(found[0][0].item(), rel=1e-4)
    largest = found[0][1].abs().max().item()
    torch.testing.assert_close(found[1][1], found[0][1], rtol=0.02, atol=0.001 * largest)


def test_a_chunk_is_what_a_cpu_keeps_in_its_cache_but_not_too_few_positions(tmp_path, monkeypatch):
    model, _ = load_language_model(tiny_language_model(tmp_path / "llm"), "fp32")
    model.train()
    rows = model.get_output_embeddings().weight.shape[0]
    assert positions_per_chunk(model, torch.device("cpu")) == 2**20 // rows and model.training
    monkeypatch.setitem(objectives.CHUNK, "cpu", 300 * rows + 1)
    assert positions_per_chunk(model, torch.device("cpu")) == 300
    assert positions_per_chunk(model, torch.device("cuda")) == 2**27 // rows, "wherever the model still is"
    monkeypatch.setitem(objectives.CHUNK, "cpu", 1)
    assert positions_per_chunk(model, torch.device("cpu")) == objectives.FEWEST


@pytest.mark.parametrize(
    "model",
    [
        lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=30.0)),
        lambda: CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.5)),
    ],
)
def test_a_head_whose_logits_the_model_changes_is_not_called_apart(model):
    assert positions_per_chunk(model(), torch.device("cpu")) is None


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("name", ["sdpa", attention.NAME])
def test_recomputed_activations_give_the_same_gradients(tmp_path, tokenizer_folder, tied, chunk, name):
    """GRADIENT_CHECKPOINTING, with adapters: ECGs of two lengths, each with two packed questions."""
    folder = tiny_language_model(tmp_path / "llm", tied=tied)
    found = []
    for recompute in (False, True):
        model, words = load_language_model(folder, "fp32")
        checkpoint = new_checkpoint(model, words, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
        settings = TrainSettings.model_construct(lora_rank=4, lora_dropout=0.0, gradient_checkpointing=recompute)
        torch.manual_seed(1)
        model = prepare_for_training(checkpoint.model, checkpoint.vocabulary, settings).train()
        stock = model.get_base_model()
        stock.set_attn_implementation(name)
        calls = []
        stock.get_decoder().layers[0].input_layernorm.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        first = checkpoint.vocabulary.first_code_id
        questions = [((9, 10, 11, 12), (0, 1, 1, 0.5)), ((14, 15, 16), (0, 2, 1))]
        rows = [pack(range(first, first + n), questions, [0.0] + [0.1] * (n - 1)) for n in (9, 5)]
        batch = collate(rows, pad_id=0) if name == "sdpa" else lay_out(rows)
        loss, weight = weighted_loss(model, model.get_output_embeddings(), batch, chunk)
        (loss / weight).backward()
        assert len(calls) == 1 + recompute
        found.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    for parameter, gradient in found[0].items():
        torch.testing.assert_close(found[1][parameter], gradient, rtol=1e-5, atol=1e-8)
    assert any(gradient.abs().max() > 0 for gradient in found[0].values())

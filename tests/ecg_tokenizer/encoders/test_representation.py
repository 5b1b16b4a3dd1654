"""Features of an encoder as the rows of an ECG: frozen and cached, or trained with the language model."""

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.model.llm.ecg_language_model import ECGLanguageModel
from cardiolect.utils.errors import UserError
from tests.helpers.signals import some_ecg


def encoder(name: str = "resnet18", **values) -> ECGEncoder:
    torch.manual_seed(0)
    return ECGEncoder(EncoderConfig(name, width=8, **values)).eval()


@pytest.mark.parametrize("tokens", [0, 7, 1])
def test_a_frozen_encoder_and_one_to_train_give_the_same_rows(tokens):
    frozen, trained = encoder(tokens=tokens), encoder(tokens=tokens, frozen=False)
    signals = [gain * some_ecg(seconds) for gain, seconds in ((1, 10), (2, 4.1), (3, 10))]
    features, samples = frozen.prepare(signals, 500), trained.prepare(signals, 500)
    assert [item.shape[0] for item in samples] == [12] * 3
    rows = [
        made.embed([torch.from_numpy(item).float() for item in items])
        for made, items in ((frozen, features), (trained, samples))
    ]
    assert (rows[0] - rows[1]).abs().max() < 0.01 * rows[0].abs().max(), "both are rounded to float16, at either end"
    assert len(rows[0]) == sum(frozen.num_tokens(item) for item in features)
    for one, other in zip(features, samples, strict=True):
        np.testing.assert_array_equal(frozen.times(one), trained.times(other))
        assert frozen.token_ids(one) == trained.token_ids(other) == [0] * len(frozen.times(one))


def test_pooled_rows_span_the_tokens_that_they_are_means_of():
    times = encoder(tokens=4).times(encoder(tokens=4).prepare([some_ecg(10)], 500)[0])
    assert times.shape == (4, 2) and times[0, 0] == 0 and times[-1, 1] >= 10
    assert (times[1:, 0] <= times[:-1, 1]).all() and np.allclose(np.diff(times[:, 0]), 2.5, atol=0.1)
    lead_by_lead = encoder("st-mem", depth=1, tokens=24)
    times = lead_by_lead.times(lead_by_lead.prepare([some_ecg(10)], 500)[0])
    assert (times[::2, 0] == 0).all() and (times[1::2, 1] >= 10).all(), "two rows of every lead"


@pytest.mark.parametrize("scaling", ["millivolts", "deviation", "range"])
def test_only_millivolts_keep_the_voltage(scaling):
    made = encoder(scaling=scaling)
    small, large = made.scaled(torch.from_numpy(np.stack([some_ecg(4), 3 * some_ecg(4)])).float())
    assert torch.allclose(small, large, atol=1e-4) == (scaling != "millivolts")


def test_a_frozen_encoder_has_nothing_to_train_and_batch_norms_never_move():
    frozen, trained = encoder(), encoder(frozen=False)
    assert list(frozen.trained_parameters()) == [] and len(list(trained.trained_parameters())) > 10
    assert not frozen.train().training and trained.train().training
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    trained.embed([torch.randn(12, 1000)]).sum().backward()
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())
    assert all(p.grad is not None for p in trained.trained_parameters())


def test_weights_count_for_the_cache_only_if_it_holds_features(tmp_path):
    for frozen in (True, False):
        made = encoder(frozen=frozen)
        made.save_pretrained(tmp_path / str(frozen))
        again = load_representation(tmp_path / str(frozen))
        assert again.fingerprint() == made.fingerprint() and again.config == made.config
        with torch.no_grad():
            next(again.encoder.parameters()).add_(0.1)
        assert (again.fingerprint() == made.fingerprint()) == (not frozen)


def test_a_folder_that_lacks_its_weights_is_refused(tmp_path):
    encoder().save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no ECG encoder can be loaded from this folder"):
        load_representation(tmp_path)


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(UserError, match="ENCODER_WIDTH=100: mtae takes multiples of 64"):
        ECGEncoder(EncoderConfig("mtae", width=100))


@pytest.mark.parametrize("name", ["s4", "resnet18", "convnext-atto", "mtae"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_encoder_is_trained_in_the_precision_of_its_language_model(name, dtype):
    trained = encoder(name, depth=1, frozen=False).to(dtype)
    rows = trained.embed([torch.randn(12, 1000)])
    rows.float().square().mean().backward()
    assert rows.dtype == dtype and rows.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.trained_parameters())


def test_a_frozen_encoder_is_no_part_of_the_language_model_that_training_casts():
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=8, **sizes))
    for frozen in (True, False):
        wrapped = ECGLanguageModel(model, encoder("s4", depth=1, frozen=frozen), placeholder_id=3)
        before = wrapped.representation.fingerprint()
        wrapped.to(torch.bfloat16)
        precisions = {p.dtype for p in wrapped.representation.parameters()}
        assert precisions == {torch.float32 if frozen else torch.bfloat16}
        assert wrapped.representation.fingerprint() == before
        assert any("representation" in name for name, _ in wrapped.named_parameters()) != frozen

"""Encoders: their published sizes, and where in the ECG each of their tokens looks."""

import numpy as np
import pytest
import torch
from torch import nn

from cardiolect.ecg_tokenizer.encoders.architectures.table import build_encoder
from cardiolect.ecg_tokenizer.encoders.architectures.transformer import PatchTransformer, TransformerSizes
from cardiolect.ecg_tokenizer.encoders.config import EncoderConfig

SMALL = {
    "s4": {"width": 8, "depth": 1},
    "resnet18": {"width": 8},
    "resnet50": {"width": 8, "depth": 1},
    "xresnet101": {"width": 8, "depth": 1},
    "convnext-atto": {"width": 8, "depth": 1},
    "st-mem": {"width": 16, "depth": 2},
    "mtae": {"width": 16, "depth": 2},
    "mlae": {"width": 16, "depth": 2, "patch": 2500},
}


def small(name: str):
    torch.manual_seed(0)
    return build_encoder(EncoderConfig(name, **SMALL[name])).eval()


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("convnext-atto", 3.2),  # those of ESI (arXiv 2405.19366, table of its encoders)
        ("convnext-nano", 14.3),
        ("convnext-tiny", 26.8),
        ("convnext-base", 85.6),
        ("convnext-large", 192.2),
        ("resnet18", 3.8),  # ResNets of He et al. in one dimension, kernels of 3
        ("resnet50", 16.0),
        ("resnet101", 28.3),
        ("xresnet101", 1.8),
        ("st-mem", 85.1),  # ViT-B: 12 blocks of 7.09 million, and the embedding
        ("mtae", 86.0),
    ],
)
def test_parameters_are_as_many_as_published(name, published):
    with torch.device("meta"):
        encoder = build_encoder(EncoderConfig(name))
    assert sum(p.numel() for p in encoder.parameters()) / 1e6 == pytest.approx(published, abs=0.06)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("samples", [2500, 1013])
def test_every_token_has_features_and_a_span(name, samples):
    encoder, signal = small(name), torch.randn(2, 12, samples)
    with torch.inference_mode():
        features = encoder(signal)
    spans = encoder.spans(samples)
    assert features.shape == (2, len(spans), encoder.width) and features.isfinite().all()
    assert spans[0, 0] == 0 and spans[:, 1].max() >= samples and (spans[:, 0] < spans[:, 1]).all()
    alone = encoder(signal[1:])
    torch.testing.assert_close(alone[0], features[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "mlae"])  # whose tokens span the whole ECG
def test_a_change_is_seen_most_by_the_tokens_of_its_time(name):
    encoder, signal = small(name), torch.randn(1, 12, 2500)
    changed = signal.clone()
    changed[:, :, 1200:1300] += 3
    with torch.inference_mode():
        difference = (encoder(changed) - encoder(signal))[0].norm(dim=1)
    start, end = encoder.spans(2500)[int(difference.argmax())]
    assert start < 1400 and end > 1100  # those next to it see it, too


def test_tokens_of_st_mem_are_those_of_one_lead():
    encoder, signal = small("st-mem"), torch.randn(1, 12, 500)
    patches = encoder.patches(signal)
    assert patches.shape == (1, 60, 100) and torch.equal(patches[0, 7], signal[0, 1, 200:300])  # lead II
    together = PatchTransformer(TransformerSizes("time", 100, 16, 1, 1)).patches(signal)
    assert together.shape == (1, 5, 1200) and torch.equal(together[0, 2], signal[0, :, 200:300].flatten())


@pytest.mark.parametrize("name", ["st-mem", "mtae", "mlae"])
def test_hidden_patches_have_no_influence(name):
    encoder, signal = small(name), torch.randn(2, 12, 2500)
    patches = encoder.patches(signal)
    count = patches.shape[1]
    shown = torch.zeros(count, dtype=torch.bool)
    shown[:: 3 if name == "mlae" else 5] = True
    kept = shown.expand(2, -1)
    noise = torch.where(kept[..., None], patches, torch.randn_like(patches))
    with torch.inference_mode():
        seen, other = encoder.encode(patches, kept), encoder.encode(noise, kept)
        assert seen.shape == (2, int(shown.sum()), encoder.width) and torch.equal(seen, other)
        everything = encoder.encode(patches, torch.ones_like(kept))
        torch.testing.assert_close(everything, encoder(signal))
        assert not torch.allclose(everything[kept], seen.flatten(0, 1))


def test_state_spaces_are_a_convolution_over_the_whole_ecg():
    """The kernel of the zero-order hold equals the recurrence of its states."""
    torch.manual_seed(0)
    block = small("s4").blocks[0]
    kernel = block.forwards
    poles = torch.complex(-kernel.log_decay.exp(), kernel.frequency)
    step = kernel.log_step.exp()[:, None]
    transition, entrance = (poles * step).exp(), ((poles * step).exp() - 1) / poles
    out, state = torch.view_as_complex(kernel.out), entrance.clone()
    expected = []
    for _ in range(40):
        expected.append(2 * (out * state).sum(1).real)
        state = transition * state
    torch.testing.assert_close(kernel(40), torch.stack(expected, 1), atol=1e-5, rtol=1e-4)


def test_kernels_of_state_spaces_are_kept_until_weights_or_the_length_change():
    """Also if weights change in a way that autograd does not notice, as DeepSpeed changes them."""
    encoder = small("s4").requires_grad_(False)
    signal = torch.randn(1, 12, 500)

    def anew(length: int) -> torch.Tensor:
        fresh = small("s4")
        fresh.load_state_dict(encoder.state_dict())
        return fresh(signal[..., :length]).detach()

    kernel = encoder.blocks[0].forwards
    assert kernel(40) is kernel(40) and kernel(41).shape[1] == 41
    for change in (lambda: None, lambda: kernel.log_step.data.add_(1), lambda: encoder.blocks[0].backwards.out.mul_(2)):
        change()
        for length in (500, 300, 500):
            with torch.inference_mode():
                assert torch.equal(encoder(signal[..., :length]), anew(length))
    encoder.norm.requires_grad_(True)
    encoder(signal).sum().backward()
    assert encoder.norm.bias.grad is not None


def test_a_residual_branch_of_xresnet_begins_as_zero():
    encoder = small("xresnet101")
    last = [block.branch[-1] for block in encoder.stages]
    assert all(isinstance(norm, nn.BatchNorm1d) and not norm.weight.any() for norm in last)
    assert np.isclose(encoder.stride, 32)

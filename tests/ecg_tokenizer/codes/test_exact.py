"""Codes are computed in full float32, whatever the caller allows for speed."""

import numpy as np
import pytest
import torch
from torch import backends

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.exact import full_float32

OPERATIONS = {
    f"{name}.{operation}": getattr(getattr(backends, name), operation)
    for name, operation in (
        ("cuda", "matmul"),
        ("cudnn", "conv"),
        ("cudnn", "rnn"),
        ("mkldnn", "matmul"),
        ("mkldnn", "conv"),
        ("mkldnn", "rnn"),
    )
}


def settings() -> dict[str, object]:
    found = {name: operation.fp32_precision for name, operation in OPERATIONS.items()}
    found |= {"float32_matmul_precision": torch.get_float32_matmul_precision()}
    for name, module in (("cuda.matmul.allow_tf32", backends.cuda.matmul), ("cudnn.allow_tf32", backends.cudnn)):
        try:
            found[name] = module.allow_tf32
        except RuntimeError:
            found[name] = "mixed"
    return found


@pytest.fixture(autouse=True)
def untouched():
    """Other tests get the settings that they had."""
    before = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
    precisions = {name: operation.fp32_precision for name, operation in OPERATIONS.items()}
    yield
    torch.set_float32_matmul_precision(before[0])
    backends.cudnn.allow_tf32 = before[1]
    for name, operation in OPERATIONS.items():
        operation.fp32_precision = precisions[name]


def as_they_come():
    pass


def fast_matrices():
    torch.set_float32_matmul_precision("medium")


def fast_by_the_older_interface():
    backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = True


def fast_convolutions_by_the_newer_interface():
    backends.cudnn.conv.fp32_precision = "tf32"
    backends.mkldnn.conv.fp32_precision = "bf16"
    backends.cudnn.rnn.fp32_precision = "ieee"


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize(
    "allowed", [as_they_come, fast_matrices, fast_by_the_older_interface, fast_convolutions_by_the_newer_interface]
)
def test_the_encoder_runs_in_full_float32_and_leaves_the_callers_settings(
    allowed, autocast, tokenizer_folder, monkeypatch
):
    tokenizer, seen = ECGTokenizer.from_pretrained(tokenizer_folder), []
    forward = tokenizer.encoder.forward

    def watched(signal):
        features = forward(signal)
        seen.append((settings(), torch.is_autocast_enabled("cpu"), features.dtype))
        return features

    monkeypatch.setattr(tokenizer.encoder, "forward", watched)
    signal = np.random.default_rng(0).standard_normal((12, 1000)).astype(np.float32)
    expected = tokenizer.encode(signal, tokenizer.sampling_rate)
    allowed()
    before = settings()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        codes = tokenizer.encode(signal, tokenizer.sampling_rate)
        assert torch.is_autocast_enabled("cpu") == autocast
    inside, under_autocast, dtype = seen[-1]
    assert {inside[name] for name in OPERATIONS} == {"ieee"}
    assert inside["float32_matmul_precision"] == "highest" and not inside["cuda.matmul.allow_tf32"]
    assert inside["cudnn.allow_tf32"] == ("mixed" if before["cudnn.allow_tf32"] == "mixed" else False)
    assert not under_autocast and dtype == torch.float32
    assert settings() == before
    assert np.array_equal(codes, expected)


def test_settings_come_back_after_an_error():
    torch.set_float32_matmul_precision("high")
    before = settings()
    with pytest.raises(ZeroDivisionError), full_float32("cpu"):
        raise ZeroDivisionError
    assert settings() == before

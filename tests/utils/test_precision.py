"""PRECISION=auto follows the device."""

import pytest
import torch

from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.model.training.settings import FinetuneSettings


@pytest.mark.parametrize(
    ("gpu", "capability", "cpu", "device", "chosen", "of_ecg_tokenizer"),
    [
        (False, None, {}, "auto", "fp32", "fp32"),
        (False, None, {"avx512_bf16": True}, "auto", "bf16", "bf16"),
        (False, None, {"avx512_bf16": False, "amx_bf16": True}, "auto", "bf16", "bf16"),
        (True, (7, 5), {}, "auto", "fp16", "fp32"),
        (True, (8, 0), {}, "auto", "bf16", "bf16"),
        (True, (8, 0), {}, "cpu", "fp32", "fp32"),
    ],
)
def test_the_precision_of_the_device_is_chosen_with_a_line(
    gpu, capability, cpu, device, chosen, of_ecg_tokenizer, monkeypatch, capsys
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    settings = FinetuneSettings(tasktype="qa", data_root="x", output_dir="y", precision="auto", device=device)
    assert settings.precision == chosen
    assert f"PRECISION=auto is {chosen} here" in capsys.readouterr().out
    settings = TokenizerSettings(data_root="x", output_dir="y", precision="auto", device=device)
    assert settings.precision == of_ecg_tokenizer
    assert f"PRECISION=auto is {of_ecg_tokenizer} here" in capsys.readouterr().out

"""Speed and memory of a run: what counts, what stops the clock, and of which devices the peak is known."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from cardiolect.model.training import progress
from cardiolect.model.training.progress import Progress, in_words, operations, peak_operations

SETTINGS = SimpleNamespace(device="cpu", precision="bf16")
LAYER = 4 * 16 * 16 + 3 * 16 * 32 + 2 * 16  # attention, MLP and norms of the tiny model below


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test lets them."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now.seconds)
    return now


def tiny(tied: bool = True) -> LlamaForCausalLM:
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, tie_word_embeddings=tied))


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("A100-SXM4-40GB", 312e12),
        ("NVIDIA A100 80GB PCIe", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", None),
        ("NVIDIA A10G", None),
        ("NVIDIA H20", None),
        ("NVIDIA GeForce RTX 9999", None),
        ("", None),
    ],
)
def test_only_devices_in_the_table_have_a_peak(device, peak):
    assert peak_operations(device) == peak


@pytest.mark.parametrize("tied", [True, False])
def test_frozen_weights_take_two_thirds_and_embeddings_nothing(tied):
    model = tiny(tied)
    assert operations(model) == (6 * (LAYER + 16), 6 * 50 * 16)
    model.requires_grad_(False)
    assert operations(model) == (4 * (LAYER + 16), 4 * 50 * 16)
    model.model.norm.weight = torch.nn.Parameter(torch.zeros(16, dtype=torch.int8), requires_grad=False)
    assert operations(model) is None  # a quantised weight packs several values


def test_validation_and_saving_stop_the_clock(clock):
    measured = Progress(tiny(), SETTINGS)
    measured.on_train_begin(None, None, None)
    for pause in (measured.on_evaluate, measured.on_save, lambda *_: None):
        measured.count(torch.tensor([100.0, 10.0]))
        clock.seconds += 2
        measured.on_step_end(None, None, None)
        clock.seconds += 50 if pause.__name__ != "<lambda>" else 0
        pause(None, None, None)
    figures = measured.figures()
    assert figures["speed"] == {"tokens_per_second": 50.0, "targets_per_second": 5.0}
    assert figures["peak_memory"].keys() == {"host_gb"} and 0.1 < figures["peak_memory"]["host_gb"] < 100


def test_log_entries_are_about_the_steps_since_the_last_one(clock):
    measured = Progress(tiny(), SETTINGS)
    for tokens, rate in ((100, 50.0), (300, 150.0)):
        measured.count(torch.tensor([tokens, 10.0]))
        clock.seconds += 2
        measured.on_step_end(None, None, None)
        assert measured.since_last_log()["tokens_per_second"] == rate


def test_mfu_is_of_the_peak_of_all_ranks(clock, monkeypatch):
    measured = Progress(tiny(), SETTINGS)
    assert measured.peak is None  # a CPU has none
    measured.peak, measured.operations = 1e6, operations(tiny())
    monkeypatch.setattr(progress.launch, "world_size", lambda: 2)
    measured.count(torch.tensor([100.0, 10.0]))
    clock.seconds += 2
    measured.on_step_end(None, None, None)
    expected = (100 * 6 * (LAYER + 16) + 10 * 6 * 50 * 16) / 2 / 2e6
    assert measured.since_last_log()["mfu"] == pytest.approx(expected, abs=1e-4)


def test_a_run_without_a_step_has_no_speed():
    figures = Progress(tiny(), SETTINGS).figures()
    assert figures["speed"] == {} and in_words(figures).startswith("peak memory ")


def test_figures_in_words():
    memory = {"host_gb": 3.21, "device_gb": 61.5}
    speed = {"tokens_per_second": 12345.6, "targets_per_second": 78.9, "mfu": 0.413}
    words = in_words({"speed": speed, "peak_memory": memory})
    assert words == "12,346 tokens/s, MFU 41.3%, peak memory 3.2 GB (host) and 61.5 GB (device)"

"""Fixtures shared by all tests."""

import signal
from pathlib import Path

import pytest

from cardiolect.utils.stopping import SIGNALS
from tests.helpers import ROOT

# Rooms whose tests train nothing and start neither server nor browser: together about a minute on two cores.
QUICK = (
    "data_provider/ecgqa",
    "data_provider/readers",
    "data_provider/texts",
    "ecg_tokenizer/codes",
    "ecg_tokenizer/measured",
    "model/inference",
    "utils/test_environment.py",
    "utils/test_progress.py",
    "test_docs.py",
    "test_house.py",
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "quick: tests of a minute in all (pytest -m quick)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(ROOT / "tests").as_posix().startswith(QUICK):
            item.add_marker(pytest.mark.quick)


@pytest.fixture(autouse=True)
def no_signal_stays_ignored():
    """A stage that was stopped within this process leaves signals ignored, and what later tests start inherits that."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings and questions beside the checkout; the test is skipped where it is absent."""
    folder = ROOT.parent / "shared/data"
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A simulated corpus of 120 recordings in PTB-XL's layout, with questions and reports."""
    from cardiolect.data_provider.simulator.corpus import write_corpus

    folder = tmp_path_factory.mktemp("simulated") / "corpus"
    write_corpus(folder, records=120, seed=3, workers=1)
    return folder


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    """An ECG tokenizer with random weights: 64 ms per code, 125 codes."""
    import torch

    from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
    from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("ecg_tokenizer")
    config = TokenizerConfig(
        fsq_levels=(5, 5, 5), coarse_levels=(3, 3, 3), stride=16, hidden=16, encoder_depth=1, decoder_depth=1
    )
    ECGTokenizer(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory, tokenizer_folder) -> Path:
    """A saved checkpoint of a tiny language model with random weights, whose answers depend on the ECG."""
    import torch

    from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
    from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
    from cardiolect.model.llm.saving import save_checkpoint
    from tests.helpers.language_models import tiny_language_model

    folder = tmp_path_factory.mktemp("saved")
    model, tokenizer = load_language_model(tiny_language_model(folder / "llm", tied=False), "fp32")
    made = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    with torch.no_grad():
        torch.manual_seed(4)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_checkpoint(made, folder / "checkpoint", merge=False)
    return folder / "checkpoint"


@pytest.fixture(params=["llama", "gpt2", "mistral"])
def checkpoint(request, tmp_path, tokenizer_folder):
    """A tiny language model of each kind of positions, with ECG tokens and random weights."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, MistralConfig, MistralForCausalLM

    from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
    from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint
    from tests.helpers.language_models import tiny_language_model

    folder = tiny_language_model(tmp_path / "llm")
    if request.param == "gpt2":  # absolute positions
        torch.manual_seed(0)
        size = len(AutoTokenizer.from_pretrained(folder))
        GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=2)).save_pretrained(folder)
    if request.param == "mistral":  # a sliding window, shorter than the longest prompt
        torch.manual_seed(0)
        size = len(AutoTokenizer.from_pretrained(folder))
        sizes = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2)
        config = MistralConfig(vocab_size=size, num_key_value_heads=2, sliding_window=48, **sizes)
        MistralForCausalLM(config).save_pretrained(folder)
    model, tokenizer = load_language_model(folder, "fp32")
    checkpoint = new_checkpoint(model.eval(), tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    with torch.no_grad():  # answers of different lengths: random weights end nowhere or at once
        torch.manual_seed(4)
        for parameter in checkpoint.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return checkpoint


@pytest.fixture(scope="session")
def stock(tmp_path_factory, tokenizer_folder) -> Path:
    from tests.helpers.checkpoints import made

    return made(tmp_path_factory.mktemp("stock"), tokenizer_folder, lora=False)


@pytest.fixture(scope="session")
def adapters(tmp_path_factory, tokenizer_folder) -> Path:
    from tests.helpers.checkpoints import made

    return made(tmp_path_factory.mktemp("lora"), tokenizer_folder, lora=True)


@pytest.fixture(scope="session")
def record(corpus) -> str:
    return str(corpus / "records500/00000/00001_hr")


@pytest.fixture
def said(capsys):
    """What a command prints."""
    from cardiolect.model.cli import commands as cli

    def run(*arguments) -> str:
        cli.main(list(map(str, arguments)))
        return capsys.readouterr().out

    return run

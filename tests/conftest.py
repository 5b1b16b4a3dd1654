"""Fixtures shared by all tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings and questions beside the checkout; the test is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """A simulated corpus of 120 recordings in PTB-XL's layout, with questions and reports."""
    from data_provider.simulator.corpus import write_corpus

    folder = tmp_path_factory.mktemp("simulated") / "corpus"
    write_corpus(folder, records=120, seed=3, workers=1)
    return folder


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    """An ECG tokenizer with random weights: 64 ms per code, 125 codes."""
    import torch

    from ecg_tokenizer import ECGTokenizer
    from ecg_tokenizer.config import TokenizerConfig

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("ecg_tokenizer")
    config = TokenizerConfig(
        fsq_levels=(5, 5, 5), coarse_levels=(3, 3, 3), stride=16, hidden=16, encoder_depth=1, decoder_depth=1
    )
    ECGTokenizer(config).save_pretrained(folder)
    return folder


def tiny_language_model(folder: Path, tied: bool = True, bos: bool = True) -> Path:
    """A saved Llama of two layers x 32 and its BPE, as a user's local LLM_PATH."""
    from model.tiny import build_tiny_llama, train_bpe

    tokenizer = train_bpe({"Does this ECG show atrial fibrillation? yes no", "Sinus rhythm. Normal ECG."}, 300)
    model = build_tiny_llama(tokenizer, layers=2, hidden=32, heads=2, tied=tied, seed=1)
    if not bos:
        tokenizer.bos_token = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

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
    from cardiolect.data_provider.simulator.corpus import write_corpus

    folder = tmp_path_factory.mktemp("simulated") / "corpus"
    write_corpus(folder, records=120, seed=3, workers=1)
    return folder


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    """An ECG tokenizer with random weights: 64 ms per code, 125 codes."""
    import torch

    from cardiolect.ecg_tokenizer import ECGTokenizer
    from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("ecg_tokenizer")
    config = TokenizerConfig(
        fsq_levels=(5, 5, 5), coarse_levels=(3, 3, 3), stride=16, hidden=16, encoder_depth=1, decoder_depth=1
    )
    ECGTokenizer(config).save_pretrained(folder)
    return folder


def tiny_language_model(folder: Path, tied: bool = True, bos: bool = True) -> Path:
    """A saved Llama of two layers x 32 and its BPE, as a user's local LLM_PATH."""
    from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe

    tokenizer = train_bpe({"Does this ECG show atrial fibrillation? yes no", "Sinus rhythm. Normal ECG."}, 300)
    model = build_tiny_llama(tokenizer, layers=2, hidden=32, heads=2, tied=tied, seed=1)
    if not bos:
        tokenizer.bos_token = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentencepiece(scheme: str):
    """Spaces are written as part of words, before the first too; the schemes are those of Llama 2 and its like."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    special = ["<unk>", "<s>", "</s>", "<start_of_turn>", *(f"<0x{byte:02X}>" for byte in range(256))]
    texts = [f"Patient: age {k}.\nQuestion: Is it?\nAnswer: yes.\nReport: no" for k in range(50)]
    bpe.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory, tokenizer_folder) -> Path:
    """A saved checkpoint of a tiny language model with random weights, whose answers depend on the ECG."""
    import torch

    from cardiolect.ecg_tokenizer import ECGTokenizer
    from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint, save_checkpoint

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

    from cardiolect.ecg_tokenizer import ECGTokenizer
    from cardiolect.model.llm.checkpoint import load_language_model, new_checkpoint

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


def varied_prompts(vocabulary) -> list:
    """Prompts about ECGs of different lengths and none, in no order: several behind each."""
    import numpy as np

    from cardiolect.model.inference.generation import Prompt
    from cardiolect.model.prompt.rendering import render_ecg, render_prompt

    rng = np.random.default_rng(0)
    asked = ["Does this ECG show atrial fibrillation?", "What?", "", "Is the rhythm regular, and if not, which is it?"]
    found = []
    for ecg, background in ((rng.integers(0, 125, 40), "age 56"), (rng.integers(0, 125, 17), ""), (None, "age 56")):
        prefix = tuple(render_ecg(vocabulary, ecg, background))
        found += [Prompt(prefix, tuple(render_prompt(vocabulary, "qa", question))) for question in asked]
        found.append(Prompt(prefix, tuple(render_prompt(vocabulary, "report"))))
    return [found[i] for i in rng.permutation(len(found))]


@pytest.fixture(scope="session")
def stock(tmp_path_factory, tokenizer_folder) -> Path:
    from tests.checkpoints import made

    return made(tmp_path_factory.mktemp("stock"), tokenizer_folder, lora=False)


@pytest.fixture(scope="session")
def adapters(tmp_path_factory, tokenizer_folder) -> Path:
    from tests.checkpoints import made

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

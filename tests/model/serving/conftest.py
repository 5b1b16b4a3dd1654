"""A merged checkpoint, what it answers and an ECG for it."""

import numpy as np
import pytest
import torch

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.chat import ECGChat
from cardiolect.model.llm.checkpoint import load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.saving import save_checkpoint
from tests.helpers.language_models import tiny_language_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer_folder):
    """A merged checkpoint whose random answers have different lengths and would hold ECG tokens."""
    model, tokenizer = load_language_model(tiny_language_model(tmp_path_factory.mktemp("serve") / "llm"), "fp32")
    checkpoint = new_checkpoint(model, tokenizer, ECGTokenizer.from_pretrained(tokenizer_folder), seed=0)
    with torch.no_grad():
        torch.manual_seed(4)
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.get_input_embeddings().weight[checkpoint.vocabulary.start_id :] *= 2
    folder = tmp_path_factory.mktemp("serve") / "checkpoint"
    save_checkpoint(checkpoint, folder, merge=True)
    return folder


@pytest.fixture(scope="module")
def chat(folder) -> ECGChat:
    return ECGChat(load_checkpoint(folder))


@pytest.fixture(scope="module")
def codes(chat, corpus) -> np.ndarray:
    return chat.encode(ECGChat.read(corpus / "records500/00000/00001_hr"))

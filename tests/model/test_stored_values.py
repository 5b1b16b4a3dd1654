"""Codes, token ids, losses and answers as they were when an ECG was a list of integer codes to every module."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.record import resample
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.inference.generation import generate_texts
from cardiolect.model.inference.ranking import rank_answers
from cardiolect.model.llm.checkpoint import new_checkpoint
from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe
from cardiolect.model.prompt.rendering import make_prompt
from cardiolect.model.training.objectives import weighted_loss
from cardiolect.model.training.packing import collate
from cardiolect.model.training.rows import FinetuneDataset, PretrainDataset
from tests.helpers.ecgs import CodesInMemory

ONE, TWO = RecordRef("1", Path("1"), "31337"), RecordRef("2", Path("2"), "5")
EXAMPLES = [
    Example("a", (ONE,), "qa", "Does this ECG show atrial fibrillation?", ("yes",), background="age 56"),
    Example("b", (ONE,), "qa", "Is it normal?", ("no",), background="age 56"),
    Example("c", (TWO,), "report", "", ("Sinus rhythm. Normal ECG.",)),
    Example("d", (ONE, TWO), "qa", "What is new?", ("none",)),
]


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several threads round the decompositions that rows of the embedding start from in another way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer() -> ECGTokenizer:
    torch.manual_seed(0)
    config = TokenizerConfig(
        fsq_levels=(5, 5, 5), coarse_levels=(3, 3, 3), stride=16, hidden=16, encoder_depth=1, decoder_depth=1
    )
    return ECGTokenizer(config).eval()


@pytest.fixture(scope="module")
def codes(tokenizer) -> np.ndarray:
    time, rng = np.arange(5000) / 500, np.random.default_rng(0)
    waves = [np.sin(2 * np.pi * (1 + k / 7) * time) * (0.3 + k / 20) for k in range(12)]
    noise = [0.02 * rng.standard_normal(5000) for _ in range(12)]
    # With the offsets that `prepare` takes off since then.
    return tokenizer.encode_batch([resample(np.add(waves, noise), 500, 250)])[0].astype(np.uint16)


@pytest.fixture(scope="module")
def checkpoint(tokenizer):
    words = train_bpe({"Does this ECG show atrial fibrillation? yes no", "Sinus rhythm. Normal ECG."}, 300)
    model = build_tiny_llama(words, layers=2, hidden=32, heads=2, tied=True, seed=1)
    checkpoint = new_checkpoint(model.eval(), words, tokenizer, seed=0)
    with torch.no_grad():
        torch.manual_seed(4)
        for parameter in checkpoint.model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return checkpoint


@pytest.fixture(scope="module")
def ecgs(codes) -> CodesInMemory:
    return CodesInMemory({ONE: codes, TWO: codes[17 : 17 * 9]})


def loss_of(checkpoint, rows) -> tuple[float, float]:
    """Mean loss over the weights of a batch, and their sum."""
    batch = collate(rows, checkpoint.vocabulary.tokenizer.pad_token_id)
    with torch.no_grad():
        loss, weight = weighted_loss(checkpoint.model, checkpoint.model.get_output_embeddings(), batch)
    return loss.item() / weight.item(), weight.item()


def test_codes_and_where_they_lie(tokenizer, codes):
    assert codes.dtype == np.uint16 and len(codes) == 197
    assert codes[:8].tolist() == [138, 36, 36, 60, 61, 138, 61, 62]
    assert tokenizer.fingerprint() == "b7f83f2992da5dcb"
    geometry = tokenizer.geometry()
    assert geometry.shape == (152, 47) and geometry.double().abs().sum().item() == pytest.approx(1129.464, rel=1e-4)


def test_rows_and_losses(checkpoint, ecgs):
    dataset = FinetuneDataset(checkpoint.vocabulary, EXAMPLES, ecgs, ecg_loss_weight=0.1)
    rows = [dataset[i] for i in range(len(dataset))]
    # The order in which the two questions about one ECG are drawn is another one now.
    assert digest([rows[k].ids for k in (1, 0, 2, 3)]) == "50683d17998a8bf8"
    assert loss_of(checkpoint, rows) == pytest.approx((6.111284, 109.8), rel=1e-5)
    pretraining = PretrainDataset(checkpoint.vocabulary, [ONE, TWO], ecgs, "causal", group=17)
    assert loss_of(checkpoint, [pretraining[0], pretraining[1]]) == pytest.approx((6.142478, 335.0), rel=1e-5)
    windows = PretrainDataset(checkpoint.vocabulary, [ONE], ecgs, "multiscale", group=checkpoint.representation.group)
    assert digest([windows[0].ids, windows[0].weights]) == "0a545e42249386eb"


def test_answers(checkpoint, ecgs):
    prompts = [
        make_prompt(checkpoint.vocabulary, list(map(ecgs.ecg, e.records)), e.backgrounds, e.task, e.question)
        for e in EXAMPLES
    ]
    texts = dict(generate_texts(checkpoint.model, checkpoint.vocabulary, prompts, 6, 8))
    assert [texts[i].text for i in range(4)] == [":::nnn", "::::::", "::::::", "::::::"]
    assert [texts[i].logprob for i in range(4)] == pytest.approx([-25.6606, -26.7562, -26.9243, -27.2055], abs=1e-3)
    ranked = dict(
        rank_answers(checkpoint.model, checkpoint.vocabulary, prompts, [[("yes",), ("no",), ("none",)]] * 4, 8)
    )
    assert [ranked[i].text for i in range(4)] == ["no"] * 4
    assert [ranked[i].probability for i in range(4)] == pytest.approx([0.99997, 0.99997, 0.99999, 0.99998], abs=2e-5)

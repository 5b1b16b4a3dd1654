"""Language models and questions with random content, for timing."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import INFO, Checkpoint, load_checkpoint, load_language_model, new_checkpoint
from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe

ASKED = (
    "Does this ECG show atrial fibrillation?",
    "What numeric features of this ECG fall above the normal range?",
    "Which noise does this ECG show, baseline drift or static noise?",
    "What direction is this ECG deviated to?",
)
ANSWERED = (("yes",), ("qt interval", "rr interval"), ("none",), ("left axis deviation",))


def random_checkpoint(llm: str, codes: tuple[int, ...] = (7, 5, 5, 5, 3)) -> Checkpoint:
    """A checkpoint of ours as it is; else the quickstart's tiny Llama or a model in a folder, with untrained codes."""
    if (Path(llm) / INFO).is_file():
        return load_checkpoint(Path(llm))
    torch.manual_seed(0)
    ecg_tokenizer = ECGTokenizer(TokenizerConfig(fsq_levels=codes, stride=12, coarse_frames=0, hidden=128)).eval()
    if llm == "tiny":
        texts = {f"Question: {q}\nAnswer: {'.'.join(a)}" for q, a in zip(ASKED, ANSWERED, strict=True)}
        tokenizer = train_bpe(texts, 1000)
        model = build_tiny_llama(tokenizer, layers=4, hidden=128, heads=4, tied=True, seed=0)
    else:
        model, tokenizer = load_language_model(Path(llm), "fp32")
    return new_checkpoint(model, tokenizer, ecg_tokenizer, seed=0)


def random_example(rng: np.random.Generator) -> Example:
    k = int(rng.integers(len(ASKED)))
    return Example("", (RecordRef("1", Path(tempfile.gettempdir())),), "qa", ASKED[k], ANSWERED[k])

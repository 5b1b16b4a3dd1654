"""Untrained language models and random questions, for timing."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.base import PreparedECG
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.llm.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_language_model,
    new_checkpoint,
)
from cardiolect.model.llm.checkpoint_folder import INFO
from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe
from cardiolect.model.prompt.rendering import Prompt, make_prompt
from cardiolect.model.prompt.vocabulary import Vocabulary

QUESTIONS = (
    "Does this ECG show atrial fibrillation?",
    "What numeric features of this ECG fall above the normal range?",
    "Which noise does this ECG show, baseline drift or static noise?",
    "What direction is this ECG deviated to?",
)
ANSWERS = (("yes",), ("qt interval", "rr interval"), ("none",), ("left axis deviation",))


def random_checkpoint(llm: str, codes: tuple[int, ...] = (7, 5, 5, 5, 3)) -> Checkpoint:
    """Load a checkpoint as it is; or extend the quickstart's tiny Llama, or a model folder, with untrained codes."""
    if (Path(llm) / INFO).is_file():
        return load_checkpoint(Path(llm))
    torch.manual_seed(0)
    ecg_tokenizer = ECGTokenizer(TokenizerConfig(fsq_levels=codes, stride=12, coarse_frames=0, hidden=128)).eval()
    if llm == "tiny":
        texts = {f"Question: {q}\nAnswer: {'.'.join(a)}" for q, a in zip(QUESTIONS, ANSWERS, strict=True)}
        tokenizer = train_bpe(texts, 1000)
        model = build_tiny_llama(tokenizer, layers=4, hidden=128, heads=4, tied=True, seed=0)
    else:
        model, tokenizer = load_language_model(Path(llm), "fp32")
    return new_checkpoint(model, tokenizer, ecg_tokenizer, seed=0)


def random_prompts(
    vocabulary: Vocabulary, rng: np.random.Generator, ecgs: int, frames: int, questions: int
) -> list[Prompt]:
    """Prompts with ``questions`` random questions about each of ``ecgs`` random ECGs."""
    prompts = []
    for key in range(ecgs):
        codes = rng.integers(0, vocabulary.num_codes, frames)
        ecg = PreparedECG(key, codes.tolist(), codes)
        texts = [random_example(rng).question for _ in range(questions)]
        prompts += [make_prompt(vocabulary, [ecg], ["age 56"], "qa", question) for question in texts]
    return prompts


def random_example(rng: np.random.Generator) -> Example:
    k = int(rng.integers(len(QUESTIONS)))
    return Example("", (RecordRef("1", Path(tempfile.gettempdir())),), "qa", QUESTIONS[k], ANSWERS[k])

"""Ranking scores every candidate as one full sequence of its own would be scored."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoTokenizer, Gemma3ForCausalLM, Gemma3TextConfig

from bench.plain_ranking import score_plainly
from ecg_tokenizer import ECGTokenizer
from model.checkpoint import load_language_model, new_checkpoint
from model.generation import Prompt, generate_texts
from model.ranking import rank_answers
from model.rendering import render_ecg, render_prompt
from tests.conftest import tiny_language_model
from tests.test_generation import checkpoint, prompts  # noqa: F401 (the fixture of three architectures)

LEADS = [("lead I",), ("lead II",), ("lead I", "lead II"), ("lead III",)]
LISTS = [[("yes",), ("no",)], LEADS, [("yes", "no"), ("yes",)], [("none",)], [(f"lead V{k}",) for k in range(1, 7)]]


def candidates_of(asked) -> list:
    return [LISTS[i % len(LISTS)] for i in range(len(asked))]


def ranked(checkpoint, asked, candidates, batch_size):  # noqa: F811
    found = dict(rank_answers(checkpoint.model, checkpoint.vocabulary, asked, candidates, batch_size))
    return [found[i] for i in range(len(asked))]


def assert_scored_as_full_sequences(checkpoint, asked, candidates, batch_size):  # noqa: F811
    plain = score_plainly(checkpoint.model, checkpoint.vocabulary, asked, candidates)
    for found, scores in zip(ranked(checkpoint, asked, candidates, batch_size), plain, strict=True):
        assert found.log_probabilities == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_log_probabilities_are_those_of_one_full_sequence_at_a_time(checkpoint, batch_size):  # noqa: F811
    asked = prompts(checkpoint.vocabulary)
    assert_scored_as_full_sequences(checkpoint, asked, candidates_of(asked), batch_size)

"""The baseline that benchmarks compare with is the architecture that was published."""

import pytest
import torch

from bench.heartllm_tokenizer import HeartLLMTokenizer, z_score
from bench.scaling import TASKS, estimate


def test_the_rebuilt_heartllm_tokenizer_has_its_size_and_its_rate():
    tokenizer = HeartLLMTokenizer().eval()

    def size(*parts: torch.nn.Module) -> int:
        return sum(p.numel() for part in parts for p in part.parameters())

    assert size(tokenizer.encoder, tokenizer.to_code) == 30_692
    assert size(tokenizer.decoder, tokenizer.from_code) == 4_139_916
    with torch.inference_mode():
        codes = tokenizer.encode(z_score(torch.randn(2, 12, 5000)))
        assert codes.shape == (2, 313) and codes.min() >= 0 and codes.max() < 6**4
        assert tokenizer(torch.randn(1, 12, 5000)).shape == (1, 12, 5000)


def test_a_corpus_is_estimated_from_one_rank_and_from_what_ranks_lose():
    rows = [
        {"what": task, "ranks": ranks, "ECGs/s": rate, "efficiency": efficiency}
        for task in TASKS
        for ranks, rate, efficiency in ((1, 10.0, 1.0), (2, 16.0, 0.8))
    ]
    one, eight = (r for r in estimate(rows, node_ranks=4) if r["one pass"] == "train the tokenizer")
    assert one["hours, no loss"] == pytest.approx(800_000 / (10 * 4) / 3600)
    assert one["hours"] == pytest.approx(one["hours, no loss"] / 0.8)
    assert eight["ranks"] == 32 and eight["hours"] == pytest.approx(one["hours"] / 8)

"""The baseline that benchmarks compare with is the architecture that was published."""

import torch

from bench.heartllm_tokenizer import HeartLLMTokenizer, z_score


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

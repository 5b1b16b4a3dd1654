"""Stage 1: a VQ tokenizer that turns 12-lead ECGs into discrete codes and back."""

from ecg_tokenizer.tokenizer import ECGTokenizer

__all__ = ["ECGTokenizer"]

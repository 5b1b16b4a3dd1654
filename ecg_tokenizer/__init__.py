"""Stage 1: a VQ tokenizer that turns 12-lead ECGs into discrete codes and back."""

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer

__all__ = ["ECGTokenizer"]

"""ECGs as symbols merged by byte-pair encoding: ``REPRESENTATION=bpe``."""

from cardiolect.ecg_tokenizer.bpe.tokenizer import BPETokenizer

__all__ = ["BPETokenizer"]

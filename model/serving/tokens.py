"""``cardiolect tokens``: an ECG as a language model reads it."""

from pathlib import Path

import numpy as np

from model.chat import ECGChat
from model.serving.checkpoints import load_ecg_tokenizer
from model.vocabulary import ECG_END, ECG_START, code_token


def ecg_text(codes: np.ndarray) -> str:
    """Codes as a stock tokenizer of the checkpoint reads them."""
    return "".join([ECG_START, *map(code_token, codes), ECG_END])


def tokens(record: str, start: float, checkpoint: Path, codes: bool) -> None:
    """Print an ECG as text, or its codes as numbers."""
    ecg = ECGChat.read(record, start)
    found = load_ecg_tokenizer(checkpoint).encode(ecg.signal, ecg.fs)
    print(" ".join(map(str, found)) if codes else ecg_text(found))

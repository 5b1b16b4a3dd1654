"""``cardiolect tokens``: an ECG as a language model reads it."""

from pathlib import Path

from model.chat import ECGChat
from model.serving.checkpoints import load_ecg_tokenizer
from model.vocabulary import ecg_text


def tokens(record: str, start: float, checkpoint: Path, codes: bool) -> None:
    """Print an ECG as text, or its codes as numbers."""
    ecg = ECGChat.read(record, start)
    found = load_ecg_tokenizer(checkpoint).encode(ecg.signal, ecg.fs)
    print(" ".join(map(str, found)) if codes else ecg_text(found))

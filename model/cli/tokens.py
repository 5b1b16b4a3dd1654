"""``cardiolect tokens``: an ECG as a language model reads it."""

from pathlib import Path

from cardiolect.model.cli.loading import load_ecg_tokenizer, read_ecg
from cardiolect.model.prompt.vocabulary import ecg_text


def tokens(record: str, start: float, checkpoint: Path, codes: bool) -> None:
    """Print an ECG as text, or its codes as numbers."""
    ecg = read_ecg(record, start)
    found = load_ecg_tokenizer(checkpoint).encode(ecg.signal, ecg.fs)
    print(" ".join(map(str, found)) if codes else ecg_text(found))

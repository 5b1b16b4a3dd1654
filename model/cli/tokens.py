"""``cardiolect tokens``: an ECG as a language model reads it."""

from pathlib import Path

from cardiolect.model.cli.loading import load_checkpoint_representation, read_ecg
from cardiolect.model.prompt.vocabulary import ecg_text
from cardiolect.utils.errors import UserError


def tokens(record: str, start: float, checkpoint: Path, codes: bool) -> None:
    """Print the tokens of an ECG, or their numbers."""
    representation = load_checkpoint_representation(checkpoint)
    if representation.embeds:
        raise UserError(f"--checkpoint {checkpoint}: embeds ECGs ({representation.name}); they have no tokens to print")
    ecg = read_ecg(record, start, checkpoint)
    numbers = representation.token_ids(representation.prepare([ecg.signal], ecg.fs)[0])
    print(" ".join(map(str, numbers)) if codes else ecg_text(numbers))

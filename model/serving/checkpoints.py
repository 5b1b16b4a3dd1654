"""What commands load of a checkpoint, and of what a user says about a patient."""

from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from data_provider.background import parse_background
from ecg_tokenizer import ECGTokenizer
from model.chat import ECGChat
from model.serving.cli import CHECKPOINT
from utils.errors import UserError


def need_checkpoint(folder: Path) -> None:
    """Raises `UserError` that says what to do where the default checkpoint, or another, is not there."""
    if folder.is_dir():
        return
    if folder == CHECKPOINT:
        raise UserError(f"{folder}: no checkpoint yet; bash quickstart.sh trains it, --checkpoint names another")
    raise UserError(f"--checkpoint {folder}: no such folder")


def load_chat(folder: Path, device: str) -> ECGChat:
    """The whole checkpoint, loaded without a bar on the terminal."""
    need_checkpoint(folder)
    disable_progress_bar()
    return ECGChat.from_pretrained(folder, device)


def load_ecg_tokenizer(folder: Path) -> ECGTokenizer:
    """The ECG tokenizer alone, which needs no language model in memory."""
    need_checkpoint(folder)
    return ECGTokenizer.from_pretrained(folder / "ecg_tokenizer")


def background_of(patient: str) -> str:
    """``--patient`` as a prompt says it. Raises `UserError` where it says nothing that a prompt may."""
    background = parse_background(patient)
    if patient and not background:
        raise UserError(f'--patient "{patient}": say age, sex, height or weight, as in "age 56, sex female"')
    return background

"""What commands load: of a checkpoint, an ECG, and of what a user says about a patient."""

import re
import sys
from pathlib import Path

from transformers.utils.logging import disable_progress_bar

from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.background import parse_background
from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.model.cli.commands import CHECKPOINT
from cardiolect.model.cli.remarks import remarks
from cardiolect.model.inference.chat import ECGChat
from cardiolect.utils.errors import UserError


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


def read_ecg(record: str, start: float) -> ECGRecord:
    """`ECGChat.read`; stderr says in which ways the ECG is less than models are trained on."""
    ecg = ECGChat.read(record, start)
    for remark in remarks(ecg):
        print(f"{record}: {remark}", file=sys.stderr)
    return ecg


def background_of(patient: str) -> str:
    """``--patient`` as a prompt says it. Raises `UserError` where a prompt may say nothing of it, or it is unclear."""
    background = parse_background(patient)
    unclear = [
        key
        for key in ("age", "sex", "height", "weight")
        if re.search(rf"\b{key}\b", patient, re.IGNORECASE) and key not in background
    ]
    if unclear or (patient and not background):
        what = f"{unclear[0]} is not understood" if unclear else "nothing that a prompt may say"
        raise UserError(
            f'--patient "{patient}": {what}; write "age 56, sex female, height 161 cm, weight 63 kg" or a part of it'
        )
    return background

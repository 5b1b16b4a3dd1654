"""Checkpoints, recordings and patient details as commands load them."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.texts.background import parse_background
from cardiolect.model.inference.recordings import SECONDS, read_window, seconds_of
from cardiolect.model.llm.builtin import builtin_checkpoint, example_path, is_builtin
from cardiolect.model.llm.checkpoint_folder import INFO, load_ecg_tokenizer, read_info
from cardiolect.utils.errors import UserError

if TYPE_CHECKING:  # imported when a checkpoint is loaded: a mistake in the record or the patient is answered at once
    from cardiolect.ecg_tokenizer.base import ECGRepresentation
    from cardiolect.model.inference.chat import ECGChat


def require_checkpoint(folder: Path) -> None:
    """Raise `UserError`, which says what to do, if there is no such folder."""
    if is_builtin(folder):
        builtin_checkpoint()
    elif not folder.is_dir():
        raise UserError(f"--checkpoint {folder}: {'is a file, not a folder' if folder.exists() else 'no such folder'}")


def load_chat(folder: Path, device: str) -> "ECGChat":
    """Load a whole checkpoint, without a progress bar."""
    require_checkpoint(folder)
    from transformers.utils.logging import disable_progress_bar

    from cardiolect.model.inference.chat import ECGChat

    disable_progress_bar()
    return ECGChat.from_pretrained(folder, device)


def load_checkpoint_representation(folder: Path) -> "ECGRepresentation":
    """Load only what turns an ECG into a checkpoint's tokens, and no language model."""
    require_checkpoint(folder)
    return load_ecg_tokenizer(folder)


def read_ecg(record: str, start: float, checkpoint: Path) -> ECGRecord:
    """`read_window` of as much as a checkpoint was trained on, if it exists, with `ecg_warnings` on stderr.

    record: a file, or `EXAMPLE`.
    """
    seconds = seconds_of(read_info(checkpoint)) if (checkpoint / INFO).is_file() else SECONDS
    ecg = read_window(example_path(record), start, seconds)
    for warning in ecg_warnings(ecg, seconds):
        print(f"{record}: {warning}", file=sys.stderr)
    return ecg


def ecg_warnings(ecg: ECGRecord, seconds: float = SECONDS) -> list[str]:
    """One sentence for each way in which an ECG falls short of those that models are trained on."""
    warnings = []
    if ecg.seconds < seconds:
        warnings.append(f"{ecg.seconds:.1f} s of ECG; models are trained on {seconds:g} s.")
    return warnings + ecg.remarks()


def parse_patient(patient: str) -> str:
    """``--patient`` as it is written in a prompt. Raises `UserError` if any part of it cannot be read."""
    background = parse_background(patient)
    unread = [
        key
        for key in ("age", "sex", "height", "weight")
        if re.search(rf"\b{key}\b", patient, re.IGNORECASE) and key not in background
    ]
    if unread or (patient and not background):
        problem = f"cannot read the {unread[0]}" if unread else "no age, sex, height or weight found"
        raise UserError(
            f'--patient "{patient}": {problem}; write all or part of "age 56, sex female, height 161 cm, weight 63 kg"'
        )
    if unused := [part.strip() for part in patient.split(",") if part.strip() and not parse_background(part)]:
        print(f'--patient: "{", ".join(unused)}" is not used; models know age, sex, height and weight', file=sys.stderr)
    return background

"""What people thought of answers, one JSON object a line: unpaired preferences, as KTO trains on."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

from cardiolect.model.prompt.rendering import prompt_text, task_of
from cardiolect.utils.errors import UserError, make_folder

FILE = "preferences.jsonl"
_writing = threading.Lock()


def open_folder(folder: Path) -> None:
    """Make the folder that `--feedback` names; raises `UserError` where nothing can be written to it."""
    make_folder("--feedback", folder)
    try:
        with (folder / FILE).open("a"):
            pass
    except OSError as error:
        raise UserError(f"--feedback {folder}: cannot be written to: {error.strerror}") from None


def record(
    conversation: str,
    question: str,
    history: Sequence[tuple[str, str]],
    answer: str,
    ended: str,
    good: bool,
    fingerprint: str,
) -> dict:
    """One preference: prompt (what was asked, and before it), completion, how it ended, label, checkpoint.

    conversation: a random name; a later line about the same prompt in it is the rater's last word.
    Neither the ECG nor its codes, age, sex or file name; only what was typed and what was answered.
    """
    return {
        "prompt": prompt_text(task_of(question), question, history),
        "completion": f" {answer}",
        "ended": ended,
        "label": good,
        "conversation": conversation,
        "checkpoint": fingerprint,
    }


def append(folder: Path, preference: dict) -> None:
    """Add one line to `FILE`."""
    line = json.dumps(preference, ensure_ascii=False) + "\n"
    with _writing, (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(line)

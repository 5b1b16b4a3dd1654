"""Ratings of answers, one JSON object per line: unpaired preferences, the training data of KTO."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path

from cardiolect.model.prompt.rendering import prompt_text
from cardiolect.model.prompt.tasks import task_of
from cardiolect.utils.errors import UserError, make_folder

FILE = "preferences.jsonl"
_lock = threading.Lock()


def open_folder(folder: Path) -> None:
    """Create the folder that `--feedback` names; raises `UserError` if it is not writable."""
    make_folder("--feedback", folder)
    try:
        with (folder / FILE).open("a"):
            pass
    except OSError as error:
        raise UserError(f"--feedback {folder}: not writable ({error.strerror})") from None


def preference(
    conversation: str,
    question: str,
    history: Sequence[tuple[str, str]],
    answer: str,
    ended: str,
    good: bool,
    fingerprint: str,
) -> dict:
    """One rating: prompt with the conversation so far, completion, how it ended, label, checkpoint.

    conversation: a random name; a later line on the same prompt of a conversation replaces an earlier one.
    It holds only questions and answers, never the ECG, its codes, age, sex or file name.
    """
    return {
        "prompt": prompt_text(task_of(question), question, history),
        "completion": f" {answer}",
        "ended": ended,
        "label": good,
        "conversation": conversation,
        "checkpoint": fingerprint,
    }


def append(folder: Path, rating: dict) -> None:
    """Append one line to `FILE`."""
    line = json.dumps(rating, ensure_ascii=False) + "\n"
    with _lock, (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(line)

"""Errors that a user can fix, and how an entry point exits on them."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


class UserError(Exception):
    """Bad input: the message names the file, key or record and what to do about it."""


def make_folder(option: str, folder: Path) -> None:
    """Create ``folder``. Raises a `UserError` that names ``option`` if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option} {folder} cannot be made a folder: {error.strerror}") from None


def exit_on_user_error(main: Callable[[], object]) -> None:
    """Run ``main``; a `UserError` becomes one line on stderr and exit code 2."""
    try:
        main()
    except UserError as error:
        if os.environ.get("RANK", "0") != "0":
            time.sleep(15)  # all ranks meet the same error: rank 0 speaks, then the launcher stops the others
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)

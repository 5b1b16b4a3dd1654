"""Errors that a user can fix, and how entry points report them."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path


class UserError(Exception):
    """Invalid input. The message names the file, key or record, and what to do about it."""


def make_folder(option: str, folder: Path) -> None:
    """Create ``folder``. Raises a `UserError` that names ``option`` if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option} {folder} cannot be made a folder: {error.strerror}") from None


def need_writable(option: str, folder: Path) -> None:
    """Raise `UserError` if ``folder`` cannot be made or written to, before work whose result it is to hold."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"{option} {folder}: {there} {'cannot be written to' if there.is_dir() else 'is not a folder'}")


def check_overwriting(folder: Path, names: Iterable[str], force: bool) -> None:
    """Raise `UserError` if ``folder`` cannot be written to, or has files of these names without ``--force``."""
    need_writable("--out", folder)
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise UserError(
            f"--out {folder}: already holds {', '.join(there)}; add --force to replace, or give another folder"
        )


def exit_on_user_error(main: Callable[[], object]) -> None:
    """Run ``main``; on a `UserError`, print one line to stderr and exit with code 2."""
    try:
        main()
    except UserError as error:
        wait_for_main_rank()
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)


def wait_for_main_rank() -> None:
    """Give rank 0 time to report an error that all ranks have: its launcher ends the others when it has.

    On another machine, one rank reports it too.
    """
    if os.environ.get("RANK", "0") != "0":
        time.sleep(15 if os.environ.get("LOCAL_RANK") == "0" else 20)


def end_rank(code: int | str | None) -> None:
    """End this process at once with ``code`` if it is still one of several ranks; otherwise do nothing.

    Threads of a process group that is not left together may abort Python's own exit, and hide the code.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_initialized() or isinstance(code, str):
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as after >&-
            stream.flush()
    os._exit(code or 0)

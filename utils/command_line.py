"""Command lines: a parser that reports mistakes in one line, argument types, and exit codes."""

import argparse
import difflib
import errno
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from cardiolect.utils.errors import end_rank, exit_on_user_error, wait_for_main_rank
from cardiolect.utils.launchers import adopt_ranks, only_main_rank, without_local_rank

NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, without the usage, and exits with code 2.

    Its help tells the default of every option. A choice that does not exist is answered with the nearest one.
    """

    def error(self, message: str) -> NoReturn:
        wait_for_main_rank()
        self.exit(2, f"error: {message}; see {self.prog} --help\n")

    def format_help(self) -> str:
        for action in self._actions:
            if action.option_strings and action.nargs != 0 and not action.required:
                action.help = _with_default(action)
        return super().format_help()

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint} (choose from {', '.join(choices)})")


def _with_default(action: argparse.Action) -> str:
    """The help of an option, which names its default unless it does so already."""
    text = action.help or ""
    if "default" in text:
        return text
    default = action.default
    if isinstance(default, list | tuple):
        default = " ".join(map(str, default))
    shown = "none" if default is None or default == "" else str(default).replace("%", "%%")
    return f"{text} (default: {shown})".lstrip()


def run_command(main: Callable[[], object], every_rank: bool = False) -> None:
    """Run ``main`` as a program; under a launcher on the main rank only, unless ``every_rank``.

    Exit codes: 2 after a `UserError` or if a file cannot be written, with one line on stderr; 130 after Ctrl-C and 141
    if the reader of a pipe has gone, both without a traceback.
    """
    try:
        _report(partial(_run, main, every_rank))
    except SystemExit as ended:
        end_rank(ended.code)
        raise


def _report(main: Callable[[], object]) -> None:
    """Run ``main``, and turn what it raises into the exit codes of `run_command`."""
    try:
        try:
            exit_on_user_error(main)
        finally:
            if sys.stdout is not None:  # as after >&-
                sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _discard_stdout()
        sys.exit(141)
    except Exception as error:
        if not (reason := _cannot_be_written(error)):
            raise
        _discard_stdout()
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)


def _cannot_be_written(error: Exception) -> str | None:
    """Why a file cannot be written, and which; None if an error is about something else."""
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return f"{named}{error.strerror}" if error.errno in NOT_WRITTEN else None
    full = os.strerror(errno.ENOSPC)  # safetensors has errors of its own
    return full if type(error).__name__ == "SafetensorError" and full in str(error) else None


def _run(main: Callable[[], object], every_rank: bool) -> None:
    adopt_ranks()
    sys.argv = without_local_rank(sys.argv)
    if not every_rank:
        only_main_rank()
    main()


def _discard_stdout() -> None:
    """Redirect stdout to /dev/null: Python flushes it once more at exit, which would fail again."""
    if sys.stdout is None:
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def number(minimum: float, maximum: float = float("inf"), kind: type = float) -> Callable[[str], float]:
    """An argument type: a finite number between two inclusive bounds."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum or value == float("inf"):
            bounds = f"of at least {minimum}" if maximum == float("inf") else f"from {minimum} to {maximum}"
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"must be {what} {bounds}, not '{text}'")
        return value

    return parse


def integer(minimum: int, maximum: float = float("inf")) -> Callable[[str], int]:
    """An argument type: a whole number between two inclusive bounds."""
    return number(minimum, maximum, int)


def utf8(text: str) -> str:
    """An argument type: text that is valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("must be valid UTF-8") from None
    return text


def single_line(text: str) -> str:
    """An argument type: one non-empty line of text."""
    if not text.strip() or not utf8(text).replace("\t", " ").isprintable():
        raise argparse.ArgumentTypeError("must be one non-empty line of text")
    return text


def not_empty(text: str) -> str:
    """An argument type: a non-empty name of a file or recording."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def file_path(text: str) -> Path:
    """An argument type: the path of a file or folder."""
    return Path(not_empty(text))


def licence_id(text: str) -> str:
    """An argument type: a licence identifier, as on model hubs."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", text):
        raise argparse.ArgumentTypeError(f"must be an identifier such as cc-by-4.0, not '{text}'")
    return text

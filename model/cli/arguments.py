"""What the command line takes: words, names and numbers, and one line about those that it cannot."""

import argparse
import re
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Of a mistake it says one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; {self.prog} --help says more\n")


def number(least: float, most: float = float("inf"), kind: type = float):
    def read(text: str):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most or value == float("inf"):
            end = "" if most == float("inf") else f" to {most}"
            raise argparse.ArgumentTypeError(f"'{text}' is no {'whole ' * (kind is int)}number from {least}{end}")
        return value

    return read


def whole(least: int, most: float = float("inf")):
    return number(least, most, int)


def words(text: str) -> str:
    """What a model is told."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("is not UTF-8") from None
    return text


def line(text: str) -> str:
    """Not empty."""
    if not text.strip() or not words(text).replace("\t", " ").isprintable():
        raise argparse.ArgumentTypeError("is empty or not one line of text")
    return text


def named(text: str) -> str:
    """A file or recording."""
    if not text:
        raise argparse.ArgumentTypeError("is empty")
    return text


def path(text: str) -> Path:
    return Path(named(text))


def licence(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no identifier such as cc-by-4.0")
    return text

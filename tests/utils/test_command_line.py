"""The help of every command says what happens without an option; errors of files are one line."""

import argparse
import errno
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from cardiolect.model.cli import commands as cli
from cardiolect.utils.command_line import Parser, run_command
from cardiolect.utils.errors import UserError, need_writable


def options_of(parser: Parser) -> list[argparse.Action]:
    parser.format_help()  # which completes the help of options
    return [each for each in parser._actions if each.option_strings and each.nargs != 0 and not each.required]


def stated(action: argparse.Action) -> bool:
    return "default" in (action.help or "")


def test_the_commands_with_a_common_parser_tell_every_default():
    (commands,) = (each for each in cli.build_parser()._actions if isinstance(each, argparse._SubParsersAction))
    silent = [
        (name, action.option_strings[-1])
        for name, parser in commands.choices.items()
        for action in options_of(parser)
        if not stated(action)
    ]
    assert silent == []


@pytest.mark.parametrize("name", cli.TOOLS)
def test_the_commands_with_a_parser_of_their_own_tell_every_default(name, monkeypatch):
    class ParsedError(Exception):
        pass

    def parse(self, *_):
        raise ParsedError(self)

    monkeypatch.setattr(Parser, "parse_args", parse)
    with pytest.raises(ParsedError) as parsed:
        cli.main([name])
    (parser,) = parsed.value.args
    for action in options_of(parser):
        assert stated(action) and not action.help.startswith("(default"), action
        if isinstance(action.default, int | float) or (isinstance(action.default, str) and action.default.isdigit()):
            assert f"(default: {action.default}" in action.help, action


def test_defaults_are_told_once_and_as_they_are_typed():
    parser = Parser("x")
    parser.add_argument("--folds", default="1-7", help="folds")
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--rate", default="50%", help="rate")
    parser.add_argument("--paths", nargs="+", default=["a", "b"], help="files")
    parser.add_mutually_exclusive_group().add_argument("--name", help="name")
    parser.add_argument("--given", default=3, help="number (default: three)")
    parser.add_argument("--flag", action="store_true", help="flag")
    parser.add_argument("--must", required=True, help="needed")
    for _ in range(2):
        text = " ".join(parser.format_help().split())
        assert "folds (default: 1-7)" in text and "--share SHARE (default: 0.5)" in text
        assert "rate (default: 50%)" in text and "files (default: a b)" in text and "name (default: none)" in text
        assert text.count("default") == 6 and "number (default: three)" in text


def test_an_unknown_choice_is_answered_with_the_nearest(capsys):
    parser = Parser("x")
    parser.add_argument("--to", choices=("csv", "wfdb"))
    parser.add_argument("--bits", type=int, choices=(4, 8))
    for given, told in (
        (["--to", "wfbd"], "argument --to: invalid choice: 'wfbd'; did you mean wfdb? (choose from csv, wfdb)"),
        (["--to", "zzz"], "argument --to: invalid choice: 'zzz' (choose from csv, wfdb)"),
        (["--bits", "9"], "argument --bits: invalid choice: 9 (choose from 4, 8)"),
    ):
        with pytest.raises(SystemExit, match="2"):
            parser.parse_args(given)
        assert capsys.readouterr().err == f"error: {told}; see x --help\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/mnt/x"), "error: /mnt/x: Read-only file system\n"),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device\n"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "error: No space left on device\n"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_line(monkeypatch, capsys, error, line):
    def fails():
        raise error

    monkeypatch.setattr("cardiolect.utils.command_line._discard_stdout", lambda: None)
    with pytest.raises(SystemExit, match="2"):
        run_command(fails)
    assert capsys.readouterr().err == line
    error = ValueError("No space left on device")
    with pytest.raises(ValueError):
        run_command(fails)


def test_a_closed_output_is_no_error():
    code = "from cardiolect.utils.command_line import run_command; run_command(lambda: None)"
    done = subprocess.run(["bash", "-c", '"$0" -c "$1" >&-', sys.executable, code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_folder_that_cannot_be_made_is_named_before_work(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^--out .*file/x/y: .*/file is not a folder$"):
        need_writable("--out", tmp_path / "file/x/y")
    need_writable("--out", tmp_path / "new/folder")
    assert not (tmp_path / "new").exists()

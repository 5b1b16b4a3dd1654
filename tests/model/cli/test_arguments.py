"""What is typed after ``cardiolect``: words in any order, and one line about what cannot be."""

import os
import subprocess
import sys

import pytest

from cardiolect.model.cli import commands as cli
from cardiolect.utils.code_version import code_version
from tests.helpers import ROOT


@pytest.fixture
def asked(monkeypatch):
    """The options that a command is called with."""
    calls = []
    monkeypatch.setattr("cardiolect.model.cli.ask.ask", lambda **options: calls.append(options))
    monkeypatch.setattr("cardiolect.model.demo.launch", lambda **options: calls.append(options))

    def run(*arguments: str) -> dict:
        cli.main(arguments)
        return calls.pop()

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("Q", "R", "--second", "S", "--patient", "age 56"),
        ("Q", "--second", "S", "R", "--patient", "age 56"),
        ("--patient", "age 56", "Q", "R", "--second", "S"),
        ("--patient=age 56", "--second", "S", "Q", "R"),
        ("--patient=age 56", "--second", "S", "--", "Q", "R"),
    ],
)
def test_options_and_questions_stand_in_any_order(asked, arguments):
    options = asked("ask", "RECORD", *arguments)
    assert (options["record"], options["questions"]) == ("RECORD", ["Q", "R"])
    assert (options["second"], options["patient"]) == ("S", "age 56")


def test_a_question_may_begin_with_a_dash(asked):
    assert asked("ask", "RECORD", "--verbose", "- is it?")["questions"] == ["- is it?"]


def test_a_list_of_questions_takes_no_record(asked):
    assert asked("ask", "--list")["listing"] and asked("ask", "RECORD", "--list")["record"] == "RECORD"


def test_a_free_port_may_be_asked_for(asked):
    assert asked("demo", "--port", "0")["port"] == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["ask", "R", "Q", "--temprature", "1"], "unrecognized arguments: --temprature"),
        (["report", "R", "Q"], "unrecognized arguments: Q"),
        (["ask"], "the following arguments are required: RECORD"),
        (["ask", "", "Q"], "argument RECORD: must not be empty"),
        (["ask", "R", "--patient", "age 5 caf\udcff", "Q"], "argument --patient: must be valid UTF-8"),
        (["ask", "R", "Q", "--temperature", "-1"], "argument --temperature: must be a number of at least 0, not '-1'"),
        (
            ["ask", "R", "Q", "--max-new-tokens", "0.5"],
            "--max-new-tokens: must be a whole number of at least 1, not '0.5'",
        ),
        (["ask", "R", "Q", "--start", "nan"], "argument --start: must be a number of at least 0, not 'nan'"),
        (["ask", "R", "Q", "--seed", "9" * 20], "must be a whole number from 0 to 9223372036854775807"),
        (["ask", "R", "Q", "--checkpoint", ""], "argument --checkpoint: must not be empty"),
        (["show", "R", "--out", ""], "argument --out: must not be empty"),
        (["demo", "--port", "99999"], "argument --port: must be a whole number from 0 to 65535, not '99999'"),
        (["demo", "--feedback", ""], "argument --feedback: must not be empty"),
        (
            ["export", "C", "--results", "r", "--out", "x", "--license", "my licence!"],
            "must be an identifier such as cc-by-4.0",
        ),
        (["export", "C", "--results", "r", "--out", "x", "--name", "a\n---\nb"], "must be one non-empty line of text"),
        (["sing"], "invalid choice: 'sing'"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    said = capsys.readouterr().err
    assert message in said and said.startswith("error: ") and said.count("\n") == 1 and said.endswith(" --help\n")


@pytest.mark.parametrize(
    ("word", "near"), [("simulte", "simulate"), ("inspekt", "inspect"), ("asks", "ask"), ("Report", "report")]
)
def test_an_unknown_command_is_answered_with_the_nearest_and_all(word, near, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main([word])
    printed = capsys.readouterr().err
    assert f"invalid choice: '{word}'; did you mean {near}? (choose from" in printed and printed.count("\n") == 1
    listed = printed.partition("(choose from ")[2].partition(")")[0].split(", ")
    assert {*cli.TOOLS, "ask", "report", "tokens", "serve", "eval"} < set(listed) and len(listed) == 34


def test_a_word_that_is_like_no_command_is_answered_with_all(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["--", "xyzzy"])
    with pytest.raises(SystemExit, match="2"):
        cli.main(["xyzzy"])
    printed = capsys.readouterr().err
    assert "did you mean" not in printed and "settings" in printed


@pytest.mark.parametrize("name", cli.TOOLS)
def test_a_mistake_is_one_line_in_commands_with_a_parser_of_their_own(name, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main([name, "--nonsense"])
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1
    assert printed.endswith(f"; see cardiolect {name} --help\n")


def test_a_full_disk_is_one_line():
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    talkative = "from cardiolect.model.cli import commands as cli; cli.main = lambda: print('yes'); cli.run()"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", talkative], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (2, "error: No space left on device\n")


def test_the_version_is_that_of_the_sources(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out == f"cardiolect {code_version()}\n"

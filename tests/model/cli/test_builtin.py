"""Without --checkpoint, the model that comes with the package answers, in any folder, and a line says which it is."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest

from cardiolect import ECGChat
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.texts.numbers import value_of
from cardiolect.model.cli import commands as cli
from cardiolect.model.llm import builtin
from cardiolect.model.llm.checkpoint_folder import fingerprint
from cardiolect.utils.errors import UserError

QUESTION = "Does this ECG show symptoms of atrial fibrillation?"
LINE = r"Built-in model .+ \({}\), trained on .+\. Not for clinical diagnosis\.\n"
MOST_BYTES = 12e6
FILES = sorted(path for path in builtin.BUILTIN.rglob("*") if path.is_file())


@pytest.fixture
def shipped(stock, monkeypatch, tmp_path):
    """A checkpoint of random weights in the place of the built-in one, seen from an empty folder."""
    monkeypatch.setattr(builtin, "BUILTIN", stock)
    monkeypatch.setattr(cli, "BUILTIN", stock)
    monkeypatch.chdir(tmp_path)
    return stock


def test_without_a_checkpoint_the_builtin_one_answers_and_says_so(shipped, record, said, capsys):
    options = ("--max-new-tokens", 5, "--device", "cpu")
    expected = said("ask", record, QUESTION, "--checkpoint", shipped, *options)
    capsys.readouterr()
    cli.main(["ask", record, QUESTION, *map(str, options)])
    printed = capsys.readouterr()
    assert printed.out == expected and len(re.findall(LINE.format(fingerprint(shipped)), printed.err)) == 1
    assert said("tokens", record) == said("tokens", record, "--checkpoint", shipped)


def test_in_python_no_folder_means_the_builtin_checkpoint(shipped, record, capsys):
    chat = ECGChat.from_pretrained(device="cpu")
    assert re.search(LINE.format(fingerprint(shipped)), capsys.readouterr().err)
    same = ECGChat.from_pretrained(shipped, "cpu")
    assert capsys.readouterr().err == ""
    ecg = chat.read(record)
    assert chat.ask(ecg, QUESTION, max_new_tokens=5) == same.ask(ecg, QUESTION, max_new_tokens=5)


def test_an_installation_without_it_says_what_to_do(record, monkeypatch, tmp_path):
    monkeypatch.setattr(builtin, "BUILTIN", tmp_path)
    monkeypatch.setattr(cli, "BUILTIN", tmp_path)
    for arguments in (["ask", record, QUESTION], ["report", record], ["tokens", record], ["demo"], ["serve"]):
        with pytest.raises(UserError, match="no built-in checkpoint; name one with --checkpoint, or train one"):
            cli.main(arguments)
    with pytest.raises(UserError, match="no built-in checkpoint"):
        ECGChat.from_pretrained()


def test_the_example_is_a_simulated_recording_at_hand_everywhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ecg = ECGChat.read("example")
    assert (ecg.seconds, ecg.remarks()) == (10.0, []) and ecg.good.all() and builtin.is_example("example")
    assert "Simulated" in (builtin.BUILTIN / "example.hea").read_text()
    assert read_record(builtin.BUILTIN / "example").signal.shape == ecg.signal.shape


def test_a_file_called_example_comes_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example.hea").write_text("not a header")
    assert builtin.example_path("example") == "example" and not builtin.is_example("example")


def test_the_shipped_files_are_few_small_and_without_pickles():
    assert sum(path.stat().st_size for path in FILES) < MOST_BYTES
    allowed = {".json", ".safetensors", ".md", ".jinja", ".hea", ".dat", ".html", ""}
    assert {path.suffix for path in FILES} <= allowed


def test_the_shipped_checkpoint_reads_its_example(said):
    patient = ("--patient", "age 60, sex female")
    answers = said("ask", "example", "Is there AF?", "heart rate?", "LBBB?", *patient).split("\n")
    assert answers[0].startswith("Is there AF? yes (") and answers[2] == "LBBB? no (> 99 %)"
    assert abs(value_of(answers[1].removeprefix("heart rate? "), "bpm") - 57) <= 10
    assert "trial fibrillation" in said("report", "example", *patient)


def test_questions_that_were_trained_one_by_one_are_answered_so_in_a_conversation_too(said, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    alone = said("ask", "example", "AF?", "heart rate?", "QTc")
    cli.main(["ask", "example", "AF?", "heart rate?", "QTc", "--chat"])
    printed = capsys.readouterr()
    assert printed.out == alone and "each is answered on its own" in printed.err


def test_with_two_ecgs_a_question_about_one_is_refused(said):
    assert said("ask", "example", "AF?", "--second", "example").startswith(
        "cannot say: this is a question about one ECG"
    )


def test_the_example_is_a_recording_for_tools_as_well(said, tmp_path):
    assert "10 s at 250 Hz" in said("inspect", "example")
    said("convert", "example", tmp_path / "ecg.edf")
    assert (tmp_path / "ecg.edf").is_file()


def test_a_picture_is_answered_as_a_question_is(said, tmp_path):
    """Calibrated, with the probability; the model's own word may be another."""
    for question in ("AF?", "baseline drift?", "What rhythm-related symptoms does this ECG show?"):
        assert said("show", "example", "--question", question, "--out", tmp_path / "ecg.png") == said(
            "ask", "example", question
        )


def test_a_signal_without_beats_is_not_read_as_an_ecg(said, monkeypatch):
    """Without beats, only questions about noise are answered."""
    ecg = read_record(builtin.BUILTIN / "example")
    step = np.zeros_like(ecg.signal)
    step[:, step.shape[1] // 2 :] = 0.5
    monkeypatch.setattr("cardiolect.model.cli.ask.read_ecg", lambda *_: replace(ecg, signal=step))
    line = "cannot say: fewer than three beats found, so nothing can be measured"
    answers = said("ask", "step", "AF?", "heart rate?", "static noise?").splitlines()
    assert [answer.partition("? ")[2] == line for answer in answers] == [True, True, False]
    assert said("report", "step").strip() == line


def test_a_number_that_differs_from_the_measured_one_is_followed_by_it(said, monkeypatch):
    monkeypatch.setattr(ECGChat, "stream", lambda *_, **__: iter(["124 bpm"]))
    assert re.fullmatch(r"124 bpm\nmeasured on the signal: \d+ bpm\n", said("ask", "example", "heart rate?"))


def test_what_a_patient_is_said_to_be_and_no_model_knows_is_named(said, capsys):
    cli.main(["ask", "example", "AF?", "--patient", "age 56, woman, sex female"])
    assert '--patient: "woman" is not used' in capsys.readouterr().err
    cli.main(["ask", "example", "AF?", "--patient", "age 56, sex female"])
    assert "is not used" not in capsys.readouterr().err


def test_a_report_on_a_short_ecg_leaves_the_rhythm_open(said, tmp_path, monkeypatch):
    ecg = read_record(builtin.BUILTIN / "example")
    short = replace(ecg, signal=ecg.signal[:, : round(4 * ecg.fs)], good=ecg.good[:, : round(4 * ecg.fs)])
    monkeypatch.setattr("cardiolect.model.cli.ask.read_ecg", lambda *_: short)
    line = "cannot say: rhythm and extra beats, which take 5 s; these are 4.0 s"
    assert line in said("report", "short").splitlines()
    monkeypatch.setattr("cardiolect.model.cli.ask.read_ecg", lambda *_: ecg)
    assert "cannot say" not in said("report", "whole")

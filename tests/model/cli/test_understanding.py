"""Free wording, refusals and missing leads, as ``cardiolect ask`` and ``report`` print them."""

import io
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest

from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.model.cli import commands as cli
from cardiolect.model.inference.chat import ECGChat

AF = "Does this ECG show symptoms of atrial fibrillation?"
ANTERIOR = "Does this ECG show symptoms of myocardial infarction in anterior leads?"
DRIFT = [f"Does this ECG show baseline drift in lead {lead}?" for lead in ("I", "V1")]


@pytest.fixture
def checkpoint(stock, tmp_path):
    """A checkpoint that lists its questions, and reports."""
    folder = shutil.copytree(stock, tmp_path / "llm")
    info = json.loads((folder / "cardiolect.json").read_text())
    info["settings"]["tasktype"] = "all"
    unsure = ["not sure"]  # not "no": answers to questions known as yes-or-no come with a probability
    info["majority_answers"] = {"by_question": {question: unsure for question in (AF, ANTERIOR, *DRIFT)}}
    (folder / "cardiolect.json").write_text(json.dumps(info))
    return str(folder)


@pytest.fixture
def sent(monkeypatch):
    """The questions that reach the model, each with the number of earlier ones."""
    questions = []

    def stream(self, ecgs, question, history, *_, **__):
        questions.append((question, len(history)))
        return iter(["yes"])

    monkeypatch.setattr(ECGChat, "stream", stream)
    return questions


@pytest.fixture
def limbs_only(record, tmp_path):
    """A recording whose chest leads are flat."""
    signal = read_record(record).signal.copy()
    signal[6:] = 0
    write_wfdb(tmp_path / "limbs", signal)
    return str(tmp_path / "limbs")


def test_the_question_that_was_understood_is_sent_and_said(checkpoint, record, sent, capsys):
    cli.main(["ask", record, "afib?", AF, "summary", "--checkpoint", checkpoint])
    printed = capsys.readouterr()
    assert sent == [(AF, 0), (AF, 0), ("Report", 0)] and printed.out == f"afib? yes\n{AF} yes\nsummary: yes\n"
    assert printed.err.count(f"afib? understood as: {AF}\n") == 1 and "summary: understood as: Report\n" in printed.err


def test_a_report_in_place_of_a_verdict_is_said_to_be_one(checkpoint, record, sent, capsys):
    for question, verdict in (("is it normal?", True), ("summary", False)):
        cli.main(["ask", record, question, "--checkpoint", checkpoint])
        assert ("no single question asks whether an ECG is normal" in capsys.readouterr().err) == verdict


def test_what_is_not_understood_is_not_sent(checkpoint, record, sent, capsys):
    cli.main(["ask", record, "acute AF?", "Is she pregnant?", "no AF?", "afib?", "--checkpoint", checkpoint])
    printed = capsys.readouterr()
    assert sent == [(AF, 0)] and printed.out.splitlines() == [
        "acute AF? cannot say: this model was not trained on this question",
        "Is she pregnant? cannot say: an ECG does not show this",
        "no AF? cannot say: a negation can be answered in two ways; ask whether it is there",
        "afib? yes",
    ]
    assert f"nearest trained question: {AF}\ncardiolect ask --list prints" in printed.err
    assert printed.err.count("ask --list prints") == 1, "a hint is given once"


def test_a_question_is_sent_as_typed_if_that_is_wanted(checkpoint, limbs_only, sent, capsys):
    cli.main(["ask", limbs_only, "acute AF?", ANTERIOR, "--as-typed", "--checkpoint", checkpoint])
    printed = capsys.readouterr()
    assert sent == [("acute AF?", 0), (ANTERIOR, 0)] and printed.out == f"acute AF? yes\n{ANTERIOR} yes\n"
    assert printed.err.count("not trained on this prompt") == 1


def test_a_conversation_remembers_only_what_was_answered(checkpoint, record, sent, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("why?\nafib?\n\n"))
    cli.main(["ask", record, "--chat", "--checkpoint", checkpoint])
    assert sent == [(AF, 0)] and capsys.readouterr().out.startswith("cannot say: ")


def test_what_can_be_asked_is_listed_without_a_recording(checkpoint, said):
    listed = said("ask", "--list", "--checkpoint", checkpoint)
    assert f"  {AF}   (af, afib)\n" in listed and "Report" in listed
    assert "  Does this ECG show baseline drift in lead LEAD?   LEAD: I, V1\n" in listed


def test_without_a_list_of_questions_any_is_sent(stock, record, sent, capsys):
    cli.main(["ask", record, "afib?", "--checkpoint", str(stock)])
    assert sent == [("afib?", 0)] and "understood as" not in capsys.readouterr().err


def test_missing_leads_are_part_of_the_answer(checkpoint, limbs_only, sent, capsys):
    cli.main(["ask", limbs_only, "anterior infarct?", "afib?", "--checkpoint", checkpoint])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "anterior infarct? cannot say: this needs leads V1, V2, V3, V4, which have no usable signal",
        "afib? yes",
    ]
    cli.main(["report", limbs_only, "--checkpoint", checkpoint])
    assert capsys.readouterr().out.startswith("yes\ncannot say: findings that need leads V1, V2,")
    assert [question for question, _ in sent] == [AF, "Report"]


def test_a_recording_that_is_mostly_masked_is_refused_with_the_reason(checkpoint, record, sent, monkeypatch, capsys):
    ecg = read_record(record)
    good = ecg.good & (np.arange(ecg.good.shape[1]) < 1500)
    monkeypatch.setattr("cardiolect.model.cli.ask.read_ecg", lambda *_: replace(ecg, good=good))
    for command in (["ask", record, "afib?"], ["report", record]):
        cli.main([*command, "--checkpoint", checkpoint])
        assert capsys.readouterr().out == "cannot say: no lead of this recording has a usable signal\n"
    assert sent == []


def test_a_picture_is_drawn_although_the_question_is_refused(checkpoint, record, sent, tmp_path, said):
    out = tmp_path / "ecg.png"
    printed = said("show", record, "--out", out, "--question", "why?", "--checkpoint", checkpoint)
    assert printed.startswith("cannot say: ") and out.is_file() and sent == []

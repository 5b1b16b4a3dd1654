"""A language model describes statements from passages; what it makes up is marked, and nothing is asked twice."""

import json
from collections.abc import Iterator

import pytest

from cardiolect.data_provider.texts.describe import __main__ as command
from cardiolect.data_provider.texts.describe.language_model import PROMPT, checked, messages
from cardiolect.data_provider.texts.describe.passages import TEXTBOOK, load_texts
from cardiolect.data_provider.texts.describe.statements import read_statement
from cardiolect.utils import chat_client
from tests.helpers.commands import refused
from tests.helpers.judge import ChatServer
from tests.helpers.language_models import tiny_language_model
from tests.helpers.servers import serving

PASSAGES = {one.heading: one for one in load_texts(TEXTBOOK).passages}
LBBB = PASSAGES["Left bundle branch block (CLBBB)"]
ANSWER = "The QRS complex is at least 120 ms wide in left bundle branch block. R waves in V5 are broad."


@pytest.fixture
def server(monkeypatch) -> Iterator[ChatServer]:
    with serving(ChatServer()) as served:
        served.reply = lambda statement: ANSWER
        monkeypatch.setenv("DESCRIBE_URL", served.url)
        monkeypatch.setenv("DESCRIBE_MODEL", "writer")
        monkeypatch.setenv("DESCRIBE_KEY", "secret-key")
        yield served


@pytest.fixture
def describe(tmp_path):
    def run(lines: list[str], *options: str) -> dict[str, dict]:
        (tmp_path / "lines.txt").write_text("\n".join(lines))
        command.main([str(tmp_path / "lines.txt"), "--out", str(tmp_path / "out"), "--force", *map(str, options)])
        return {row["statement"]: row for row in json.loads((tmp_path / "out/descriptions.json").read_text())}

    return run


def unsupported(reply: str, statement: str = "Left bundle branch block", passages=(LBBB,)) -> list[list[str]]:
    return [row["unsupported"] for row in checked(reply, read_statement(statement), passages)]


def test_the_request_has_statement_certainty_and_passages_and_nothing_else():
    system, user = messages(read_statement("Possible LBBB"), [LBBB])
    assert system == {"role": "system", "content": PROMPT}
    sent = json.loads(user["content"])
    assert sent["findings"] == [{"finding": "left bundle branch block", "certainty": "possible"}]
    assert sent.keys() == {"statement", "findings", "passages"} and sent["passages"][0].startswith("[1] Left bundle")


def test_sentences_with_support_pass():
    assert unsupported(ANSWER) == [[], []]
    inferior = [PASSAGES["Inferior myocardial infarction (IMI)"]]
    assert unsupported("Q waves of an inferior infarct are 30 ms wide.", "Inferior infarct", inferior) == [[]]
    assert unsupported("none") == [] and unsupported("None.") == []


def test_made_up_findings_numbers_and_denied_findings_are_marked():
    assert unsupported("Atrial fibrillation is seen.") == [["AFIB"]]
    assert unsupported("The QRS complex is 165 ms wide.") == [["165"]]
    assert unsupported("Delta waves are seen.") == [["delta waves"]]
    assert unsupported("There is no atrial fibrillation.") == [[]]
    both = [LBBB, PASSAGES["Left ventricular hypertrophy (LVH)"]]
    assert unsupported("Left ventricular hypertrophy is seen.", "LBBB, no LVH", both) == [["LVH"]]
    assert unsupported("An infarct leaves QRS complexes broad.", "Inferior infarct") == [[]]  # without its wall


def test_an_endpoint_is_asked_once_for_each_statement(server, describe, tmp_path, capsys):
    lines = ["Left bundle branch block", "Left bundle branch block", "Possible LBBB", "Unconfirmed analysis", "No LVH"]
    found = describe(lines, "--mode", "endpoint")
    assert server.counts() == {"Left bundle branch block": 1, "Possible LBBB": 1}
    one = found["Left bundle branch block"]
    assert one["text"] == ANSWER and one["reply"] == ANSWER and one["count"] == 2
    assert (one["model"], one["served"]) == ("writer", "judge-2026") and len(one["prompt_sha256"]) == 64
    assert one["passages"][0] == {"source": LBBB.source, "heading": LBBB.heading}
    assert found["Possible LBBB"]["text"] == f"Possible left bundle branch block: {ANSWER}"
    assert found["Unconfirmed analysis"]["text"] == found["No LVH"]["text"] == ""
    again = describe(lines, "--mode", "endpoint")
    assert again == found and len(server.asked) == 2
    assert "2 are in" in capsys.readouterr().out
    describe(lines, "--mode", "endpoint", "--passages", 1)
    assert len(server.asked) == 4
    assert "secret-key" not in (tmp_path / "out/descriptions.json").read_text()


def test_nothing_that_may_identify_a_patient_is_sent(server, describe):
    found = describe(["Left bundle branch block", "LVH for Mr John Smith 12.03.1992"], "--mode", "endpoint")
    assert found.keys() == {"Left bundle branch block"} and "Smith" not in json.dumps(server.asked)


def test_unsupported_sentences_stand_in_the_result_and_not_in_the_text(server, describe, tmp_path, capsys):
    server.reply = lambda statement: f"{ANSWER} Atrial fibrillation is seen."
    found = describe(["Left bundle branch block"], "--mode", "endpoint")["Left bundle branch block"]
    assert found["text"] == ANSWER and found["waveforms"][-1]["unsupported"] == ["AFIB"]
    assert json.loads((tmp_path / "out/summary.json").read_text())["unsupported_sentences"] == 1
    assert "1 sentences without support" in capsys.readouterr().out


def test_what_failed_is_said_and_asked_again(server, describe, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(chat_client, "MAX_WAIT", 0.01)
    server.plans = {"Sinus rhythm": [(400, {})]}
    found = describe(["Sinus rhythm", "Left bundle branch block"], "--mode", "endpoint")
    assert found["Sinus rhythm"]["text"] == "" and found["Left bundle branch block"]["text"]
    failed = json.loads((tmp_path / "out/summary.json").read_text())["failed"]
    assert failed == {"Sinus rhythm": "the server returned 400"}
    assert "1 statements failed (the server returned 400)" in capsys.readouterr().out
    describe(["Sinus rhythm", "Left bundle branch block"], "--mode", "endpoint")
    assert server.counts() == {"Sinus rhythm": 2, "Left bundle branch block": 1}


def test_nothing_is_asked_without_a_passage(server, describe, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("Atrial flutter has saw teeth in II.")
    describe(["Left bundle branch block"], "--mode", "endpoint", "--texts", tmp_path / "texts")
    assert server.asked == []


def test_a_local_model_answers_and_is_named_with_its_weights(describe, tmp_path):
    folder = tiny_language_model(tmp_path / "tiny")
    options = ("--mode", "local", "--model", folder, "--passages", 1, "--device", "cpu")
    found = describe(["Left bundle branch block", "Poor data quality"], *options)
    assert found["Poor data quality"]["text"] == ""
    one = found["Left bundle branch block"]
    if "reply" in one:  # an untrained model may answer nothing
        assert one["model"].startswith("tiny ") and describe(["Left bundle branch block"], *options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mode", "local"], "--model: give the folder"),
        (["--model", "x"], "--model: give the folder"),
        (["--mode", "endpoint"], "--mode endpoint needs DESCRIBE_URL and DESCRIBE_MODEL in the environment"),
    ],
)
def test_a_mode_without_its_model_is_refused(options, said, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DESCRIBE_URL", raising=False)
    assert said in refused(command.main, [tmp_path, "--out", tmp_path / "out", *options], capsys)

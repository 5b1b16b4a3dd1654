"""A server of a model is asked as `ECGChat` is, and what fails is one line."""

import json
import socket
import time

import pytest

from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.model.cli import commands as cli
from cardiolect.model.prompt.chat_template import chat_messages
from cardiolect.model.serving.endpoint import EndpointChat
from cardiolect.utils.errors import UserError
from tests.helpers.servers import LoopbackHandler, LoopbackServer, serving


class Scripted(LoopbackHandler):
    """Answers every request as the server was told to, and keeps what it was sent."""

    def do_POST(self) -> None:  # noqa: N802
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers.get("Authorization"), sent))
        status, headers, text = self.server.reply
        self.head(status, headers, len(text))
        self.wfile.write(text)


@pytest.fixture
def scripted(folder):
    with serving(LoopbackServer(Scripted)) as server:
        server.asked = []
        yield server


def said(*parts: str) -> bytes:
    events = [
        {"choices": [{"delta": {"role": "assistant"}}]},
        *({"choices": [{"delta": {"content": p}}]} for p in parts),
    ]
    lines = [b": ping", *(b"data: " + json.dumps(event, ensure_ascii=False).encode() for event in events)]
    return b"\r\n\r\n".join([*lines, b'data: {"choices": [], "usage": {}}', b"data: [DONE]", b""])


@pytest.mark.parametrize(
    "end", [b"data: [DONE]", b'data: {"choices": [{"delta": {}, "finish_reason": "length"}]}', b""]
)
def test_an_answer_is_whole_where_the_server_says_so(scripted, folder, codes, end):
    scripted.reply = 200, {}, said(" 60", "°").replace(b"data: [DONE]", end)
    answer = EndpointChat.from_pretrained(scripted.address, folder).stream(codes)
    assert [next(answer), next(answer)] == ["60", "60°"]
    if end:
        assert list(answer) == []
    else:
        with pytest.raises(UserError, match="the answer broke off"):
            next(answer)


def test_a_silent_server_is_waited_for_no_longer_than_was_said(folder, codes):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        chat = EndpointChat(url, ECGTokenizer.from_pretrained(folder / "ecg_tokenizer"), timeout=0.2)
        began = time.monotonic()
        with pytest.raises(UserError, match="no answer in time"):
            chat.ask(codes)
    assert time.monotonic() - began < 60


def test_other_servers_are_asked_the_same_way(scripted, folder, codes):
    scripted.reply = 200, {"Content-Type": "text/event-stream"}, said(" 60", "°", " axis")
    for url in (scripted.address, f"{scripted.address}/", f"{scripted.address}/v1"):
        remote = EndpointChat.from_pretrained(url, folder, "mine", environment={"ENDPOINT_KEY": "secret"})
        assert list(remote.stream(codes, "What?", patient="age 56, name Ann")) == ["60", "60°", "60° axis"]
        path, key, body = scripted.asked[-1]
        assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "mine")
        assert body["messages"][0]["content"].endswith("<|ecg_end|>Patient: age 56.\nWhat?") and "Ann" not in str(body)


def test_the_command_asks_a_server_that_holds_several(scripted, folder, codes, corpus, chat, capsys, monkeypatch):
    monkeypatch.setenv("ENDPOINT_KEY", "")
    scripted.reply = 200, {"Content-Type": "text/event-stream"}, said(" yes")
    record = str(corpus / "records500/00000/00001_hr")
    cli.main(
        [
            "ask",
            record,
            " Report",
            "--checkpoint",
            str(folder),
            "--endpoint",
            scripted.address,
            "--model",
            "mine",
            "--logit-bias",
            "--max-new-tokens",
            "7",
        ]
    )
    assert capsys.readouterr().out == "yes\n"
    body = scripted.asked[-1][2]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("mine", 7, 0)
    assert set(body["logit_bias"]) == set(map(str, chat.checkpoint.vocabulary.new_ids))
    assert body["messages"] == chat_messages([codes], [""]) and body["messages"][0]["content"].endswith(">Report")


@pytest.mark.parametrize(
    "status, text, message",
    [
        (404, b'{"error": {"message": "no model x"}}', r"answered 404 \(no model x\); check the address and"),
        (401, b"", "answered 401; check ENDPOINT_KEY"),
        (307, b"", "answered 307; check the address"),
        (500, b"Internal\nServer Error", r"answered 500 \(Internal Server Error\); see"),
        (200, b'data: {"error": "out of memory"}\n\n', r"broke off \(out of memory\)"),
        (200, b"<html>\n<p>Welcome</p>\n</html>", r"not an event stream \(<html> <p>Welcome</p> </html>\); check"),
        (200, b'{"error": {"message": "no such model"}}', r"not an event stream \(no such model\)"),
        (200, b'{"choices": [{"message": {"content": "yes"}}]}', r'not an event stream .*"content": "yes"'),
        (200, b"", r"not an event stream \(no readable"),
    ],
)
def test_failures_are_one_line_each(scripted, folder, codes, status, text, message):
    scripted.reply = status, {"Location": "http://127.0.0.1:1/"}, text
    with pytest.raises(UserError, match=message) as caught:
        EndpointChat.from_pretrained(scripted.address, folder, environment={"ENDPOINT_KEY": "secret"}).ask(codes)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_addresses_that_are_not_safe_or_not_there(folder, codes):
    for url, message in {
        "http://example.org": "only https",
        "file:///etc/passwd": "only https",
        "http://key@127.0.0.1:1": "a key into ENDPOINT_KEY",
        "127.0.0.1:8000": "only https",
        f"https://{'x' * 64}.org": "is not an address",
    }.items():
        with pytest.raises(UserError, match=message):
            EndpointChat.from_pretrained(url, folder)
    with pytest.raises(UserError, match="ENDPOINT_KEY contains characters that are invalid in a key"):
        EndpointChat.from_pretrained("https://example.org", folder, environment={"ENDPOINT_KEY": "secret\n"})
    with pytest.raises(UserError, match="no connection; is a server running there"):
        EndpointChat.from_pretrained("http://127.0.0.1:1", folder).ask(codes)

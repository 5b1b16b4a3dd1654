"""What OpenAI's clients expect, around an application that gives what transformers gives."""

import asyncio
import json

import pytest

from cardiolect.model.serving.openai_protocol import OpenAIProtocol

ASKED = {"messages": [{"role": "user", "content": "Why?"}]}


def answered(folder, parts: list[bytes], status: int = 200, kind: str = "application/json", error=None, **more):
    """Status and body of an answer. parts: what the application inside sends; error: what it raises then."""
    inside, sent = [], []

    async def app(scope, receive, send):
        inside.append(json.loads((await receive())["body"]))
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
        for k, part in enumerate(parts):
            await send({"type": "http.response.body", "body": part, "more_body": k + 1 < len(parts)})
        if error:
            raise error

    async def receive():
        return {"type": "http.request", "body": json.dumps(ASKED | more).encode(), "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    asyncio.run(OpenAIProtocol(app, str(folder))(scope, receive, send))
    assert all(body["model"] == str(folder) for body in inside)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


def test_a_streamed_answer_loses_the_space_in_front_and_no_other(tmp_path):
    parts = [event(""), event(" "), event(" yes"), event(" it is"), b"data: [DONE]\n\n"]
    status, body = answered(tmp_path, parts, kind="text/event-stream; charset=utf-8", stream=True)
    events = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    texts = [json.loads(each)["choices"][0]["delta"]["content"] for each in events[:-1]]
    assert (status, texts, events[-1]) == (200, ["", "", "yes", " it is"], "[DONE]")


def test_a_whole_answer_loses_the_space_in_front(tmp_path):
    whole = {"choices": [{"message": {"role": "assistant", "content": " sinus rhythm"}}], "usage": {"total_tokens": 3}}
    status, body = answered(tmp_path, [json.dumps(whole).encode()], model=tmp_path.name)
    assert status == 200 and json.loads(body)["choices"][0]["message"]["content"] == "sinus rhythm"
    assert json.loads(body)["usage"] == whole["usage"]


@pytest.mark.parametrize(
    ("status", "detail", "error", "expected"),
    [
        (422, b'{"detail": "Unexpected fields"}', None, (400, "Unexpected fields", "invalid_request_error")),
        (500, b"Internal Server Error", ValueError("no memory"), (500, "no memory", "server_error")),
        (503, b'{"error": "worker dead"}', None, (503, "worker dead", "server_error")),
    ],
)
def test_errors_have_a_message_and_say_whose_they_are(tmp_path, status, detail, error, expected):
    found, body = answered(tmp_path, [detail], status, error=error)
    told = json.loads(body)["error"]
    assert (found, told["message"], told["type"]) == expected


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"model": "another"}, 404, "this server has"),
        ({"messages": "Why?"}, 400, "messages must be a list"),
        ({"n": 2}, 400, "n: not supported"),
        ({"logprobs": True, "top_logprobs": 3}, 400, "logprobs, top_logprobs: not supported"),
    ],
)
def test_what_cannot_be_answered_does_not_reach_the_application(tmp_path, more, status, words):
    found, body = answered(tmp_path, [b"{}"], **more)
    assert found == status and words in json.loads(body)["error"]["message"]
    assert answered(tmp_path, [b"{}"], n=1, logprobs=False, response_format={"type": "text"})[0] == 200

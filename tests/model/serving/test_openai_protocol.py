"""What OpenAI's clients expect, around an application that gives what transformers gives."""

import asyncio
import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from cardiolect.model.serving.openai_protocol import OpenAIProtocol

ECG = "<|ecg_start|> <|ecg_7|> <|ecg_end|> "
ASKED = {"messages": [{"role": "user", "content": "Why?"}]}


@pytest.fixture
def folder(tmp_path):
    """A model that takes ten tokens, each a word, and knows one code."""
    words = {word: k for k, word in enumerate(("[UNK]", "Why?", "<|ecg_start|>", "<|ecg_7|>", "<|ecg_end|>"))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 10}')
    return tmp_path


def said(*texts: str, role: str = "user") -> dict:
    return {"messages": [{"role": role, "content": text} for text in texts]}


def answered(
    folder, parts: list[bytes], status: int = 200, kind: str = "application/json", error=None, raw=None, **more
):
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
        body = json.dumps(ASKED | more).encode() if raw is None else raw
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    asyncio.run(OpenAIProtocol(app, str(folder))(scope, receive, send))
    assert all(body["model"] == str(folder) for body in inside)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


def event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + b"\n\n"


@pytest.mark.parametrize("end", [[], [b"data: [DONE]\n\n"]])
def test_a_streamed_answer_loses_the_space_in_front_and_no_other_and_says_that_it_is_done(folder, end):
    parts = [event(""), event(" "), event(" yes"), event(" it is"), *end]
    status, body = answered(folder, parts, kind="text/event-stream; charset=utf-8", stream=True)
    events = [line.removeprefix("data: ") for line in body.decode().split("\n\n") if line]
    texts = [json.loads(each)["choices"][0]["delta"]["content"] for each in events[:-1]]
    assert (status, texts, events[-1]) == (200, ["", "", "yes", " it is"], "[DONE]")


def test_a_whole_answer_loses_the_space_in_front(folder):
    whole = {"choices": [{"message": {"role": "assistant", "content": " sinus rhythm"}}], "usage": {"total_tokens": 3}}
    status, body = answered(folder, [json.dumps(whole).encode()], model=folder.name)
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
def test_errors_have_a_message_and_say_whose_they_are(folder, status, detail, error, expected):
    found, body = answered(folder, [detail], status, error=error)
    told = json.loads(body)["error"]
    assert (found, told["message"], told["type"]) == expected


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"model": "another"}, 404, "this server has"),
        ({"messages": "Why?"}, 400, "messages must be a list"),
        ({"n": 2}, 400, "n: not supported"),
        ({"logprobs": True, "stream": True}, 400, "logprobs: only in /v1/chat/completions and without stream"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs must be from 0 to 20"),
        ({"top_logprobs": 3}, 400, "top_logprobs must be from 0 to 20, and takes logprobs: true"),
        ({"tools": [{"type": "function"}]}, 400, "tools: not supported"),
        ({"max_tokens": 0}, 400, "max_tokens must be a whole number of at least 1"),
        ({"temperature": "hot"}, 400, "temperature must be a number from 0 to 2"),
        (said("Why?", role="bogus"), 400, "the role 'bogus' is not one of system, developer, user, assistant"),
        (said("Be brief.", role="system"), 400, "messages must have one of the user"),
        (said(None), 400, "the content of a message of the user must be a text"),
        (said([{"type": "image_url", "image_url": {}}]), 400, "this server reads text only"),
        (said("<|ecg_start|> <|ecg_99|> <|ecg_end|> Why?"), 400, "<|ecg_99|> is not a token of this model"),
        (said("Why? " * 11), 400, "the messages take 11 tokens and the model takes 10 in all"),
        ({"max_tokens": 10}, 400, "the messages take 1 tokens, 10 more for the answer, and the model takes 10 in all"),
        ({"functions": [{"name": "f"}]}, 400, "functions: not supported by this server"),
        ({"generation_config": "{}"}, 400, "generation_config: not supported by this server"),
        ({"frequency_penalty": 1}, 400, "frequency_penalty: not supported by this server"),
        ({"seed": "x"}, 400, "seed must be a whole number"),
        ({"seed": 10**30}, 400, "seed must be at most"),
        ({"top_p": 7}, 400, "top_p must be a number from 0 to 1"),
        ({"stop": 5}, 400, "stop must be a text, or a list"),
        ({"logit_bias": {"x": 1.0}}, 400, "logit_bias must be"),
        ({"logit_bias": {"999": 1.0}}, 400, "logit_bias: this model has no token 999"),
        (said("\ud800 Why?"), 400, "a text is not valid Unicode"),
        (said(ECG * 3 + "Why?"), 400, "3 ECGs: a question is about one"),
        (said("Why?", ECG), 400, "an ECG must be in the first message of the user"),
        (said("<|ecg_start|> Why? <|ecg_end|>"), 400, "an ECG must be whole"),
        (said("<|ecg_7|> Why?"), 400, "an ECG must be whole"),
    ],
)
def test_what_cannot_be_answered_does_not_reach_the_application(folder, more, status, words):
    found, body = answered(folder, [b"{}"], **more)
    assert found == status and words in json.loads(body)["error"]["message"]
    assert answered(folder, [b"{}"], n=1, logprobs=False, response_format={"type": "text"})[0] == 200


@pytest.mark.parametrize(("raw", "words"), [(b"", "the request is empty"), (b"[" * 100_000, "nested too deeply")])
def test_a_body_that_cannot_be_read_is_named(folder, raw, words):
    status, body = answered(folder, [b"{}"], raw=raw)
    assert status == 400 and words in json.loads(body)["error"]["message"]


def test_what_can_be_answered_is_passed_on_and_answered_under_the_name_of_the_model(folder):
    parts = [b'data: {"model": "/a/path@main", "choices": [{"delta": {"content": "\\"model\\": \\"x\\""}}]}\n\n'] * 2
    asked = said([{"type": "text", "text": "<|ecg_start|> <|ecg_7|> <|ecg_end|> Why?"}])
    status, body = answered(folder, parts, kind="text/event-stream", stream_options={"include_usage": True}, **asked)
    events = [json.loads(line.removeprefix("data: ")) for line in body.decode().split("\n\n")[:2]]
    assert status == 200 and [each["model"] for each in events] == [folder.name] * 2
    assert [each["choices"][0]["delta"]["content"] for each in events] == ['"model": "x"'] * 2
    _, body = answered(folder, [b'{"model": "/a/path@main", "choices": []}'])
    assert json.loads(body)["model"] == folder.name


@pytest.mark.parametrize(("path", "status"), [("/v1/models/NAME", 200), ("/v1/models", 200), ("/v1/responses", 404)])
def test_the_model_is_listed_and_what_is_not_offered_is_said(folder, path, status):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path.replace("NAME", folder.name), "headers": []}
    asyncio.run(OpenAIProtocol(None, str(folder))(scope, None, send))
    body = json.loads(sent[1]["body"])
    assert sent[0]["status"] == status
    assert body.get("id", body.get("data", [{}])[0].get("id")) == (folder.name if status == 200 else None)

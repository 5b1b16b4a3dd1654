"""What OpenAI's clients expect of a server and transformers' own does not give, around its unmodified application.

Errors are JSON with a message and a status that says whose fault it is; the model has a short name and is listed; an
answer does not begin with a space. Run as a program, with the arguments of ``transformers serve``, by `serving.serve`.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ANSWERS = ("/v1/chat/completions", "/v1/completions")
CLOSED = ("/load_model", "/reset")  # whoever reaches the server could have it load or drop models
MAX_BYTES = 16 * 2**20  # of a request: an ECG is a few kilobytes
# What transformers ignores although it changes an answer, with the value that means nothing.
IGNORED = {
    "logprobs": False,
    "top_logprobs": 0,
    "n": 1,
    "presence_penalty": 0,
    "response_format": {"type": "text"},
    "stream_options": {},
    "tool_choice": "none",
}

Send = Callable[[dict[str, Any]], Awaitable[None]]


class OpenAIProtocol:
    """An ASGI application around that of ``transformers serve``, which serves the folder ``model``."""

    def __init__(self, app: Callable, model: str):
        self.app, self.model, self.name = app, model, Path(model).resolve().name
        self.created = int(Path(model).stat().st_mtime)

    async def __call__(self, scope: dict[str, Any], receive: Callable, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif path == "/v1/models" and scope["method"] == "GET":
            listed = {"id": self.name, "object": "model", "created": self.created, "owned_by": "cardiolect"}
            await _reply(send, 200, {"object": "list", "data": [listed]})
        elif path in CLOSED:
            await _reply(send, 404, _error(f"{path} is not offered by this server"))
        elif path in ANSWERS and scope["method"] == "POST":
            await self._answer(scope, receive, send)
        else:
            await self._passed_on(scope, receive, send, None)

    async def _answer(self, scope: dict[str, Any], receive: Callable, send: Send) -> None:
        raw = await _read(receive)
        try:
            if raw is None:
                raise ValueError(f"the request is larger than {MAX_BYTES // 2**20} MB")
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise ValueError("the request is not a JSON object")
            if scope["path"] == ANSWERS[0] and not _has_messages(body):
                raise ValueError('messages must be a list with at least one {"role": ..., "content": ...}')
            if ignored := [key for key, nothing in IGNORED.items() if body.get(key) not in (None, nothing)]:
                raise ValueError(f"{', '.join(ignored)}: not supported by this server; leave it out")
        except ValueError as error:
            await _reply(send, 400, _error(str(error)))
            return
        if body.get("model") not in (None, "", self.name, self.model):
            message = f"the model {body['model']!r} does not exist; this server has {self.name!r}"
            await _reply(send, 404, _error(message, "model_not_found"))
            return
        body["model"] = self.model
        await self._passed_on(scope, receive, send, json.dumps(body).encode())

    async def _passed_on(self, scope: dict[str, Any], receive: Callable, send: Send, body: bytes | None) -> None:
        """Let transformers answer. body: replaces that of the request, unless None."""
        if body is not None:
            kept = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
            scope = scope | {"headers": [*kept, (b"content-length", str(len(body)).encode())]}
            receive = _replaying(body, receive)
        answer = _Answer(send, stripped=body is not None)
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:
            if answer.begun:
                raise
            # The template refuses conversations that it cannot write, such as one without the end of an ECG.
            refused = type(error).__name__ == "TemplateError"
            await _reply(send, 400 if refused else 500, _error(str(error) or type(error).__name__, server=not refused))
            return
        await answer.end()


class _Answer:
    """Passes an answer on as it comes; holds back errors, and what must be rewritten whole."""

    def __init__(self, send: Send, stripped: bool):
        self.passed_on, self.stripped = send, stripped
        self.start: dict[str, Any] | None = None
        self.held, self.begun, self.said = b"", False, False

    @property
    def _streams(self) -> bool:
        kind = dict(self.start["headers"]).get(b"content-type", b"")
        return self.start["status"] < 400 and (not self.stripped or kind.startswith(b"text/event-stream"))

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            if self._streams:
                self.begun = True
                await self.passed_on(message)
        elif not self.begun:
            self.held += message.get("body", b"")
        else:
            if self.stripped and not self.said:
                message = message | {"body": self._first(message.get("body", b""))}
            await self.passed_on(message)

    def _first(self, event: bytes) -> bytes:
        """Server-sent events of a stream, the first text without the space that it begins with."""
        lines = event.split(b"\n")
        for k, line in enumerate(lines):
            if self.said or not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            for choice in chunk.get("choices", ()):
                part = choice.get("delta", choice)
                key = "content" if "content" in part else "text"
                if part.get(key):
                    part[key], self.said = part[key].lstrip(" "), bool(part[key].strip())
            lines[k] = b"data: " + json.dumps(chunk).encode()
        return b"\n".join(lines)

    async def end(self) -> None:
        """Send what was held back."""
        if self.begun or self.start is None:
            return
        status = self.start["status"]
        try:
            body = json.loads(self.held)
        except ValueError:
            body = self.held.decode(errors="replace")
        if status >= 400:
            detail = body.get("detail", body.get("error", body)) if isinstance(body, dict) else body
            text = detail if isinstance(detail, str) else json.dumps(detail)
            # It calls what a client asked wrongly 422, which OpenAI's clients do not know.
            await _reply(self.passed_on, 400 if status == 422 else status, _error(text, server=status >= 500))
            return
        for choice in body.get("choices", ()):
            if isinstance(said := choice.get("message", choice), dict):
                key = "content" if "content" in said else "text"
                said[key] = (said.get(key) or "").lstrip(" ")
        await _reply(self.passed_on, status, body)


def _has_messages(body: dict[str, Any]) -> bool:
    messages = body.get("messages")
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(isinstance(each, dict) and "role" in each and "content" in each for each in messages)
    )


def _error(message: str, code: str | None = None, server: bool = False) -> dict[str, Any]:
    kind = "server_error" if server else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def _read(receive: Callable) -> bytes | None:
    """The body of a request; None if it is too large."""
    raw = b""
    while True:
        message = await receive()
        raw += message.get("body", b"")
        if len(raw) > MAX_BYTES:
            return None
        if not message.get("more_body"):
            return raw


def _replaying(body: bytes, receive: Callable) -> Callable:
    """A `receive` that gives a body first, then what the client does, such as going away."""
    given = False

    async def replay() -> dict[str, Any]:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


async def _reply(send: Send, status: int, body: object) -> None:
    raw = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(raw)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": raw})


def main() -> None:
    """``transformers serve`` with `OpenAIProtocol` around its application; the folder is the first argument."""
    from transformers.cli import transformers
    from transformers.cli.serving import server

    build, model = server.build_server, sys.argv[1]
    server.build_server = lambda *parts, **options: OpenAIProtocol(build(*parts, **options), model)
    sys.argv[1:1] = ["serve"]
    transformers.app()


if __name__ == "__main__":
    main()

"""What OpenAI's clients expect of a server and transformers' own does not give, around its unmodified application.

Errors are JSON with a message and a status that says whose fault it is; the model has a short name and is listed; an
answer does not begin with a space, a stream ends with ``[DONE]``, and tokens have log-probabilities if a request asks
for them. Run as a program, with the arguments of ``transformers serve``, by `serving.serve`.
"""

import signal

# An import that Ctrl-C interrupts would print a traceback. Not if a parent has it ignored.
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import json
import re
import sys
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from cardiolect.model.serving.request_checks import ECG_TOKEN, alternatives_of, texts_of

if TYPE_CHECKING:
    from cardiolect.model.serving.probabilities import Probabilities

ANSWERS = ("/v1/chat/completions", "/v1/completions")
CLOSED = ("/load_model", "/reset", "/v1/responses")  # the first two load and drop models, whoever reaches the server
MAX_BYTES = 16 * 2**20  # of a request: an ECG is a few kilobytes
DONE = b"data: [DONE]\n\n"  # the last event of a stream
_MODEL = re.compile(rb'"model": ?"[^"]*"')  # not in what was said, whose quotes are escaped

Send = Callable[[dict[str, Any]], Awaitable[None]]


class OpenAIProtocol:
    """An ASGI application around that of ``transformers serve``, which serves the folder ``model``.

    probabilities: of the tokens that the application generates; None: requests for them are refused.
    """

    def __init__(self, app: Callable, model: str, probabilities: "Probabilities | None" = None):
        self.app, self.model, self.name = app, model, Path(model).resolve().name
        self.probabilities = probabilities
        self.listed = {
            "id": self.name,
            "object": "model",
            "created": int(Path(model).stat().st_mtime),
            "owned_by": "cardiolect",
        }
        self.tokenizer = Tokenizer.from_file(str(Path(model, "tokenizer.json")))
        self.most_tokens = _most_tokens(Path(model, "config.json"))

    async def __call__(self, scope: dict[str, Any], receive: Callable, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif path == "/v1/models" and scope["method"] == "GET":
            await _reply(send, 200, {"object": "list", "data": [self.listed]})
        elif path == f"/v1/models/{self.name}" and scope["method"] == "GET":
            await _reply(send, 200, self.listed)
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
            if not raw.strip():
                raise ValueError("the request is empty; send a JSON object")
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise ValueError("the request is not a JSON object")
            texts = texts_of(scope["path"], body)
            alternatives = alternatives_of(scope["path"], body, self.probabilities is not None)
            self._check_tokens(texts, body)
        except (ValueError, RecursionError) as error:
            reason = str(error) if isinstance(error, ValueError) else "the request is nested too deeply"
            await _reply(send, 400, _error(reason))
            return
        body.pop("stream_options", None)  # the last chunk has the usage in any case
        if body.get("model") not in (None, "", self.name, self.model):
            message = f"the model {body['model']!r} does not exist; this server has {self.name!r}"
            await _reply(send, 404, _error(message, "model_not_found"))
            return
        body["model"] = self.model
        await self._passed_on(scope, receive, send, json.dumps(body).encode(), alternatives)

    def _check_tokens(self, texts: Sequence[str], body: dict[str, Any]) -> None:
        """Raise ValueError for tokens that this model has not, and for more than it takes."""
        named = {token for text in texts for token in ECG_TOKEN.findall(text)}
        if strange := sorted(token for token in named if self.tokenizer.token_to_id(token) is None):
            raise ValueError(f"{strange[0]} is not a token of this model; encode the ECG with its own tokenizer")
        if beyond := [token for token in body.get("logit_bias", ()) if int(token) >= self.tokenizer.get_vocab_size()]:
            raise ValueError(f"logit_bias: this model has no token {beyond[0]}")
        count = sum(len(self.tokenizer.encode(text).ids) for text in texts)
        room = max(body.get("max_tokens") or 0, body.get("max_completion_tokens") or 0)
        if self.most_tokens is not None and count + room > self.most_tokens:
            answer = f", {room} more for the answer," if room else ""
            raise ValueError(f"the messages take {count} tokens{answer} and the model takes {self.most_tokens} in all")

    async def _passed_on(
        self,
        scope: dict[str, Any],
        receive: Callable,
        send: Send,
        body: bytes | None,
        alternatives: int | None = None,
    ) -> None:
        """Let transformers answer.

        body: replaces that of the request, unless None. alternatives: of each token, with its log-probability.
        """
        request_id = uuid.uuid4().hex
        if body is not None:
            new = {
                b"content-length": str(len(body)).encode(),
                b"content-type": b"application/json",
                b"x-request-id": request_id.encode(),
            }
            kept = [(name, value) for name, value in scope["headers"] if name.lower() not in new]
            scope = scope | {"headers": [*kept, *new.items()]}
            receive = _replaying(body, receive)
        if alternatives is not None:
            self.probabilities.ask(request_id, alternatives)
        answer = _Answer(send, self.name, stripped=body is not None)
        try:
            await self.app(scope, receive, answer.send)
        except Exception as error:
            if answer.begun:
                raise
            # The template refuses conversations that it cannot write, such as one without the end of an ECG.
            refused = type(error).__name__ == "TemplateError"
            await _reply(send, 400 if refused else 500, _error(str(error) or type(error).__name__, server=not refused))
            return
        finally:
            tokens = None if alternatives is None else self.probabilities.take(request_id)
        await answer.end(tokens)


class _Answer:
    """Passes an answer on as it comes; holds back errors, and what must be rewritten whole."""

    def __init__(self, send: Send, model: str, stripped: bool):
        self.passed_on, self.stripped = send, stripped
        self.model = f'"model": {json.dumps(model)}'.encode()
        self.start: dict[str, Any] | None = None
        self.held, self.begun, self.said, self.done = b"", False, False, False

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
            if self.stripped:
                event = message.get("body", b"")
                event = event if self.said else self._first(event)
                self.done |= DONE.strip() in event.splitlines()
                last = b"" if self.done or message.get("more_body") else DONE
                message = message | {"body": _MODEL.sub(lambda _: self.model, event) + last}
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

    async def end(self, tokens: list[dict] | None = None) -> None:
        """Send what was held back. tokens: of the answer, with their log-probabilities."""
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
        if self.stripped:
            body["model"] = json.loads(self.model.partition(b": ")[2])
        for choice in body.get("choices", ()):
            if isinstance(said := choice.get("message", choice), dict):
                key = "content" if "content" in said else "text"
                said[key] = (said.get(key) or "").lstrip(" ")
            if tokens is not None:
                choice["logprobs"] = {"content": [_stripped(token) for token in tokens[:1]] + tokens[1:]}
        await _reply(self.passed_on, status, body)


def _stripped(token: dict[str, Any]) -> dict[str, Any]:
    """The first token of an answer and its alternatives, without the space that they begin with."""
    text, top = token["token"].lstrip(" "), [_stripped(other) for other in token.get("top_logprobs", ())]
    return token | {"token": text, "bytes": list(text.encode())} | ({"top_logprobs": top} if top else {})


def _most_tokens(config: Path) -> int | None:
    found = json.loads(config.read_text())
    return found.get("text_config", found).get("max_position_embeddings")


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

    from cardiolect.model.serving.probabilities import Probabilities

    build, model = server.build_server, sys.argv[1]

    def build_server(*parts: Any, generation_state: Any, **options: Any) -> OpenAIProtocol:
        app = build(*parts, generation_state=generation_state, **options)
        return OpenAIProtocol(app, model, Probabilities(generation_state))

    server.build_server = build_server
    sys.argv[1:1] = ["serve"]
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        transformers.app(standalone_mode=False)
    except Exception as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # its command line makes another error of Ctrl-C
            raise
        sys.exit(130)


if __name__ == "__main__":
    main()

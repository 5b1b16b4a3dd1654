"""Ask a checkpoint on a server: the ECG is tokenized on this machine, the language model answers on the server."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import requests

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.retrieval.index import NeighbourIndex
from cardiolect.model.inference.chat import Chat
from cardiolect.model.llm.checkpoint_folder import load_ecg_tokenizer, load_index
from cardiolect.model.prompt.chat_template import chat_messages
from cardiolect.model.serving.serve import servable_settings
from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import check_endpoint, failure_reason, post_chat, refusal_cause, signed_session

CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0  # to connect; to wait for the next byte of an answer
_MAX_ERROR_BYTES = 4000  # of a failed response that are read


class EndpointChat(Chat):
    """Answers like `model.inference.chat.ECGChat`, but from a server; only the representation of ECGs is loaded.

    url: address of the server, such as "http://127.0.0.1:8000", with or without "/v1"; https, or http on this machine.
    model: name of the model on the server; "" leaves the choice to the server, which is enough if it holds only one.
    key: sent as a bearer token to that address only; redirects are refused. suppressed: ids of tokens that no answer
    may contain, for servers that do not read them from a checkpoint's generation settings. timeout: seconds to wait for
    the next byte. index: in which similar recordings are found, on this machine. The server receives codes, questions
    and answers, texts of similar recordings, and a patient's age, sex, height and weight if given.
    """

    def __init__(
        self,
        url: str,
        representation: ECGRepresentation,
        model: str = "",
        key: str = "",
        suppressed: Sequence[int] = (),
        timeout: float = READ_SECONDS,
        index: NeighbourIndex | None = None,
    ) -> None:
        check_endpoint(url, "endpoint", key, "ENDPOINT_KEY")
        self.url = url.rstrip("/") + ("" if urlsplit(url).path.strip("/") else "/v1")
        self.representation, self.index = representation, index
        self.model = model
        self.suppressed = tuple(suppressed)
        self.timeout = timeout
        self._key = key

    @classmethod
    def from_pretrained(
        cls,
        url: str,
        folder: Path | str,
        model: str = "",
        logit_bias: bool = False,
        environment: Mapping[str, str] = os.environ,
    ) -> Self:
        """Use the ECG tokenizer of a checkpoint folder, and the key in ENDPOINT_KEY if there is one.

        logit_bias: send the ids of the ECG tokens with each request, to suppress them in answers; vLLM and llama.cpp
        need this, `transformers serve` does not.
        """
        folder = Path(folder)
        suppressed = servable_settings(folder)["suppress_tokens"] if logit_bias else ()
        representation = load_ecg_tokenizer(folder)
        if representation.embeds:
            raise UserError(f"{folder}: embeds ECGs, which cannot be sent to a server; ask it without --endpoint")
        index = load_index(folder)
        return cls(url, representation, model, environment.get("ENDPOINT_KEY", ""), suppressed, index=index)

    def _answer(self, ecgs, backgrounds, question, history, max_new_tokens) -> Iterator[str]:
        """The greedy answer. Raises `UserError` with the server's message if there is none."""
        body = {
            "messages": chat_messages(
                [each.item for each in ecgs],
                backgrounds,
                question,
                history,
                [each.neighbours for each in ecgs],
                self.index is not None and self.index.retrieval.place == "system",
            ),
            "stream": True,
            "temperature": 0,
            "max_tokens": max_new_tokens,
        }
        if self.model:
            body["model"] = self.model
        if self.suppressed:
            body["logit_bias"] = dict.fromkeys(map(str, self.suppressed), -100.0)  # transformers refuses integers
        answer = ""
        try:
            with (
                signed_session(self.url, self._key) as session,
                post_chat(session, self.url, body, stream=True, timeout=(CONNECT_SECONDS, self.timeout)) as response,
            ):
                self._check(response)
                for part in self._parts(response):
                    answer += part
                    if part and answer.strip():
                        yield answer.strip()
        except requests.RequestException as error:
            raise UserError(f"endpoint {self.url}: {failure_reason(error)}; is a server running there?") from None

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if (cause := refusal_cause(status)) == "key":
            advice = "check ENDPOINT_KEY"
        elif cause == "address":
            advice = f"check the address and the model name ({self.model or 'none given'})"
        else:
            advice = "see the log of the server"
        raise UserError(
            f"endpoint {self.url}: the server answered {status}{_error_message(response.content)}; {advice}"
        )

    def _parts(self, response: requests.Response) -> Iterator[str]:
        """The text of each server-sent event. Raises `UserError` if there is none, or none that ends the answer."""
        other, started, complete = b"", False, False
        for line in response.iter_lines():
            if not line.startswith(b"data:"):  # another field, an empty line, or not an event stream at all
                other = (other + line + b"\n")[:_MAX_ERROR_BYTES]
                continue
            data, started = line.removeprefix(b"data:").strip(), True
            if data == b"[DONE]":
                return
            try:
                choices = json.loads(data)["choices"]
                text = "".join(choice["delta"].get("content") or "" for choice in choices)
                complete = complete or any(choice.get("finish_reason") for choice in choices)
            except (ValueError, LookupError, TypeError, AttributeError):
                raise UserError(f"endpoint {self.url}: the answer broke off{_error_message(data)}") from None
            yield text
        if not started:
            received = _error_message(other) or " (no readable text)"
            raise UserError(f"endpoint {self.url}: the response is not an event stream{received}; check the address")
        if not complete:
            raise UserError(f"endpoint {self.url}: the answer broke off; see the log of the server")


def _error_message(data: bytes) -> str:
    """A server's error message in one line: OpenAI's ``error.message``, FastAPI's ``detail``, or the text itself."""
    text = data.decode(errors="replace")
    try:
        content = json.loads(text)
        content = content.get("detail") or content.get("error") or text
        text = str(content.get("message", content) if isinstance(content, dict) else content)
    except (ValueError, AttributeError):
        pass
    line = " ".join(text.split())[:200]
    return f" ({line})" if line.isprintable() and line else ""

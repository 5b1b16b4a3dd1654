"""Ask a checkpoint that a server holds: the ECG becomes tokens here, the language model answers there."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import requests

from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.model.inference.chat import Chat
from cardiolect.model.prompt.chat_template import chat_messages
from cardiolect.model.serving.stock import stock_settings
from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import check_address, check_key, failure_reason, signed_session

_SHOWN = 4000  # bytes of a failure that are looked at
CONNECT, SILENCE = 10.0, 120.0  # seconds until a connection stands; without a byte of the answer


class EndpointChat(Chat):
    """Answers as `model.inference.chat.ECGChat` does, of a server; only the ECG tokenizer is loaded.

    url: of the server, "http://127.0.0.1:8000", with or without "/v1"; https, or http on this machine. model: its name
    there; "" leaves it to the server, which is enough where it holds one. key: sent as a bearer token to that
    address alone; redirections are refused. never: ids of tokens that no answer may hold, for servers that do not read
    them in a checkpoint's generation settings. The server is sent codes, questions and answers, and of a patient age,
    sex, height and weight where they are given.
    """

    def __init__(
        self,
        url: str,
        ecg_tokenizer: ECGTokenizer,
        model: str = "",
        key: str = "",
        never: Sequence[int] = (),
        timeout: float = SILENCE,
    ) -> None:
        if set(url) & set("@?#"):
            raise UserError("the endpoint is more than an address; a key goes to ENDPOINT_KEY")
        check_address(url, f"endpoint {url}")
        check_key(key, "ENDPOINT_KEY")
        self.url = url.rstrip("/") + ("" if urlsplit(url).path.strip("/") else "/v1")
        self.representation = ecg_tokenizer
        self.model = model
        self.never = tuple(never)
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
        """With the ECG tokenizer of a checkpoint folder, and ENDPOINT_KEY where the endpoint wants a key.

        logit_bias: send with each request which tokens are of ECGs; vLLM and llama.cpp need it, `transformers serve`
        does not.
        """
        folder = Path(folder)
        never = stock_settings(folder)["suppress_tokens"] if logit_bias else ()
        ecg_tokenizer = ECGTokenizer.from_pretrained(folder / "ecg_tokenizer")
        return cls(url, ecg_tokenizer, model, environment.get("ENDPOINT_KEY", ""), never)

    def _answer(self, ecgs, backgrounds, question, history, max_new_tokens) -> Iterator[str]:
        """The greedy answer. Raises `UserError` where none can be had, with what the server says of it."""
        body = {
            "messages": chat_messages(ecgs, backgrounds, question, history),
            "stream": True,
            "temperature": 0,
            "max_tokens": max_new_tokens,
        }
        if self.model:
            body["model"] = self.model
        if self.never:
            body["logit_bias"] = dict.fromkeys(map(str, self.never), -100.0)  # transformers refuses integers
        said = ""
        try:
            with (
                signed_session(self.url, self._key) as session,
                session.post(
                    f"{self.url}/chat/completions",
                    json=body,
                    stream=True,
                    timeout=(CONNECT, self.timeout),
                    allow_redirects=False,
                ) as response,
            ):
                self._check(response)
                for part in self._parts(response):
                    said += part
                    if part and said.strip():
                        yield said.strip()
        except requests.RequestException as error:
            raise UserError(f"endpoint {self.url}: {failure_reason(error)}; is a server running there?") from None

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status in (401, 403):
            what = "check ENDPOINT_KEY"
        elif status in (404, 405) or 300 <= status < 400:
            what = f"check the address and the name of the model ({self.model or 'none was given'})"
        else:
            what = "see what the server printed"
        raise UserError(f"endpoint {self.url}: the server answers {status}{_complaint(response.content)}; {what}")

    def _parts(self, response: requests.Response) -> Iterator[str]:
        """The text of each server-sent event. Raises `UserError` where there is none, or none says that it is whole."""
        other, begun, whole = b"", False, False
        for line in response.iter_lines():
            if not line.startswith(b"data:"):  # other fields, empty lines; or no stream at all
                other = (other + line + b"\n")[:_SHOWN]
                continue
            data, begun = line.removeprefix(b"data:").strip(), True
            if data == b"[DONE]":
                return
            try:
                choices = json.loads(data)["choices"]
                text = "".join(choice["delta"].get("content") or "" for choice in choices)
                whole = whole or any(choice.get("finish_reason") for choice in choices)
            except (ValueError, LookupError, TypeError, AttributeError):
                raise UserError(f"endpoint {self.url}: the answer broke off{_complaint(data)}") from None
            yield text
        if not begun:
            came = _complaint(other) or " (nothing that can be read)"
            raise UserError(f"endpoint {self.url}: what came is no stream of an answer{came}; check the address")
        if not whole:
            raise UserError(f"endpoint {self.url}: the answer broke off; see what the server printed")


def _complaint(data: bytes) -> str:
    """What a server says of its failure, in one line: OpenAI's ``error.message``, FastAPI's ``detail``, or the text."""
    text = data.decode(errors="replace")
    try:
        said = json.loads(text)
        said = said.get("detail") or said.get("error") or text
        text = str(said.get("message", said) if isinstance(said, dict) else said)
    except (ValueError, AttributeError):
        pass
    words = " ".join(text.split())[:200]
    return f" ({words})" if words.isprintable() and words else ""

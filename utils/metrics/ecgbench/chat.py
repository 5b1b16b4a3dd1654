"""A chat endpoint that speaks OpenAI's protocol: one request, one reply, patiently."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import requests

from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import PASSING, check_address, check_key, failure_reason, retry_after, signed_session

TRIES = 5
MOST_WAIT = 120.0  # seconds before one further try, whatever the server asks for


class NoReplyError(Exception):
    """This request got no reply; others may."""


class UnreachableError(NoReplyError):
    """The endpoint failed every try; it may do so for all."""


class StoppedError(Exception):
    """The run was ended while a request waited."""


@dataclass(frozen=True)
class ChatEndpoint:
    """Where a judge is asked.

    url: what "/chat/completions" is appended to, such as "https://api.openai.com/v1"; https, or http on this machine.
    key: sent as a bearer token to that address alone; redirections are refused. timeout: seconds without a byte.
    pause: seconds before the second try, doubled for each further one, unless the server says how long.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    pause: float = 1.0

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("the judge has no model; name one, or set JUDGE_MODEL")
        if set(self.url) & set("@?#"):
            raise UserError("JUDGE_URL holds more than an address; a key goes to JUDGE_KEY")
        check_address(self.url, f"JUDGE_URL {self.url}")
        check_key(self.key, "JUDGE_KEY")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **options: float) -> Self:
        """Of JUDGE_URL, JUDGE_MODEL and, where the endpoint wants one, JUDGE_KEY."""
        if missing := [name for name in ("JUDGE_URL", "JUDGE_MODEL") if not environment.get(name)]:
            raise UserError(f"the judge needs {' and '.join(missing)} in the environment")
        key = environment.get("JUDGE_KEY", "")
        return cls(environment["JUDGE_URL"], environment["JUDGE_MODEL"], key, **options)


class Chat:
    """Requests to one endpoint from several threads, each with a connection of its own, until ``stop`` is set."""

    def __init__(self, endpoint: ChatEndpoint, stop: threading.Event):
        self.endpoint = endpoint
        self.stop = stop
        self._local = threading.local()

    def ask(self, body: Mapping[str, Any]) -> tuple[str, str]:
        """The text of the reply and the model that the server says it came from.

        Raises `NoReplyError`, `UnreachableError` after `TRIES`, `StoppedError`, and `UserError` where no request can
        succeed: a key that is refused, an address that is not that of an endpoint.
        """
        for tries in range(1, TRIES + 1):
            try:
                response = self._session().post(
                    f"{self.endpoint.url.rstrip('/')}/chat/completions",
                    json=body,
                    timeout=self.endpoint.timeout,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                reason, wait = failure_reason(error), None
            else:
                if response.status_code not in PASSING:
                    return self._read(response)
                reason, wait = f"the server answers {response.status_code}", retry_after(response)
            if tries < TRIES:
                wait = self.endpoint.pause * 2 ** (tries - 1) if wait is None else wait
                if self.stop.wait(min(wait, MOST_WAIT)):
                    raise StoppedError
        raise UnreachableError(f"{reason}, {TRIES} times")

    def _read(self, response: requests.Response) -> tuple[str, str]:
        status = response.status_code
        if status in (401, 403, 404, 405) or 300 <= status < 400:
            hint = "JUDGE_KEY" if status in (401, 403) else "JUDGE_URL and JUDGE_MODEL"
            raise UserError(f"JUDGE_URL {self.endpoint.url}: the server answers {status}; check {hint}")
        if status != 200:  # of this request only: too long, filtered
            raise NoReplyError(f"the server answers {status}")
        try:
            reply = response.json()
            text, served = reply["choices"][0]["message"]["content"], reply.get("model")
        except (ValueError, LookupError, TypeError, AttributeError):
            text, served = None, None
        return (text if isinstance(text, str) else "", served if isinstance(served, str) else "")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = signed_session(self.endpoint.url, self.endpoint.key)
        return self._local.session

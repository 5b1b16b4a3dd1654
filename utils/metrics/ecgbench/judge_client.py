"""The client of a judge: sends requests in OpenAI's chat protocol, with retries."""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import requests

from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import (
    TEMPORARY,
    check_endpoint,
    failure_reason,
    post_chat,
    refusal_cause,
    retry_after,
    signed_session,
)

TRIES = 5
MAX_WAIT = 120.0  # seconds before the next try, even if the server asks for more


class NoReplyError(Exception):
    """This request got no reply; others may still get one."""


class UnreachableError(NoReplyError):
    """The endpoint failed at every try, and may fail for all requests."""


class StoppedError(Exception):
    """The run was stopped while a request was waiting."""


@dataclass(frozen=True)
class JudgeEndpoint:
    """Address, model and key of a judge.

    url: the address without "/chat/completions", such as "https://api.openai.com/v1"; https, or http on this machine.
    key: sent as a bearer token to that address only; redirections are refused. timeout: seconds without a byte.
    pause: seconds before the second try, doubled for each further one, unless the server gives a time.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 120.0
    pause: float = 1.0

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("the judge needs a model; set JUDGE_MODEL")
        check_endpoint(self.url, "JUDGE_URL", self.key, "JUDGE_KEY")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, **options: float) -> Self:
        """The endpoint from JUDGE_URL, JUDGE_MODEL and, if it needs a key, JUDGE_KEY."""
        if missing := [name for name in ("JUDGE_URL", "JUDGE_MODEL") if not environment.get(name)]:
            raise UserError(f"the judge needs {' and '.join(missing)} in the environment")
        key = environment.get("JUDGE_KEY", "")
        return cls(environment["JUDGE_URL"], environment["JUDGE_MODEL"], key, **options)


class JudgeClient:
    """Requests to one endpoint from several threads, each with its own connection, until ``stop`` is set."""

    def __init__(self, endpoint: JudgeEndpoint, stop: threading.Event):
        self.endpoint = endpoint
        self.stop = stop
        self._local = threading.local()

    def ask(self, body: Mapping[str, Any]) -> tuple[str, str]:
        """The text of the reply, and the model that produced it according to the server.

        Raises `NoReplyError`, `UnreachableError` after `TRIES`, `StoppedError`, and `UserError` if no request can
        succeed: the key is refused, or the address is not that of an endpoint.
        """
        for tries in range(1, TRIES + 1):
            try:
                response = post_chat(self._session(), self.endpoint.url, body, timeout=self.endpoint.timeout)
            except requests.RequestException as error:
                reason, wait = failure_reason(error), None
            else:
                if response.status_code not in TEMPORARY:
                    return self._read(response)
                reason, wait = f"the server returned {response.status_code}", retry_after(response)
            if tries < TRIES:
                wait = self.endpoint.pause * 2 ** (tries - 1) if wait is None else wait
                if self.stop.wait(min(wait, MAX_WAIT)):
                    raise StoppedError
        raise UnreachableError(f"{reason}, {TRIES} times")

    def _read(self, response: requests.Response) -> tuple[str, str]:
        status = response.status_code
        if cause := refusal_cause(status):
            hint = "JUDGE_KEY" if cause == "key" else "JUDGE_URL and JUDGE_MODEL"
            raise UserError(f"JUDGE_URL {self.endpoint.url}: the server returned {status}; check {hint}")
        if status != 200:  # a failure of this request only: too long, filtered
            raise NoReplyError(f"the server returned {status}")
        try:
            reply = response.json()
            text, model = reply["choices"][0]["message"]["content"], reply.get("model")
        except (ValueError, LookupError, TypeError, AttributeError):
            text, model = None, None
        return (text if isinstance(text, str) else "", model if isinstance(model, str) else "")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = signed_session(self.endpoint.url, self.endpoint.key)
        return self._local.session
